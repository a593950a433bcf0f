//! `yolo9 val`: evaluates a model on a labelled dataset.

mod classes;
mod outputs;
mod scores;
mod stages;
mod worst;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::Value;
use yolo9::detect::{DetectOutput, Detection, DetectorOptions, Engine, PostprocessOptions, Preset};
use yolo9::evaluate::{BoxXywh, Dataset, EvalImage, MAX_OF_ONE, Prediction};
use yolo9::image::{Image, ImageLimits};
use yolo9::runtime::{Runtime, SessionOptions};
use yolo9::untrusted::{FileKind, read};
use yolo9::{Model, Size};

use crate::cli::{Globals, ValArgs};
use crate::console::say;
use crate::devices::Execution;
use crate::exit::ExitStatus;
use crate::interrupt::Interrupt;
use crate::report::progress_bar;
use crate::run::pipeline::{Flow, Limits, Pipeline};
use crate::run::sources::Source;
use crate::statistics::Spread;
use crate::{devices, model, options};
pub(crate) use classes::mapping;
pub(crate) use scores::{SHOWN, Scores};
use stages::LabelledStages;
#[cfg(feature = "train")]
pub(crate) use worst::draw as draw_worst;

/// Draws of the bootstrap for an interval of a difference in AP.
pub(crate) const RESAMPLES: usize = 1000;

/// Images with labels and detections, and those that could not be processed.
#[derive(Default)]
pub(crate) struct Evaluated {
    pub(crate) images: Vec<EvalImage>,
    /// The same with what `detect` shows.
    pub(crate) shown: Vec<EvalImage>,
    pub(crate) failed: Vec<(PathBuf, String)>,
    pub(crate) interrupted: bool,
    /// How long inference took, in words; empty if there was none.
    speed: String,
    /// What ran; nothing if nothing did.
    pub(crate) execution: Option<Execution>,
}

pub(crate) fn run(args: &ValArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    let dataset = Dataset::open(&args.data, &args.dataset.split, args.dataset.images.as_deref())?;
    anyhow::ensure!(
        dataset.labels() > 0,
        "{}: no label was found; expected them in `labels` beside `images`, or in the annotation file",
        args.data.display()
    );
    let places = outputs::Places::check(args, &dataset)?;
    let evaluated = match &args.predictions {
        Some(file) => evaluate_file(&dataset, file, args.count_conf)?,
        None => evaluate_model(args, globals, &dataset)?,
    };
    if evaluated.interrupted {
        say!("Interrupted: scores over some of the images would mislead, so there are none");
        return Ok(ExitStatus::Interrupted);
    }
    let scores = Scores::of(&evaluated.images, &evaluated.shown, args.count_conf, &dataset);
    let settings = settings_line(args, &dataset, &evaluated);
    if args.json.as_deref().is_none_or(|path| path != Path::new("-")) {
        scores.print(&settings)?;
    }
    outputs::write(args, places, &dataset, &evaluated, (&scores, &settings), globals)?;
    for (path, reason) in &evaluated.failed {
        say!("error: {}: {reason}", path.display());
    }
    Ok(if evaluated.failed.is_empty() { ExitStatus::Done } else { ExitStatus::SomeFailed })
}

/// What was evaluated and how.
fn settings_line(args: &ValArgs, dataset: &Dataset, evaluated: &Evaluated) -> String {
    let images = dataset.images.len() - evaluated.failed.len();
    let labels: usize = evaluated.images.iter().map(|image| image.ground_truths.len()).sum();
    let left_out = match evaluated.failed.len() {
        0 => String::new(),
        failed => format!(" ({failed} could not be read and are left out)"),
    };
    let what = match &args.predictions {
        Some(file) => format!("detections of {}", file.display()),
        None => {
            let (defaults, thresholds, input) = (Preset::evaluation(), &args.thresholds, &args.input);
            format!(
                "{}: conf {}, NMS IoU {}, max-det {}, multi-label, {} letterbox{}",
                args.model.weights,
                thresholds.conf.unwrap_or(defaults.confidence_threshold),
                thresholds.iou.unwrap_or(defaults.nms.iou_threshold),
                thresholds.max_det.map_or(defaults.nms.max_detections, |n| n as usize),
                if input.square { "square" } else { "rectangular" },
                input.imgsz.map(|size| format!(" of {}x{}", size.height, size.width)).unwrap_or_default()
            )
        }
    };
    let execution = evaluated.execution.as_ref().map(|execution| format!("; {execution}")).unwrap_or_default();
    format!("{}: {images} images{left_out}, {labels} labels; {what}{execution}", args.data.display())
}

fn evaluate_model(args: &ValArgs, globals: &Globals, dataset: &Dataset) -> anyhow::Result<Evaluated> {
    let model = model::load(&args.model, globals)?;
    if model.has_nms() {
        log::warn!("the model was exported with NMS: its own thresholds cut the precision-recall curve off");
    }
    let letterbox = options::letterbox(&args.input, &model)?;
    devices::warn_of_shapes(&args.runtime, &letterbox);
    let postprocess = options::postprocess(&args.thresholds, Preset::evaluation(), &model)?;
    let all = options::session(&args.runtime).spinning(false);
    let inference = Inference {
        runtime: devices::runtime(&args.runtime, globals)?,
        limits: options::image_limits(&args.input, all.threads),
        session: all,
        interrupt: Interrupt::install()?,
        shown: shown(args),
        bar: progress_bar(dataset.images.len(), globals.quiet),
    };
    let evaluated = inference.run(dataset, model, DetectorOptions::new(letterbox, postprocess))?;
    log::info!("Inference: {}", evaluated.speed);
    Ok(evaluated)
}

/// What `detect` would show, at the threshold at which detections are counted.
fn shown(args: &ValArgs) -> PostprocessOptions {
    options::preset(&args.input).postprocess().confidence_threshold(args.count_conf)
}

/// How a model is run on a dataset.
pub(crate) struct Inference {
    pub(crate) runtime: Runtime,
    /// With all threads that there are.
    pub(crate) session: SessionOptions,
    pub(crate) limits: ImageLimits,
    pub(crate) interrupt: Interrupt,
    /// What `detect` shows of an image.
    pub(crate) shown: PostprocessOptions,
    /// Goes on by one for each image.
    pub(crate) bar: ProgressBar,
}

impl Inference {
    pub(crate) fn run(&self, dataset: &Dataset, model: Model, detector: DetectorOptions) -> anyhow::Result<Evaluated> {
        let Self { runtime, session: all, limits, interrupt, shown, bar } = self;
        let classes = mapping(model.class_names(), &dataset.class_names)?;
        let (all, limits, workers) = (all.clone(), *limits, all.threads);
        let count = options::session_count(&all).min(dataset.images.len().max(1));
        let backends = model.into_sessions(runtime, &options::shared_session(all, count), count)?;
        let execution = Execution::of(&backends[0], runtime);
        let stages = LabelledStages { limits, letterbox: detector.letterbox };
        let session = |backend| {
            let engine = Engine::new(backend, detector.clone());
            stages::session(engine, detector.postprocess.clone(), shown.clone())
        };
        let sessions = backends.into_iter().map(session).collect();
        let mut pipeline = Pipeline::new(stages, sessions, Limits { workers, batch: 1, memory: limits.max_bytes })?;
        let total = dataset.images.len();
        let mut times = Vec::new();
        let mut evaluated = Evaluated { execution: Some(execution), ..Evaluated::default() };
        let planned = |(index, labelled): (usize, &yolo9::evaluate::Labelled)| {
            Flow::<_, ()>::Image((index, Source::of_file(labelled.path.clone())))
        };
        let inputs = dataset.images.iter().enumerate().map(planned);
        evaluated.interrupted = pipeline.run(
            inputs,
            || interrupt.requested(),
            false,
            |flow| {
                let Flow::Image(done) = flow else { return Ok(ControlFlow::Continue(())) };
                bar.inc(1);
                let eval_image = |output: &DetectOutput| {
                    eval_image(dataset, done.number, output.image, &output.detections, &classes)
                };
                match done.outcome {
                    Ok(outputs) => {
                        times.push(outputs.evaluated.timing.inference);
                        evaluated.images.push(eval_image(&outputs.evaluated));
                        evaluated.shown.push(eval_image(&outputs.shown));
                    }
                    Err(failure) => {
                        evaluated.images.push(EvalImage::default());
                        evaluated.failed.push((dataset.images[done.number].path.clone(), failure.reason));
                    }
                }
                Ok(ControlFlow::Continue(()))
            },
        )?;
        bar.finish_and_clear();
        evaluated.speed = format!("{:.1} ms per image in each of {count} sessions (median)", Spread::of(&times).median);
        let all_failed = !evaluated.failed.is_empty() && evaluated.failed.len() == total;
        if let (true, Some((path, reason))) = (all_failed, evaluated.failed.first()) {
            anyhow::bail!("no image of the dataset can be read; the first one is {}: {reason}", path.display());
        }
        Ok(evaluated)
    }
}

/// Labels and detections of an image, in the classes of the dataset.
pub(crate) fn eval_image(
    dataset: &Dataset,
    number: usize,
    size: Size,
    detections: &[Detection],
    classes: &[Option<usize>],
) -> EvalImage {
    let prediction = |detection| {
        let prediction = Prediction::from(detection);
        let class = classes.get(prediction.class).copied().flatten()?;
        Some(Prediction { class, ..prediction })
    };
    EvalImage {
        ground_truths: dataset.images[number].ground_truths(size),
        predictions: detections.iter().filter_map(prediction).collect(),
    }
}

/// An entry of a COCO results file.
#[derive(Deserialize)]
struct Entry {
    image_id: Value,
    category_id: u64,
    bbox: [f64; 4],
    score: f64,
}

fn evaluate_file(dataset: &Dataset, file: &Path, count_conf: f32) -> anyhow::Result<Evaluated> {
    let shown = file.display();
    let bytes = read(file, FileKind::Dataset).with_context(|| format!("{shown} cannot be read"))?;
    let entries: Vec<Entry> = serde_json::from_slice(&bytes)
        .with_context(|| format!("{shown}: not COCO results, a list of image_id, category_id, bbox and score"))?;
    let places: HashMap<String, usize> =
        dataset.images.iter().enumerate().map(|(n, image)| (image.image_id.to_string(), n)).collect();
    let mut images = Vec::with_capacity(dataset.images.len());
    for image in &dataset.images {
        let size = match image.needs_size() {
            true => Image::size_of_file(&image.path, &ImageLimits::default())
                .with_context(|| format!("{}, whose labels are shares of its size", image.path.display()))?,
            false => Size::square(1),
        };
        let ground_truths = image.ground_truths(size);
        images.push(EvalImage { ground_truths, predictions: Vec::new() });
    }
    for (number, entry) in entries.into_iter().enumerate() {
        let missing = |what: &str, id: &dyn std::fmt::Display| {
            anyhow::anyhow!("{shown}: entry {number} is of {what} {id}, which is not in the dataset")
        };
        let place = places.get(&entry.image_id.to_string()).ok_or_else(|| missing("image", &entry.image_id))?;
        let class = dataset.category_ids.iter().position(|id| *id == entry.category_id);
        let class = class.ok_or_else(|| missing("category", &entry.category_id))?;
        let [x, y, width, height] = entry.bbox;
        let bbox = BoxXywh { x, y, width, height };
        images[*place].predictions.push(Prediction { bbox, class, score: entry.score });
        anyhow::ensure!(
            images[*place].predictions.len() <= MAX_OF_ONE,
            "{shown}: more than {MAX_OF_ONE} detections of image {}; no more can be evaluated",
            entry.image_id
        );
    }
    // The file has its own NMS; the threshold is that of the count.
    let above = |image: &EvalImage| {
        let mut image = image.clone();
        image.predictions.retain(|prediction| prediction.score >= f64::from(count_conf));
        image
    };
    let shown = images.iter().map(above).collect();
    Ok(Evaluated { images, shown, ..Evaluated::default() })
}

//! `yolo9 val`: how good a model is on labelled pictures.

mod classes;
mod outputs;
mod scores;
mod worst;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::Value;
use yolo9::Size;
use yolo9::detect::{Detector, Preset, Settings, Thresholds};
use yolo9::evaluate::{Dataset, Judged, MAX_OF_ONE, Prediction, Rectangle};
use yolo9::picture::{Fit, ImageLimits, InputShape, Picture};
use yolo9::runtime::{Runtime, SessionOptions};
use yolo9::untrusted::{FileKind, read};

use crate::Outcome;
use crate::args::{Globals, ModelArgs, RuntimeArgs, parse_share, parse_size};
use crate::console::say;
use crate::engine::{Searched, search, streams};
use crate::interrupt::Interrupt;
use crate::model::{self, Loaded};
use crate::report::progress_bar;
use crate::statistics::Spread;
pub(crate) use classes::mapping;
pub(crate) use scores::Scores;

#[derive(Debug, Args)]
pub(crate) struct ValArgs {
    /// Labelled pictures: a data YAML (path, train, val, test, names), or a COCO annotation file (.json).
    #[arg(short, long, value_name = "FILE")]
    data: PathBuf,

    /// Which pictures of a data YAML.
    #[arg(long, value_name = "train|val|test", default_value = "val")]
    split: String,

    /// Where the pictures of a COCO annotation file are [default: beside it, or where COCO has them].
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,

    /// Judge these COCO results instead of searching the pictures.
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    runtime: RuntimeArgs,

    /// Size of the network's input [default: 640; that of the export for an ONNX file].
    #[arg(long, alias = "img", value_name = "SIZE", value_parser = parse_size)]
    imgsz: Option<Size>,

    /// Pad to the whole input instead of the smallest rectangle.
    #[arg(long)]
    square: bool,

    /// Least confidence. More than the default loses the end of the precision-recall curve.
    #[arg(long, value_name = "0..1", value_parser = parse_share, default_value_t = Preset::evaluation().confidence)]
    conf: f32,

    /// Largest overlap of two boxes of one class.
    #[arg(long, value_name = "0..1", value_parser = parse_share, default_value_t = Preset::evaluation().iou)]
    iou: f32,

    /// Most detections of one picture.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    max_det: u32,

    /// Write all numbers as JSON; `-` is stdout, which the table then leaves to it.
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,

    /// Write the detections as COCO results (for pycocotools).
    #[arg(long, value_name = "FILE")]
    coco: Option<PathBuf>,

    /// Write numbers, detections, plots and the worst pictures into this folder.
    #[arg(short, long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Write into an output folder with something in it, replacing files of the same name.
    #[arg(long)]
    exist_ok: bool,

    /// How many of the worst pictures are drawn in the output folder.
    #[arg(long, value_name = "N", default_value_t = 12)]
    worst: usize,
}

/// Pictures with labels and detections, and what could not be searched.
pub(crate) struct Evaluated {
    pub(crate) judged: Vec<Judged>,
    pub(crate) failed: Vec<(PathBuf, String)>,
    pub(crate) interrupted: bool,
}

pub(crate) fn run(args: &ValArgs, globals: &Globals) -> anyhow::Result<Outcome> {
    let dataset = Dataset::open(&args.data, &args.split, args.images.as_deref())?;
    let places = outputs::Places::check(args, &dataset)?;
    let evaluated = match &args.predictions {
        Some(file) => judge_file(&dataset, file)?,
        None => judge_model(args, globals, &dataset)?,
    };
    if evaluated.interrupted {
        say!("Interrupted: scores over a part of the pictures would mislead, so there are none");
        return Ok(Outcome::Interrupted);
    }
    let scores = Scores::of(&evaluated.judged, &dataset);
    let settings = settings_line(args, &dataset, &evaluated);
    if dataset.labels() == 0 {
        log::warn!("{}: no label was found; expected them in `labels` beside `images`", args.data.display());
    }
    if args.json.as_deref().is_none_or(|path| path != Path::new("-")) {
        scores.print(&settings)?;
    }
    outputs::write(args, places, &dataset, &evaluated, (&scores, &settings), globals)?;
    for (path, reason) in &evaluated.failed {
        say!("error: {}: {reason}", path.display());
    }
    Ok(if evaluated.failed.is_empty() { Outcome::Done } else { Outcome::SomeFailed })
}

/// What was judged and how.
fn settings_line(args: &ValArgs, dataset: &Dataset, evaluated: &Evaluated) -> String {
    let pictures = dataset.pictures.len() - evaluated.failed.len();
    let labels: usize = evaluated.judged.iter().map(|judged| judged.truths.len()).sum();
    let left_out = match evaluated.failed.len() {
        0 => String::new(),
        failed => format!(" ({failed} could not be read and are left out)"),
    };
    let what = match &args.predictions {
        Some(file) => format!("detections of {}", file.display()),
        None => format!(
            "{}: conf {}, IoU {}, max-det {}, multi-label, {} letterbox{}",
            args.model.weights,
            args.conf,
            args.iou,
            args.max_det,
            if args.square { "square" } else { "rectangular" },
            args.imgsz.map(|size| format!(" of {}x{}", size.height, size.width)).unwrap_or_default()
        ),
    };
    format!("{}: {pictures} pictures{left_out}, {labels} labels; {what}", args.data.display())
}

fn judge_model(args: &ValArgs, globals: &Globals, dataset: &Dataset) -> anyhow::Result<Evaluated> {
    let loaded = model::load(&args.model, globals)?;
    if loaded.suppresses() {
        log::warn!("the model was exported with suppression of overlaps: its own thresholds cut the curve off");
    }
    let fit = evaluation_fit(&loaded, args.imgsz, args.square);
    let classes = mapping(loaded.class_names(), &dataset.class_names)?;
    let thresholds = Thresholds {
        confidence: args.conf,
        iou: args.iou,
        max_detections: args.max_det as usize,
        ..Preset::evaluation()
    };
    let settings = Settings { fit, thresholds };
    let runtime = Runtime::load(&args.runtime.library(globals))?;
    let session = args.runtime.session();
    judge(dataset, loaded, &classes, settings, (&runtime, &session), globals)
}

/// Where pictures go in the input: as told, else as the file wants it, else 640.
pub(crate) fn evaluation_fit(loaded: &Loaded, imgsz: Option<Size>, square: bool) -> Fit {
    let scale_back = Preset::default().scale_back();
    if let Some(target) = loaded.fixed_size() {
        return Fit { target, stride: loaded.stride(), shape: InputShape::Full, scale_back };
    }
    let shape = if square { InputShape::Full } else { InputShape::Rectangular };
    Fit::new(imgsz.or(loaded.preferred_size()).unwrap_or(Size::square(640)), loaded.stride(), shape, scale_back)
}

fn judge(
    dataset: &Dataset,
    loaded: Loaded,
    classes: &[Option<usize>],
    settings: Settings,
    (runtime, session): (&Runtime, &SessionOptions),
    globals: &Globals,
) -> anyhow::Result<Evaluated> {
    let count = streams(session.threads).min(dataset.pictures.len());
    let each = SessionOptions { threads: (session.threads / count).max(1), spinning: false, ..session.clone() };
    let models = loaded.into_models(runtime, &each, count)?;
    let detectors = models.into_iter().map(|model| Detector::new(model, settings.clone())).collect();
    let paths: Vec<PathBuf> = dataset.pictures.iter().map(|picture| picture.path.clone()).collect();
    let interrupt = Interrupt::install()?;
    let bar = if globals.quiet { ProgressBar::hidden() } else { progress_bar(paths.len()) };
    let mut times = Vec::new();
    let mut evaluated = Evaluated { judged: Vec::with_capacity(paths.len()), failed: Vec::new(), interrupted: false };
    search(detectors, session.threads, &paths, |number, searched| {
        bar.inc(1);
        match searched {
            Ok(searched) => {
                times.push(searched.timing.inference);
                evaluated.judged.push(judged(dataset, number, &searched, classes));
            }
            Err(reason) => {
                evaluated.judged.push(Judged::default());
                evaluated.failed.push((paths[number].clone(), reason));
            }
        }
        evaluated.interrupted = interrupt.requested();
        !evaluated.interrupted
    })?;
    bar.finish_and_clear();
    log::info!("Inference: {:.1} ms per picture in each of {count} streams (median)", Spread::of(&times).median);
    let all_failed = !evaluated.failed.is_empty() && evaluated.failed.len() == paths.len();
    if let (true, Some((path, reason))) = (all_failed, evaluated.failed.first()) {
        anyhow::bail!("no picture of the dataset can be read; the first one is {}: {reason}", path.display());
    }
    Ok(evaluated)
}

/// Labels and detections of a picture, in the classes of the dataset.
pub(crate) fn judged(dataset: &Dataset, number: usize, searched: &Searched, classes: &[Option<usize>]) -> Judged {
    let prediction = |detection| {
        let prediction = Prediction::from(detection);
        let class = classes.get(prediction.class).copied().flatten()?;
        Some(Prediction { class, ..prediction })
    };
    Judged {
        truths: dataset.pictures[number].truths(searched.size),
        predictions: searched.detections.iter().filter_map(prediction).collect(),
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

fn judge_file(dataset: &Dataset, file: &Path) -> anyhow::Result<Evaluated> {
    let shown = file.display();
    let bytes = read(file, FileKind::Dataset).with_context(|| format!("{shown} cannot be read"))?;
    let entries: Vec<Entry> = serde_json::from_slice(&bytes)
        .with_context(|| format!("{shown}: not COCO results, a list of image_id, category_id, bbox and score"))?;
    let places: std::collections::HashMap<String, usize> =
        dataset.pictures.iter().enumerate().map(|(n, picture)| (picture.image_id.to_string(), n)).collect();
    let mut judged = Vec::with_capacity(dataset.pictures.len());
    for picture in &dataset.pictures {
        let size = match picture.needs_size() {
            true => Picture::size_of_file(&picture.path, &ImageLimits::default())
                .with_context(|| format!("{}, whose labels are shares of its size", picture.path.display()))?,
            false => Size::square(1),
        };
        let truths = picture.truths(size);
        judged.push(Judged { truths, predictions: Vec::new() });
    }
    for (number, entry) in entries.into_iter().enumerate() {
        let missing = |what: &str, id: &dyn std::fmt::Display| {
            anyhow::anyhow!("{shown}: entry {number} is of {what} {id}, which is not in the dataset")
        };
        let place = places.get(&entry.image_id.to_string()).ok_or_else(|| missing("image", &entry.image_id))?;
        let class = dataset.category_ids.iter().position(|id| *id == entry.category_id);
        let class = class.ok_or_else(|| missing("category", &entry.category_id))?;
        let [x, y, width, height] = entry.bbox;
        let bbox = Rectangle { x, y, width, height };
        judged[*place].predictions.push(Prediction { bbox, class, score: entry.score });
        anyhow::ensure!(
            judged[*place].predictions.len() <= MAX_OF_ONE,
            "{shown}: more than {MAX_OF_ONE} detections of image {}; no more can be evaluated",
            entry.image_id
        );
    }
    Ok(Evaluated { judged, failed: Vec::new(), interrupted: false })
}

//! `yolo9 val`: evaluates a model on a labelled dataset.

mod classes;
mod inference;
mod outputs;
mod plots;
mod predictions;
mod report;
mod scores;
mod worst;

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use yolo9::Size;
use yolo9::detect::{DetectorOptions, PostprocessOptions, Preset};
use yolo9::evaluate::{Dataset, EvalImage};
use yolo9::image::{Image, ImageLimits, InputShape, Letterbox, LetterboxOptions};

use crate::cli::{Globals, ValArgs};
use crate::console::say;
use crate::devices::Execution;
use crate::exit::ExitStatus;
use crate::interrupt::Interrupt;
use crate::report::progress_bar;
use crate::run::places::RunFolder;
use crate::{devices, model, options};
pub(crate) use classes::mapping;
pub(crate) use inference::{Inference, Placement, eval_image};
pub(crate) use scores::Scores;
#[cfg(feature = "train")]
pub(crate) use worst::{SHEET as WORST_SHEET, draw as draw_worst, sheet};

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
    /// How images were placed in the network's input, in words; empty if no inference was run.
    letterbox: String,
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
    let folder = outputs::check(args, &dataset)?;
    let evaluated = match &args.predictions {
        Some(file) => predictions::evaluate_file(&dataset, file, args.count_conf),
        None => evaluate_model(args, globals, &dataset),
    };
    if evaluated.as_ref().map_or(true, |evaluated| evaluated.interrupted) {
        folder.as_ref().map(RunFolder::remove_if_empty);
    }
    let evaluated = evaluated?;
    if evaluated.interrupted {
        say!("Interrupted: scores over some of the images would mislead, so there are none");
        return Ok(ExitStatus::Interrupted);
    }
    let scores = Scores::of(&evaluated.images, &evaluated.shown, args.count_conf, &dataset);
    let settings = settings_line(args, &dataset, &evaluated);
    if args.json.as_deref().is_none_or(|path| path != Path::new("-")) {
        // Whether images were loaded as the tool of the preset does it.
        let loaded = args.input.preset.is_some() && args.predictions.is_none();
        scores.print(&settings, args.preset(), loaded)?;
    }
    outputs::write(args, folder, &dataset, &evaluated, (&scores, &settings), globals)?;
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
        1 => " (1 could not be read and is left out)".to_owned(),
        failed => format!(" ({failed} could not be read and are left out)"),
    };
    let what = match &args.predictions {
        Some(file) => format!("detections of {}", file.display()),
        None => {
            let (defaults, thresholds, input) = (Preset::evaluation(), &args.thresholds, &args.input);
            format!(
                "{}: conf {}, NMS IoU {}, max-det {}, multi-label, {}{}",
                args.model.weights,
                thresholds.conf.unwrap_or(defaults.confidence_threshold),
                thresholds.iou.unwrap_or(defaults.nms.iou_threshold),
                thresholds.max_det.map_or(defaults.nms.max_detections, |n| n as usize),
                evaluated.letterbox,
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
    let limits = options::image_limits(&args.input, options::session(&args.runtime).threads);
    let (placement, words) = placement(args, dataset, letterbox, &limits)?;
    let postprocess = options::postprocess(&args.thresholds, Preset::evaluation(), &model)?;
    let all = options::session(&args.runtime).spinning(false);
    let inference = Inference {
        runtime: devices::runtime(&args.runtime, globals)?,
        limits,
        session: all,
        interrupt: Interrupt::install()?,
        shown: shown(args),
        bar: progress_bar(dataset.images.len(), globals.quiet),
    };
    let evaluated = inference.run(dataset, model, DetectorOptions::new(letterbox, postprocess), placement)?;
    if !evaluated.speed.is_empty() {
        log::info!("Inference: {}", evaluated.speed);
    }
    Ok(Evaluated { letterbox: words, ..evaluated })
}

/// Where images go, and that in words: as `detect` does it, or as the loader of the tool that `--preset` names.
fn placement(
    args: &ValArgs,
    dataset: &Dataset,
    letterbox: LetterboxOptions,
    limits: &ImageLimits,
) -> anyhow::Result<(Placement, String)> {
    let rectangular = letterbox.shape == InputShape::Rectangular;
    if args.input.preset.is_none() {
        if let Some(batch) = args.batch {
            log::warn!("--batch {batch}: without --preset images are evaluated one by one, so it changes nothing");
        }
        let shape = if rectangular { "rectangular letterbox" } else { "square letterbox" };
        return Ok((Placement::AsDetect, shape.to_owned()));
    }
    let Size { width, height } = letterbox.target;
    anyhow::ensure!(
        width == height,
        "--preset with an input of {}: the loaders of both tools know square sizes only; give one side, or leave --preset out",
        letterbox.target
    );
    let preset = args.preset();
    let batch = args.batch.map_or(preset.batch_size(), |batch| batch as usize);
    // What cannot be read here fails when it is decoded, and is told then.
    let sizes: Vec<Option<Size>> =
        dataset.images.par_iter().map(|image| Image::size_of_file(&image.path, limits).ok()).collect();
    let known: Vec<Size> = sizes.iter().copied().flatten().collect();
    let mut placed = preset.letterboxes(&known, width, letterbox.stride, letterbox.shape, batch).into_iter();
    let letterboxes: Vec<Option<Letterbox>> = sizes.iter().map(|size| size.and_then(|_| placed.next())).collect();
    let name = match preset {
        Preset::Yolov9 => "val.py",
        Preset::Ultralytics => "Ultralytics",
    };
    let shape = if rectangular { format!("rectangular batches of {batch}") } else { "square".to_owned() };
    Ok((Placement::Loader(letterboxes), format!("loader of {name}, {shape}")))
}

impl ValArgs {
    /// Whose definitions classes are scored by.
    fn preset(&self) -> Preset {
        options::preset(&self.input)
    }
}

/// What `detect` would show, at the threshold at which detections are counted.
fn shown(args: &ValArgs) -> PostprocessOptions {
    args.preset().postprocess().confidence_threshold(args.count_conf)
}

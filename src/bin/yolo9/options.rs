//! What options mean: from what was typed to what the library takes. One place for all commands.

use yolo9::Model;
use yolo9::detect::{NmsOptions, PostprocessOptions, Preset};
use yolo9::image::{ImageLimits, InputShape, LetterboxOptions};
use yolo9::runtime::SessionOptions;

use crate::cli::{DeviceArg, InputArgs, RuntimeArgs, ThresholdArgs};
use crate::devices;

pub(crate) fn preset(input: &InputArgs) -> Preset {
    input.preset.unwrap_or_default()
}

/// Where images go in a model's input.
pub(crate) fn letterbox(input: &InputArgs, model: &Model) -> anyhow::Result<LetterboxOptions> {
    let shape = if input.square { InputShape::Square } else { InputShape::Rectangular };
    let letterbox = model.letterbox(input.imgsz, shape, preset(input).box_rescaling())?;
    if let Some(asked) = input.imgsz.filter(|asked| letterbox.target != *asked) {
        log::warn!(
            "--imgsz {asked} is rounded up to {}, a multiple of the stride {}",
            letterbox.target,
            letterbox.stride
        );
    }
    Ok(letterbox)
}

/// The largest images: of common size for every worker, and one large one on a small machine.
pub(crate) fn image_limits(input: &InputArgs, workers: usize) -> ImageLimits {
    // As many as there are cores: more of them may be asked for by anybody.
    let workers = workers.min(SessionOptions::default().threads);
    let usual = ImageLimits::default().max_bytes.max(40_000_000 * workers as u64);
    let max_bytes = input.max_image_memory.map_or(usual, |megabytes| megabytes * 1_000_000);
    ImageLimits::default().max_pixels(input.max_megapixels * 1_000_000).max_bytes(max_bytes)
}

/// Which outputs of a model become detections, where nothing is said those of `defaults`.
pub(crate) fn postprocess(
    thresholds: &ThresholdArgs,
    defaults: PostprocessOptions,
    model: &Model,
) -> anyhow::Result<PostprocessOptions> {
    if model.has_nms() {
        warn_of_own_nms(thresholds, model);
    }
    self::thresholds(thresholds, defaults, model.class_names())
}

/// As [`postprocess`], for classes of those names.
pub(crate) fn thresholds(
    thresholds: &ThresholdArgs,
    defaults: PostprocessOptions,
    class_names: &[String],
) -> anyhow::Result<PostprocessOptions> {
    let classes = thresholds.classes.as_deref().map(|wanted| yolo9::model::class_ids(wanted, class_names)).transpose();
    let classes = classes.map_err(|error| anyhow::anyhow!("--classes {error}"))?;
    let PostprocessOptions { confidence_threshold, nms, .. } = defaults;
    let nms = NmsOptions::default()
        .iou_threshold(thresholds.iou.unwrap_or(nms.iou_threshold))
        .max_detections(thresholds.max_det.map_or(nms.max_detections, |n| n as usize))
        .class_agnostic(thresholds.agnostic);
    Ok(defaults.confidence_threshold(thresholds.conf.unwrap_or(confidence_threshold)).nms(nms).classes(classes))
}

/// The thresholds of a file with NMS inside were fixed at its export.
fn warn_of_own_nms(thresholds: &ThresholdArgs, model: &Model) {
    if thresholds.iou.is_some() || thresholds.agnostic {
        log::warn!("the model was exported with NMS: --iou and --agnostic change nothing");
    }
    let beyond = |option: &str, baked: f64| {
        log::warn!("{option}: the model was exported with {baked}, and gives nothing beyond that");
    };
    match (thresholds.conf, model.exported_with("conf")) {
        (Some(asked), Some(baked)) if f64::from(asked) < baked - 1e-6 => beyond("--conf", baked),
        _ => {}
    }
    match (thresholds.max_det, model.exported_with("max_det")) {
        (Some(asked), Some(baked)) if f64::from(asked) > baked => beyond("--max-det", baked),
        _ => {}
    }
}

/// A session with all threads that it may have.
pub(crate) fn session(runtime: &RuntimeArgs) -> SessionOptions {
    let defaults = SessionOptions::default();
    let granted = defaults.threads;
    let threads = runtime.engine.threads.map_or(granted, usize::from);
    static WARNED: std::sync::Once = std::sync::Once::new();
    if threads > granted {
        WARNED.call_once(|| {
            log::warn!("--threads {threads} is more than the {granted} that the system grants: expect it to be slower")
        });
    }
    // Threads that wait for work by spinning keep those from working that have no core.
    let spinning = defaults.spinning && threads <= granted;
    defaults
        .threads(threads)
        .device(devices::device(runtime))
        .precision(devices::precision(runtime))
        .fallback(runtime.device == DeviceArg::Auto)
        .dysample(runtime.engine.dysample)
        .spinning(spinning)
}

/// A session for a comparison of times: where the threads of a session run decides about its times, more than networks
/// do, so there is one thread unless more were asked for.
pub(crate) fn compared_session(runtime: &RuntimeArgs) -> SessionOptions {
    session(runtime).threads(runtime.engine.threads.map_or(1, usize::from)).spinning(false)
}

/// How many sessions share the threads of one. More than four only if asked for: each has a copy of the weights.
pub(crate) fn session_count(all: &SessionOptions) -> usize {
    if all.device.takes_one_session() { 1 } else { all.threads.clamp(1, 4) }
}

/// Each of `count` sessions that share the threads of one.
pub(crate) fn shared_session(all: SessionOptions, count: usize) -> SessionOptions {
    let (threads, spinning) = ((all.threads / count).max(1), all.spinning && count == 1);
    all.threads(threads).spinning(spinning)
}

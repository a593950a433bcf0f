//! Which images a run processes, and where the results of each go.

use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};
use yolo9::detect::DetectorOptions;
use yolo9::hexadecimal;
use yolo9::image::ImageLimits;
use yolo9::output::{Header, RunSettings, Shard};
use yolo9::runtime::SessionOptions;
use yolo9::untrusted::{FileKind, read};

use super::places::Places;
use super::sources::{Source, Sources};
use super::video::About;
use crate::cli::{DetectArgs, Globals};
use crate::weights::provenance;

/// An image or video of the run. Small: a run may have millions of them.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// Its number among all inputs, shards included.
    pub(crate) index: usize,
    pub(crate) source: Source,
    /// The place of its files, where that of its source was taken.
    renamed: Option<Box<Path>>,
}

impl Planned {
    /// An object of a listing, which has the listing's number: only runs that are counted before need one for each.
    pub(crate) fn listed(index: usize, source: Source) -> Self {
        Self { index, source, renamed: None }
    }

    /// Of its files, below the output folder.
    pub(crate) fn place(&self) -> PathBuf {
        self.renamed.as_deref().map_or_else(|| self.source.relative(), Path::to_path_buf)
    }
}

/// What happens to inputs that are many images, between these.
pub(crate) enum FeedEvent {
    Opened(Planned, About),
    /// A video or listing has ended, or why it did not come to its end.
    Closed(Planned, Result<(), String>),
}

/// The images of a run in order.
pub(crate) struct RunPlan {
    pub(crate) images: Vec<Planned>,
    shard: Shard,
    /// Of all shards.
    total: usize,
    inputs: String,
    /// Inputs that are no images, with the reason.
    pub(crate) unusable: Vec<(String, String)>,
    /// Files that were read for their lines.
    pub(crate) lists: Vec<PathBuf>,
}

impl RunPlan {
    /// Gives every input its place before it takes the shard's part of them, so that shards cannot collide.
    pub(crate) fn new(sources: Sources, with_labels: bool, shard: Shard) -> Self {
        let mut places = Places::default();
        let mut names = Sha256::new();
        let mut images = Vec::new();
        let total = sources.images.len();
        for (index, source) in sources.images.into_iter().enumerate() {
            let relative = source.relative();
            let place = places.claim(&relative, with_labels);
            names.update(source.name().as_bytes());
            names.update(b"\n");
            if shard.has(index) {
                let renamed = (place != relative).then(|| place.into());
                images.push(Planned { index, source, renamed });
            }
        }
        images.shrink_to_fit();
        let (unusable, lists) = (sources.failed, sources.lists);
        Self { images, shard, total, inputs: hexadecimal(&names.finalize()), unusable, lists }
    }

    /// The image of that number, if it is one of this run.
    pub(crate) fn image(&self, index: usize) -> Option<&Planned> {
        self.images.get(index / self.shard.parts()).filter(|planned| planned.index == index)
    }

    /// The first video or listing. Its images are not counted before they come, so a run with one cannot be resumed or
    /// divided.
    pub(crate) fn uncounted(&self) -> Option<&Planned> {
        self.images.iter().find(|planned| planned.source.is_uncounted())
    }

    /// How many images there are, a video or listing counting as many.
    pub(crate) fn at_least(&self) -> usize {
        // A shard may have none at all; the network is opened all the same.
        if self.uncounted().is_some() { usize::MAX } else { self.images.len().max(1) }
    }

    /// What must be the same for the run to be resumed later.
    pub(crate) fn header(
        &self,
        args: &DetectArgs,
        globals: &Globals,
        (options, limits, session): (&DetectorOptions, ImageLimits, &SessionOptions),
        class_names: &[String],
    ) -> anyhow::Result<Option<Header>> {
        if !args.output.needs_folder() || self.uncounted().is_some() {
            return Ok(None);
        }
        Ok(Some(Header {
            journal: Header::VERSION,
            yolo9: env!("CARGO_PKG_VERSION").into(),
            model: model_of(args, globals)?,
            settings: settings(args, options, limits, session),
            written: args.output.image_files().map(|files| files.name.to_owned()).collect(),
            inputs: self.inputs.clone(),
            total: self.total,
            shard: self.shard,
            class_names: class_names.to_vec(),
            unusable: self.unusable.clone(),
        }))
    }
}

/// Model and thresholds, for people. `model` is that of a journal, whose hashes are left out.
pub(crate) fn made_with(model: &str, confidence_threshold: f32, iou_threshold: f32) -> String {
    let is_hash = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let model = model.split(' ').filter(|word| !is_hash(word)).collect::<Vec<_>>().join(" ");
    format!("{model}, confidence threshold {confidence_threshold}, NMS IoU threshold {iou_threshold}")
}

/// Name and hash of the weights, and of the config if it is not theirs.
fn model_of(args: &DetectArgs, globals: &Globals) -> anyhow::Result<String> {
    let (name, hash) = provenance(&args.model.weights, globals)?;
    let Some(config) = &args.model.config else { return Ok(format!("{name} {hash}")) };
    let bytes = if Path::new(config).is_file() {
        read(Path::new(config), FileKind::Config).with_context(|| format!("{config} cannot be read"))?
    } else {
        Vec::new()
    };
    Ok(format!("{name} {hash} with {config} {}", hexadecimal(&Sha256::digest(bytes))))
}

/// What decides about results. How much memory there is decides which images fail, not what is detected; and every machine
/// has its own.
fn settings(
    args: &DetectArgs,
    options: &DetectorOptions,
    limits: ImageLimits,
    session: &SessionOptions,
) -> RunSettings {
    let (letterbox, postprocess, output) = (&options.letterbox, &options.postprocess, &args.output);
    RunSettings {
        input: [letterbox.target.width, letterbox.target.height],
        stride: letterbox.stride,
        input_shape: letterbox.shape,
        box_rescaling: letterbox.box_rescaling,
        confidence_threshold: postprocess.confidence_threshold,
        iou_threshold: postprocess.nms.iou_threshold,
        max_detections: postprocess.nms.max_detections,
        class_agnostic: postprocess.nms.class_agnostic,
        classes: postprocess.classes.clone(),
        max_pixels: limits.max_pixels,
        native_dysample: session.native_dysample(),
        device: session.device.name().into(),
        precision: session.precision.unwrap_or_default().to_string(),
        line_width: output.line_width,
        hide_labels: output.hide_labels,
        hide_confidence: output.hide_conf,
        save_confidence: output.save_conf,
    }
}

//! What a user may choose about detection.

pub use crate::image::Preset;
use crate::image::{BoxRescaling, LetterboxOptions};
use crate::setters::setters;

impl Preset {
    /// Confidence threshold and NMS of the preset.
    #[must_use]
    pub fn postprocess(self) -> PostprocessOptions {
        let nms = match self {
            Preset::Yolov9 => NmsOptions { iou_threshold: 0.45, max_detections: 1000, class_agnostic: false },
            Preset::Ultralytics => NmsOptions { iou_threshold: 0.7, max_detections: 300, class_agnostic: false },
        };
        PostprocessOptions { confidence_threshold: 0.25, nms, multi_label: false, classes: None }
    }

    /// The options of evaluation, which are those of both tools: confidence threshold 0.001, NMS IoU threshold 0.7, 300
    /// detections, several classes per anchor point.
    #[must_use]
    pub fn evaluation() -> PostprocessOptions {
        let nms = NmsOptions { iou_threshold: 0.7, max_detections: 300, class_agnostic: false };
        PostprocessOptions { confidence_threshold: 0.001, nms, multi_label: true, classes: None }
    }

    /// How the preset's tool brings boxes back to pixels of the image.
    #[must_use]
    pub fn box_rescaling(self) -> BoxRescaling {
        match self {
            Preset::Yolov9 => BoxRescaling::Official,
            Preset::Ultralytics => BoxRescaling::Ultralytics,
        }
    }
}

/// Non-maximum suppression.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct NmsOptions {
    /// Boxes of one class that overlap more than this are one object, 0 to 1. Too low merges neighbours, too high
    /// leaves duplicates.
    pub iou_threshold: f32,
    /// Maximum detections per image; the best ones are kept.
    pub max_detections: usize,
    /// Whether boxes of different classes suppress each other.
    pub class_agnostic: bool,
}

impl Default for NmsOptions {
    /// That of [`Preset::Yolov9`].
    fn default() -> Self {
        Preset::default().postprocess().nms
    }
}

setters!(NmsOptions { iou_threshold: f32, max_detections: usize, class_agnostic: bool });

/// Which outputs of the head become detections.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PostprocessOptions {
    /// Confidences must be above this, 0 to 1. Too high loses objects, too low gives false ones.
    pub confidence_threshold: f32,
    /// How duplicates are removed.
    pub nms: NmsOptions,
    /// Whether an anchor point gives a detection for each class above the threshold, as evaluation wants it, instead of
    /// one for the most probable class.
    pub multi_label: bool,
    /// Only these class ids; all if absent.
    pub classes: Option<Vec<usize>>,
}

impl Default for PostprocessOptions {
    /// Those of [`Preset::Yolov9`].
    fn default() -> Self {
        Preset::default().postprocess()
    }
}

setters!(PostprocessOptions {
    confidence_threshold: f32,
    nms: NmsOptions,
    multi_label: bool,
    classes: Option<Vec<usize>>,
});

/// Everything that an [`Engine`](super::Engine) needs to know besides the network.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DetectorOptions {
    /// Where an image goes in the network's input.
    pub letterbox: LetterboxOptions,
    /// What counts as a detection.
    pub postprocess: PostprocessOptions,
}

impl DetectorOptions {
    /// Both parts.
    #[must_use]
    pub fn new(letterbox: LetterboxOptions, postprocess: PostprocessOptions) -> Self {
        Self { letterbox, postprocess }
    }
}

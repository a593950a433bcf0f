//! What a user may choose about detection.

use crate::picture::{Fit, ScaleBack};

/// Defaults of the two tools that users come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preset {
    /// Official `detect.py`: confidence 0.25, IoU 0.45, 1000 detections.
    #[default]
    Yolov9,
    /// Ultralytics `predict`: confidence 0.25, IoU 0.7, 300 detections.
    Ultralytics,
}

impl Preset {
    /// Thresholds of the preset.
    #[must_use]
    pub fn thresholds(self) -> Thresholds {
        let (iou, max_detections) = match self {
            Preset::Yolov9 => (0.45, 1000),
            Preset::Ultralytics => (0.7, 300),
        };
        Thresholds { confidence: 0.25, iou, max_detections, agnostic: false, multi_label: false, classes: None }
    }

    /// Thresholds of evaluation, which are those of both tools: every detection of confidence 0.001, IoU 0.7, 300
    /// detections, several classes per cell.
    #[must_use]
    pub fn evaluation() -> Thresholds {
        Thresholds {
            confidence: 0.001,
            iou: 0.7,
            max_detections: 300,
            agnostic: false,
            multi_label: true,
            classes: None,
        }
    }

    /// How the preset's tool scales boxes back.
    #[must_use]
    pub fn scale_back(self) -> ScaleBack {
        match self {
            Preset::Yolov9 => ScaleBack::Official,
            Preset::Ultralytics => ScaleBack::Ultralytics,
        }
    }
}

/// Which candidates become detections.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// Scores must be above this, 0 to 1. Too high loses objects, too low gives false ones.
    pub confidence: f32,
    /// Boxes of one class that overlap more than this are one object, 0 to 1. Too low merges neighbours, too high
    /// leaves duplicates.
    pub iou: f32,
    /// At most this many, the best ones.
    pub max_detections: usize,
    /// Whether boxes of different classes suppress each other.
    pub agnostic: bool,
    /// Whether a cell gives a detection for each class above the threshold, as evaluation wants it, instead of one for
    /// the most probable class.
    pub multi_label: bool,
    /// Only these class ids; all if absent.
    pub classes: Option<Vec<usize>>,
}

/// Everything that a [`super::Detector`] needs to know besides the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where pictures go.
    pub fit: Fit,
    /// What counts as a detection.
    pub thresholds: Thresholds,
}

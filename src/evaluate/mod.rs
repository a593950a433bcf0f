//! How good detections are, against labelled images.
//!
//! Two families of numbers are in use under the same names, and they differ: those of COCO ([`CocoEvaluation`], equal to
//! pycocotools) and those of the YOLO training codes ([`yolo_metrics`]), which interpolate the precision-recall curve
//! linearly.

mod bootstrap;
mod coco;
mod counts;
mod curve;
mod dataset;
mod yolo;

pub use bootstrap::{ApDifferences, Difference, LEAST_IMAGES, ap_differences};
pub use coco::{AREAS, ClassScore, CocoEvaluation, CocoMetrics};
pub use counts::{Counts, Matching, match_ground_truths};
pub use curve::confusion;
pub use dataset::{Dataset, DatasetError, LabelProblem, Labelled, MAX_OF_ONE, yolo_labels};
pub use yolo::{YoloClass, YoloMetrics, yolo_metrics};

use crate::detect::Detection;

/// A labelled object.
#[derive(Debug, Clone, PartialEq)]
pub struct GroundTruth {
    /// Where it is.
    pub bbox: BoxXywh,
    /// Class id.
    pub class: usize,
    /// In square pixels: of its outline where that is known, else of its box. Decides what is small.
    pub area: f64,
    /// Whether it stands for a crowd: detections within it are neither right nor wrong.
    pub crowd: bool,
}

/// A detection that is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Where it is.
    pub bbox: BoxXywh,
    /// Class id.
    pub class: usize,
    /// Confidence.
    pub score: f64,
}

/// A box by its left and top edge, width and height, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxXywh {
    /// Left edge.
    pub x: f64,
    /// Top edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl BoxXywh {
    /// In square pixels.
    #[must_use]
    pub fn area(&self) -> f64 {
        self.width * self.height
    }

    /// Area of what both cover.
    fn intersection(&self, other: &Self) -> f64 {
        let overlap = |a: f64, a_length: f64, b: f64, b_length: f64| (a + a_length).min(b + b_length) - a.max(b);
        let width = overlap(self.x, self.width, other.x, other.width);
        let height = overlap(self.y, self.height, other.y, other.height);
        if width > 0.0 && height > 0.0 { width * height } else { 0.0 }
    }

    /// Intersection over union, 0 to 1.
    #[must_use]
    pub fn iou(&self, other: &Self) -> f64 {
        let intersection = self.intersection(other);
        if intersection > 0.0 { intersection / (self.area() + other.area() - intersection) } else { 0.0 }
    }
}

impl From<&Detection> for Prediction {
    fn from(detection: &Detection) -> Self {
        let [x1, y1, x2, y2] =
            [detection.bbox.x1, detection.bbox.y1, detection.bbox.x2, detection.bbox.y2].map(f64::from);
        let bbox = BoxXywh { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
        Self { bbox, class: detection.class, score: f64::from(detection.confidence) }
    }
}

/// An image with its labels and detections.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EvalImage {
    /// What is there.
    pub ground_truths: Vec<GroundTruth>,
    /// What was found.
    pub predictions: Vec<Prediction>,
}

/// Least IoU of a right detection: 0.5, 0.55, …, 0.95, with the rounding of NumPy's `linspace`, which decides about
/// overlaps that lie on a threshold.
#[must_use]
pub fn iou_thresholds() -> [f64; 10] {
    let step = (0.95 - 0.5) / 9.0;
    std::array::from_fn(|n| if n == 9 { 0.95 } else { 0.5 + step * n as f64 })
}

/// The mean of what is there; NaN of nothing.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    sum / count as f64
}

#[cfg(test)]
mod tests {
    //! Squares of 100 pixels side by side, for the tests of all metrics.

    use super::*;

    fn square(x: f64) -> BoxXywh {
        BoxXywh { x, y: 0.0, width: 100.0, height: 100.0 }
    }

    pub(super) fn truth(x: f64, class: usize) -> GroundTruth {
        GroundTruth { bbox: square(x), class, area: 1e4, crowd: false }
    }

    pub(super) fn found(x: f64, class: usize, score: f64) -> Prediction {
        Prediction { bbox: square(x), class, score }
    }
}

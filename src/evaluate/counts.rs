//! Right and wrong detections at one confidence threshold: what a user of `detect` sees.

use super::{EvalImage, Prediction};

/// Least IoU of a right detection.
const RIGHT_FROM: f64 = 0.5;

/// Detections against labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Right detections.
    pub true_positives: usize,
    /// Wrong ones.
    pub false_positives: usize,
    /// Labels that no detection found.
    pub misses: usize,
}

impl Counts {
    /// Of all images.
    #[must_use]
    pub fn of(images: &[EvalImage]) -> Self {
        let mut counts = Self::default();
        for image in images {
            let Matching { right, found } = match_ground_truths(image);
            let count = |list: &[Option<bool>], wanted: bool| list.iter().filter(|is| **is == Some(wanted)).count();
            counts.true_positives += count(&right, true);
            counts.false_positives += count(&right, false);
            counts.misses += count(&found, false);
        }
        counts
    }

    /// The share of detections that are right, 0 to 1; NaN without detections.
    #[must_use]
    pub fn precision(&self) -> f64 {
        self.true_positives as f64 / (self.true_positives + self.false_positives) as f64
    }

    /// The share of labels that are found, 0 to 1; NaN without labels.
    #[must_use]
    pub fn recall(&self) -> f64 {
        self.true_positives as f64 / (self.true_positives + self.misses) as f64
    }
}

/// What became of the detections and labels of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matching {
    /// Whether each detection is right; nothing for those inside a crowd, which are neither right nor wrong.
    pub right: Vec<Option<bool>>,
    /// Whether each label is found; nothing for a crowd.
    pub found: Vec<Option<bool>>,
}

/// By falling confidence, each detection takes the label of its class with the largest IoU, from 0.5 on, that none has
/// taken, as COCO matches them.
#[must_use]
pub fn match_ground_truths(image: &EvalImage) -> Matching {
    let mut order: Vec<usize> = (0..image.predictions.len()).collect();
    order.sort_by(|a, b| image.predictions[*b].score.total_cmp(&image.predictions[*a].score));
    let mut found: Vec<_> = image.ground_truths.iter().map(|truth| (!truth.crowd).then_some(false)).collect();
    let mut right = vec![None; image.predictions.len()];
    for place in order {
        let detection = &image.predictions[place];
        let labels = image.ground_truths.iter().enumerate();
        let free = labels.filter(|(n, truth)| truth.class == detection.class && found[*n] == Some(false));
        let best = free.map(|(n, truth)| (n, detection.bbox.iou(&truth.bbox))).max_by(|a, b| a.1.total_cmp(&b.1));
        right[place] = match best.filter(|(_, iou)| *iou >= RIGHT_FROM) {
            Some((label, _)) => {
                found[label] = Some(true);
                Some(true)
            }
            None if lies_in_crowd(image, detection) => None,
            None => Some(false),
        };
    }
    Matching { right, found }
}

/// A crowd's box holds any number of objects.
fn lies_in_crowd(image: &EvalImage, found: &Prediction) -> bool {
    let crowds = image.ground_truths.iter().filter(|truth| truth.crowd && truth.class == found.class);
    let mut shares = crowds.map(|truth| found.bbox.intersection(&truth.bbox) / found.bbox.area());
    shares.any(|share| share >= RIGHT_FROM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::GroundTruth;
    use crate::evaluate::tests::{found, truth};

    #[test]
    fn a_label_is_found_once_and_crowds_do_not_count() {
        let crowd = GroundTruth { crowd: true, ..truth(500.0, 0) };
        let image = EvalImage {
            ground_truths: vec![truth(0.0, 0), truth(200.0, 1), crowd],
            predictions: vec![
                found(5.0, 0, 0.6),
                found(0.0, 0, 0.9),
                found(200.0, 0, 0.8),
                found(510.0, 0, 0.7),
                found(520.0, 1, 0.7),
            ],
        };
        let Matching { right, found } = match_ground_truths(&image);
        assert_eq!(right, [Some(false), Some(true), Some(false), None, Some(false)]);
        assert_eq!(found, [Some(true), Some(false), None]);
        let counts = Counts::of(&[image, EvalImage::default()]);
        assert_eq!(counts, Counts { true_positives: 1, false_positives: 3, misses: 1 });
        assert_eq!((counts.precision(), counts.recall()), (0.25, 0.5));
        assert!(Counts::default().precision().is_nan());
    }
}

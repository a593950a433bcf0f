//! Curves and counts for plots.

use super::{EvalImage, GroundTruth, Prediction};
use crate::detect::best_pairs;

/// As NumPy's `interp`: linear between rising `places`, `before` below the first one, the last value beyond the last one,
/// and of equal places the last value.
pub(super) fn interpolate(place: f64, places: &[f64], values: &[f64], before: f64) -> f64 {
    let after = places.partition_point(|other| *other <= place);
    if after == 0 {
        return before;
    }
    let (Some(next), low) = (places.get(after), after - 1) else { return values[after - 1] };
    values[low] + (values[after] - values[low]) * (place - places[low]) / (next - places[low])
}

/// What was taken for what: `[found][there]`, with one more row and column for the background. Counts detections of at least `confidence` that overlap a label by more than `iou`, whatever the class of either, each
/// label and each detection once, the largest overlaps first.
#[must_use]
pub fn confusion(images: &[EvalImage], classes: usize, confidence: f64, iou: f64) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; classes + 1]; classes + 1];
    for eval_image in images {
        let found: Vec<_> = eval_image.predictions.iter().filter(|found| found.score >= confidence).collect();
        let (mut of_found, mut of_truth) = (vec![classes; found.len()], vec![classes; eval_image.ground_truths.len()]);
        for (f, t) in pairs(&found, &eval_image.ground_truths, iou) {
            (of_found[f], of_truth[t]) = (eval_image.ground_truths[t].class, found[f].class);
        }
        for (prediction, there) in found.iter().zip(of_found) {
            counts[prediction.class][there] += 1;
        }
        for (truth, seen) in eval_image.ground_truths.iter().zip(of_truth) {
            if seen == classes {
                counts[classes][truth.class] += 1;
            }
        }
    }
    counts
}

fn pairs(found: &[&Prediction], ground_truths: &[GroundTruth], iou: f64) -> Vec<(usize, usize)> {
    let overlap = |f: usize, t: usize| Some(found[f].bbox.iou(&ground_truths[t].bbox)).filter(|overlap| *overlap > iou);
    best_pairs([found.len(), ground_truths.len()], overlap)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::evaluate::tests::{found, truth};

    #[test]
    fn interpolation_is_that_of_numpy() {
        let (places, values) = ([0.0, 0.5, 0.5, 1.0], [1.0, 1.0, 0.0, 0.0]);
        for (place, value) in [(-1.0, 7.0), (0.0, 1.0), (0.49, 1.0), (0.5, 0.0), (1.0, 0.0), (2.0, 0.0)] {
            assert_eq!(interpolate(place, &places, &values, 7.0), value, "{place}");
        }
        assert_eq!(interpolate(0.25, &[0.0, 1.0], &[0.0, 4.0], 0.0), 1.0);
        assert_eq!(interpolate(0.5, &[], &[], 3.0), 3.0);
    }

    proptest! {
        /// Against the definition: all pairs sorted.
        #[test]
        fn pairs_are_those_of_the_sorted_table(seen in prop::collection::vec(0u8..12, 0..12), there in prop::collection::vec(0u8..12, 0..12)) {
            let predictions: Vec<Prediction> = seen.iter().map(|x| found(10.0 * f64::from(*x), 0, 0.5)).collect();
            let ground_truths: Vec<GroundTruth> = there.iter().map(|x| truth(10.0 * f64::from(*x), 0)).collect();
            let mut all: Vec<(f64, usize, usize)> = Vec::new();
            for (f, prediction) in predictions.iter().enumerate() {
                let overlaps = ground_truths.iter().enumerate().map(|(t, truth)| (prediction.bbox.iou(&truth.bbox), f, t));
                all.extend(overlaps.filter(|(overlap, ..)| *overlap > 0.45));
            }
            all.sort_by(|a, b| b.0.total_cmp(&a.0));
            let mut expected: Vec<(usize, usize)> = Vec::new();
            for (_, f, t) in all {
                if !expected.iter().any(|(other_f, other_t)| *other_f == f || *other_t == t) {
                    expected.push((f, t));
                }
            }
            prop_assert_eq!(pairs(&predictions.iter().collect::<Vec<_>>(), &ground_truths, 0.45), expected);
        }
    }

    #[test]
    fn every_label_and_detection_is_counted_once() {
        let eval_image = EvalImage {
            ground_truths: vec![truth(0.0, 0), truth(100.0, 1), truth(200.0, 1)],
            predictions: vec![found(0.0, 0, 0.9), found(1.0, 0, 0.8), found(100.0, 0, 0.7), found(200.0, 1, 0.1)],
        };
        let counts = confusion(&[eval_image], 2, 0.25, 0.45);
        // Class 0: once right, once taken for a 1, once nothing there; one 1 not found.
        assert_eq!(counts, [vec![1, 1, 1], vec![0, 0, 0], vec![0, 1, 0]]);
    }
}

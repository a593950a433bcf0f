//! Curves and counts for plots.

use super::Judged;

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

/// What was taken for what: `counts[found][there]`, with one more row and column for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    /// Detected class by row, labelled class by column; the last of each is the background.
    pub counts: Vec<Vec<usize>>,
}

/// Counts detections of at least `confidence` that overlap a label by more than `iou`, whatever the class of either, each
/// label and each detection once, the largest overlaps first.
#[must_use]
pub fn confusion(pictures: &[Judged], classes: usize, confidence: f64, iou: f64) -> Confusion {
    let mut counts = vec![vec![0; classes + 1]; classes + 1];
    for judged in pictures {
        let found: Vec<_> = judged.predictions.iter().filter(|found| found.score >= confidence).collect();
        let mut pairs = Vec::new();
        for (f, prediction) in found.iter().enumerate() {
            for (t, truth) in judged.truths.iter().enumerate() {
                let overlap = prediction.bbox.iou(&truth.bbox);
                if overlap > iou {
                    pairs.push((overlap, f, t));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut of_found, mut of_truth) = (vec![classes; found.len()], vec![classes; judged.truths.len()]);
        let (mut used_found, mut used_truth) = (vec![false; found.len()], vec![false; judged.truths.len()]);
        for (_, f, t) in pairs {
            if !used_found[f] && !used_truth[t] {
                (used_found[f], used_truth[t]) = (true, true);
                (of_found[f], of_truth[t]) = (judged.truths[t].class, found[f].class);
            }
        }
        for (prediction, there) in found.iter().zip(of_found) {
            counts[prediction.class][there] += 1;
        }
        for (truth, seen) in judged.truths.iter().zip(of_truth) {
            if seen == classes {
                counts[classes][truth.class] += 1;
            }
        }
    }
    Confusion { counts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::{Prediction, Rectangle, Truth};

    #[test]
    fn interpolation_is_that_of_numpy() {
        let (places, values) = ([0.0, 0.5, 0.5, 1.0], [1.0, 1.0, 0.0, 0.0]);
        for (place, value) in [(-1.0, 7.0), (0.0, 1.0), (0.49, 1.0), (0.5, 0.0), (1.0, 0.0), (2.0, 0.0)] {
            assert_eq!(interpolate(place, &places, &values, 7.0), value, "{place}");
        }
        assert_eq!(interpolate(0.25, &[0.0, 1.0], &[0.0, 4.0], 0.0), 1.0);
        assert_eq!(interpolate(0.5, &[], &[], 3.0), 3.0);
    }

    #[test]
    fn every_label_and_detection_is_counted_once() {
        let bbox = |x: f64| Rectangle { x, y: 0.0, width: 10.0, height: 10.0 };
        let truth = |x, class| Truth { bbox: bbox(x), class, area: 100.0, crowd: false };
        let found = |x, class, score| Prediction { bbox: bbox(x), class, score };
        let judged = Judged {
            truths: vec![truth(0.0, 0), truth(100.0, 1), truth(200.0, 1)],
            predictions: vec![found(0.0, 0, 0.9), found(1.0, 0, 0.8), found(100.0, 0, 0.7), found(200.0, 1, 0.1)],
        };
        let counts = confusion(&[judged], 2, 0.25, 0.45).counts;
        // Class 0: once right, once taken for a 1, once nothing there; one 1 not found.
        assert_eq!(counts, [vec![1, 1, 1], vec![0, 0, 0], vec![0, 1, 0]]);
    }
}

//! Non-maximum suppression.

use super::decode::Candidate;
use super::settings::Thresholds;

/// More candidates than this are cut off by score first, as in the official code.
const MAX_CANDIDATES: usize = 30_000;

/// Greedy suppression: candidates in order of score (equal scores in the given order), each kept unless it overlaps a
/// kept one of the same class (of any class if agnostic) by more than the IoU threshold, until `max_detections` are
/// kept.
///
/// The official code shifts each class by 7680 pixels and suppresses all at once, which rounds coordinates of high
/// class ids to 1/16 pixel; comparing within classes does not.
#[must_use]
pub fn suppress(mut candidates: Vec<Candidate>, thresholds: &Thresholds) -> Vec<Candidate> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates.truncate(MAX_CANDIDATES);
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if kept.len() >= thresholds.max_detections {
            break;
        }
        let duplicate = kept.iter().any(|other| {
            (thresholds.agnostic || other.class == candidate.class) && other.bbox.iou(&candidate.bbox) > thresholds.iou
        });
        if !duplicate {
            kept.push(candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{BoxXyxy, Preset};

    fn candidate(x1: f32, score: f32, class: usize) -> Candidate {
        Candidate { bbox: BoxXyxy { x1, y1: 0.0, x2: x1 + 10.0, y2: 10.0 }, class, score }
    }

    fn scores(candidates: &[Candidate], thresholds: &Thresholds) -> Vec<f32> {
        suppress(candidates.to_vec(), thresholds).iter().map(|c| c.score).collect()
    }

    #[test]
    fn overlapping_boxes_of_a_class_are_reduced_to_the_best() {
        let thresholds = Preset::Yolov9.thresholds();
        // IoU with the first: 8/12, 4/16, and 8/12 in another class.
        let all = [candidate(0.0, 0.6, 0), candidate(2.0, 0.9, 0), candidate(8.0, 0.5, 0), candidate(2.0, 0.7, 1)];
        assert_eq!(scores(&all, &thresholds), [0.9, 0.7, 0.5]);
        assert_eq!(scores(&all, &Thresholds { agnostic: true, ..thresholds.clone() }), [0.9, 0.5]);
        assert_eq!(scores(&all, &Thresholds { max_detections: 2, ..thresholds.clone() }), [0.9, 0.7]);
        assert_eq!(scores(&all, &Thresholds { iou: 0.7, ..thresholds }), [0.9, 0.7, 0.6, 0.5]);
    }

    #[test]
    fn a_suppressed_box_does_not_suppress() {
        // 0 overlaps 3 overlaps 6, but 0 and 6 do not overlap enough.
        let chain = [candidate(0.0, 0.9, 0), candidate(3.0, 0.8, 0), candidate(6.0, 0.7, 0)];
        assert_eq!(scores(&chain, &Preset::Yolov9.thresholds()), [0.9, 0.7]);
    }

    #[test]
    fn exactly_the_threshold_is_kept() {
        let thresholds = Thresholds { iou: 0.5, ..Preset::Yolov9.thresholds() };
        let half = BoxXyxy { x1: 0.0, y1: 0.0, x2: 10.0, y2: 5.0 };
        let pair = [candidate(0.0, 0.9, 0), Candidate { bbox: half, class: 0, score: 0.8 }];
        assert_eq!(scores(&pair, &thresholds), [0.9, 0.8]);
    }
}

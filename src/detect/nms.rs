//! Non-maximum suppression.

use super::{Detection, NmsOptions};

/// More candidates than this are cut off by confidence first, as in the official code.
const MAX_CANDIDATES: usize = 30_000;

/// Greedy NMS: candidates in order of confidence (equal ones in the given order), each kept unless it overlaps a kept one
/// of the same class (of any class if class-agnostic) by more than the IoU threshold, until `max_detections` are kept.
///
/// The official code shifts each class by 7680 pixels and suppresses all at once, which rounds coordinates of high
/// class ids to 1/16 pixel; comparing within classes does not.
#[must_use]
pub fn nms(mut candidates: Vec<Detection>, options: &NmsOptions) -> Vec<Detection> {
    candidates.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    candidates.truncate(MAX_CANDIDATES);
    let mut kept: Vec<Detection> = Vec::new();
    for candidate in candidates {
        if kept.len() >= options.max_detections {
            break;
        }
        let duplicate = kept.iter().any(|other| {
            (options.class_agnostic || other.class == candidate.class)
                && other.bbox.iou(&candidate.bbox) > options.iou_threshold
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
    use crate::detect::BoxXyxy;

    fn candidate(x1: f32, confidence: f32, class: usize) -> Detection {
        Detection { bbox: BoxXyxy { x1, y1: 0.0, x2: x1 + 10.0, y2: 10.0 }, class, confidence }
    }

    fn kept(candidates: &[Detection], options: &NmsOptions) -> Vec<f32> {
        nms(candidates.to_vec(), options).iter().map(|c| c.confidence).collect()
    }

    #[test]
    fn overlapping_boxes_of_a_class_are_reduced_to_the_best() {
        let options = NmsOptions::default();
        // IoU with the first: 8/12, 4/16, and 8/12 in another class.
        let all = [candidate(0.0, 0.6, 0), candidate(2.0, 0.9, 0), candidate(8.0, 0.5, 0), candidate(2.0, 0.7, 1)];
        assert_eq!(kept(&all, &options), [0.9, 0.7, 0.5]);
        assert_eq!(kept(&all, &options.class_agnostic(true)), [0.9, 0.5]);
        assert_eq!(kept(&all, &options.max_detections(2)), [0.9, 0.7]);
        assert_eq!(kept(&all, &options.iou_threshold(0.7)), [0.9, 0.7, 0.6, 0.5]);
    }

    #[test]
    fn a_suppressed_box_does_not_suppress() {
        // 0 overlaps 3 overlaps 6, but 0 and 6 do not overlap enough.
        let chain = [candidate(0.0, 0.9, 0), candidate(3.0, 0.8, 0), candidate(6.0, 0.7, 0)];
        assert_eq!(kept(&chain, &NmsOptions::default()), [0.9, 0.7]);
    }

    #[test]
    fn exactly_the_threshold_is_kept() {
        let options = NmsOptions::default().iou_threshold(0.5);
        let half = BoxXyxy { x1: 0.0, y1: 0.0, x2: 10.0, y2: 5.0 };
        let pair = [candidate(0.0, 0.9, 0), Detection { bbox: half, class: 0, confidence: 0.8 }];
        assert_eq!(kept(&pair, &options), [0.9, 0.8]);
    }
}

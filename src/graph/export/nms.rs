//! Non-maximum suppression inside the file: the same choice as `detect` makes, one class for each anchor point, the best first.

use super::Tail;
use super::decode::Decoded;
use crate::detect::NmsOptions;
use crate::onnx::Attribute;

/// `[B, K, 4]`: corners in pixels of the input.
pub(super) const BOXES: &str = "boxes";
/// `[B, K]`: falling; 0 where there is no further detection.
pub(super) const SCORES: &str = "scores";
/// `[B, K]`: class ids; -1 where there is no further detection.
pub(super) const CLASSES: &str = "classes";

/// Adds the nodes. `anchors` is their number where it is fixed.
pub(super) fn append(
    tail: &mut Tail,
    decoded: &Decoded,
    classes: usize,
    (nms, confidence_threshold): (&NmsOptions, f32),
    anchors: Option<usize>,
) {
    best_class(tail, &decoded.scores);
    let candidates = if nms.class_agnostic { "best.score" } else { by_class(tail, &decoded.scores, classes) };
    tail.push("Transpose", &[&decoded.corners], "corners.last", &[("perm", Attribute::Ints(&[0, 2, 1]))]);
    tail.ints("most", &[nms.max_detections as i64]);
    tail.floats("iou", &[1], vec![nms.iou_threshold]);
    tail.floats("confidence", &[1], vec![confidence_threshold]);
    let inputs = ["corners.last", candidates, "most", "iou", "confidence"];
    tail.push("NonMaxSuppression", &inputs, "selected", &[("center_point_box", Attribute::Int(0))]);
    kept_scores(tail);
    match anchors {
        Some(anchors) => tail.ints("kept.count", &[anchors.min(nms.max_detections) as i64]),
        None => {
            tail.push("Shape", &["kept"], "kept.shape", &[]);
            tail.ints("kept.axis", &[1]);
            tail.push("Gather", &["kept.shape", "kept.axis"], "kept.anchors", &[]);
            tail.push("Min", &["kept.anchors", "most"], "kept.count", &[]);
        }
    }
    let axis = [("axis", Attribute::Int(1))];
    tail.push_many("TopK", &["kept", "kept.count"], &[SCORES, "kept.anchor"], &axis);
    results(tail);
}

/// Class and score of the best class of every anchor point. `TopK` takes the first among equals, as `detect` does.
fn best_class(tail: &mut Tail, scores: &str) {
    tail.ints("single", &[1]);
    let outputs = ["best.score", "best.class"];
    tail.push_many("TopK", &[scores, "single"], &outputs, &[("axis", Attribute::Int(1))]);
    for (column, flat) in [("best.score", "best.scores"), ("best.class", "best.classes")] {
        tail.push("Squeeze", &[column, "single"], flat, &[]);
    }
}

/// Scores with those of all classes but the best one of each anchor point set to 0.
fn by_class(tail: &mut Tail, scores: &str, classes: usize) -> &'static str {
    let ids: Vec<i64> = (0..classes as i64).collect();
    tail.ints("class.ids", &ids);
    tail.ints("class.shape", &[1, -1, 1]);
    tail.push("Reshape", &["class.ids", "class.shape"], "class.column", &[]);
    tail.push("Equal", &["best.class", "class.column"], "is.best", &[]);
    tail.floats("no.score", &[], vec![0.0]);
    tail.push("Where", &["is.best", scores, "no.score"], "best.of.class", &[]);
    "best.of.class"
}

/// `[B, N]`: the score of every anchor point that was selected, 0 elsewhere.
fn kept_scores(tail: &mut Tail) {
    // Rows of `selected` are image, class, anchor.
    tail.ints("image.and.anchor", &[0, 2]);
    tail.push("Gather", &["selected", "image.and.anchor"], "selected.place", &[("axis", Attribute::Int(1))]);
    tail.push("GatherND", &["best.scores", "selected.place"], "selected.score", &[]);
    tail.push("Shape", &["best.scores"], "best.shape", &[]);
    tail.push("ConstantOfShape", &["best.shape"], "none.kept", &[]);
    tail.push("ScatterND", &["none.kept", "selected.place", "selected.score"], "kept", &[]);
}

fn results(tail: &mut Tail) {
    let axis = [("axis", Attribute::Int(1))];
    tail.floats("nothing", &[], vec![0.0]);
    tail.push("Greater", &[SCORES, "nothing"], "is.detection", &[]);
    tail.push("GatherElements", &["best.classes", "kept.anchor"], "kept.class", &axis);
    tail.constant(crate::onnx::int_scalar("no.class", -1));
    tail.push("Where", &["is.detection", "kept.class", "no.class"], CLASSES, &[]);
    tail.ints("last.axis", &[2]);
    tail.push("Unsqueeze", &["kept.anchor", "last.axis"], "kept.anchor.column", &[]);
    tail.ints("corner.shape", &[1, 1, 4]);
    tail.push("Expand", &["kept.anchor.column", "corner.shape"], "kept.anchor.corners", &[]);
    tail.push("GatherElements", &["corners.last", "kept.anchor.corners"], "kept.corners", &axis);
    tail.push("Unsqueeze", &["is.detection", "last.axis"], "is.detection.column", &[]);
    tail.push("Where", &["is.detection.column", "kept.corners", "nothing"], BOXES, &[]);
}

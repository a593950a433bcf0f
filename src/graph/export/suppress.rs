//! Non-maximum suppression inside the file: the same choice as `detect` makes, one class for each cell, the best first.

use super::decode::Decoded;
use super::{Suppression, Tail};
use crate::onnx::Attribute;

/// `[B, K, 4]`: corners in pixels of the input.
pub(super) const BOXES: &str = "boxes";
/// `[B, K]`: falling; 0 where there is no further detection.
pub(super) const SCORES: &str = "scores";
/// `[B, K]`: class ids; -1 where there is no further detection.
pub(super) const CLASSES: &str = "classes";

/// Adds the nodes. `cells` is their number where it is fixed.
pub(super) fn append(
    tail: &mut Tail,
    decoded: &Decoded,
    classes: usize,
    suppression: &Suppression,
    cells: Option<usize>,
) {
    best_class(tail, &decoded.scores);
    let candidates = if suppression.agnostic { "best.score" } else { by_class(tail, &decoded.scores, classes) };
    tail.push("Transpose", &[&decoded.corners], "corners.last", &[("perm", Attribute::Ints(&[0, 2, 1]))]);
    tail.ints("most", &[suppression.max_detections as i64]);
    tail.floats("iou", &[1], vec![suppression.iou]);
    tail.floats("confidence", &[1], vec![suppression.confidence]);
    let inputs = ["corners.last", candidates, "most", "iou", "confidence"];
    tail.push("NonMaxSuppression", &inputs, "selected", &[("center_point_box", Attribute::Int(0))]);
    kept_scores(tail);
    match cells {
        Some(cells) => tail.ints("kept.count", &[cells.min(suppression.max_detections) as i64]),
        None => {
            tail.push("Shape", &["kept"], "kept.shape", &[]);
            tail.ints("kept.axis", &[1]);
            tail.push("Gather", &["kept.shape", "kept.axis"], "kept.cells", &[]);
            tail.push("Min", &["kept.cells", "most"], "kept.count", &[]);
        }
    }
    let axis = [("axis", Attribute::Int(1))];
    tail.push_many("TopK", &["kept", "kept.count"], &[SCORES, "kept.cell"], &axis);
    results(tail);
}

/// Class and score of the best class of every cell. `TopK` takes the first among equals, as `detect` does.
fn best_class(tail: &mut Tail, scores: &str) {
    tail.ints("single", &[1]);
    let outputs = ["best.score", "best.class"];
    tail.push_many("TopK", &[scores, "single"], &outputs, &[("axis", Attribute::Int(1))]);
    for (column, flat) in [("best.score", "best.scores"), ("best.class", "best.classes")] {
        tail.push("Squeeze", &[column, "single"], flat, &[]);
    }
}

/// Scores with those of all classes but the best one of each cell set to 0.
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

/// `[B, N]`: the score of every cell that was selected, 0 elsewhere.
fn kept_scores(tail: &mut Tail) {
    // Rows of `selected` are picture, class, cell.
    tail.ints("picture.and.cell", &[0, 2]);
    tail.push("Gather", &["selected", "picture.and.cell"], "selected.place", &[("axis", Attribute::Int(1))]);
    tail.push("GatherND", &["best.scores", "selected.place"], "selected.score", &[]);
    tail.push("Shape", &["best.scores"], "best.shape", &[]);
    tail.push("ConstantOfShape", &["best.shape"], "none.kept", &[]);
    tail.push("ScatterND", &["none.kept", "selected.place", "selected.score"], "kept", &[]);
}

fn results(tail: &mut Tail) {
    let axis = [("axis", Attribute::Int(1))];
    tail.floats("nothing", &[], vec![0.0]);
    tail.push("Greater", &[SCORES, "nothing"], "is.detection", &[]);
    tail.push("GatherElements", &["best.classes", "kept.cell"], "kept.class", &axis);
    tail.constant(crate::onnx::int_scalar("no.class", -1));
    tail.push("Where", &["is.detection", "kept.class", "no.class"], CLASSES, &[]);
    tail.ints("last.axis", &[2]);
    tail.push("Unsqueeze", &["kept.cell", "last.axis"], "kept.cell.column", &[]);
    tail.ints("corner.shape", &[1, 1, 4]);
    tail.push("Expand", &["kept.cell.column", "corner.shape"], "kept.cell.corners", &[]);
    tail.push("GatherElements", &["corners.last", "kept.cell.corners"], "kept.corners", &axis);
    tail.push("Unsqueeze", &["is.detection", "last.axis"], "is.detection.column", &[]);
    tail.push("Where", &["is.detection.column", "kept.corners", "nothing"], BOXES, &[]);
}

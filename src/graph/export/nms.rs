//! Non-maximum suppression inside the file: the same choice as `detect` makes, one class for each anchor point, the best first.

use super::decode;
use crate::detect::NmsOptions;
use crate::onnx::{Attribute, GraphProto, int_scalar, node};

/// `[B, K, 4]`: corners in pixels of the input.
pub(super) const BOXES: &str = "boxes";
/// `[B, K]`: falling; 0 where there is no further detection.
pub(super) const SCORES: &str = "scores";
/// `[B, K]`: class ids; -1 where there is no further detection.
pub(super) const CLASSES: &str = "classes";

/// Adds the nodes. `anchors` is their number where it is fixed.
pub(super) fn append(
    graph: &mut GraphProto,
    classes: usize,
    (nms, confidence_threshold): (&NmsOptions, f32),
    anchors: Option<usize>,
) {
    best_class(graph, decode::SCORES);
    let candidates = if nms.class_agnostic { "best.score" } else { by_class(graph, decode::SCORES, classes) };
    graph.push("Transpose", &[decode::CORNERS], "corners.last", &[("perm", Attribute::Ints(&[0, 2, 1]))]);
    graph.ints("most", &[nms.max_detections as i64]);
    graph.floats("iou", &[1], vec![nms.iou_threshold]);
    graph.floats("confidence", &[1], vec![confidence_threshold]);
    let inputs = ["corners.last", candidates, "most", "iou", "confidence"];
    graph.push("NonMaxSuppression", &inputs, "selected", &[("center_point_box", Attribute::Int(0))]);
    kept_scores(graph);
    match anchors {
        Some(anchors) => graph.ints("kept.count", &[anchors.min(nms.max_detections) as i64]),
        None => {
            graph.push("Shape", &["kept"], "kept.shape", &[]);
            graph.ints("kept.axis", &[1]);
            graph.push("Gather", &["kept.shape", "kept.axis"], "kept.anchors", &[]);
            graph.push("Min", &["kept.anchors", "most"], "kept.count", &[]);
        }
    }
    let axis = [("axis", Attribute::Int(1))];
    graph.node.push(node("TopK", &["kept", "kept.count"], &[SCORES, "kept.anchor"], &axis));
    results(graph);
}

/// Class and score of the best class of every anchor point. `TopK` takes the first among equals, as `detect` does.
fn best_class(graph: &mut GraphProto, scores: &str) {
    graph.ints("single", &[1]);
    let outputs = ["best.score", "best.class"];
    graph.node.push(node("TopK", &[scores, "single"], &outputs, &[("axis", Attribute::Int(1))]));
    for (column, flat) in [("best.score", "best.scores"), ("best.class", "best.classes")] {
        graph.push("Squeeze", &[column, "single"], flat, &[]);
    }
}

/// Scores with those of all classes but the best one of each anchor point set to 0.
fn by_class(graph: &mut GraphProto, scores: &str, classes: usize) -> &'static str {
    let ids: Vec<i64> = (0..classes as i64).collect();
    graph.ints("class.ids", &ids);
    graph.ints("class.shape", &[1, -1, 1]);
    graph.push("Reshape", &["class.ids", "class.shape"], "class.column", &[]);
    graph.push("Equal", &["best.class", "class.column"], "is.best", &[]);
    graph.floats("no.score", &[], vec![0.0]);
    graph.push("Where", &["is.best", scores, "no.score"], "best.of.class", &[]);
    "best.of.class"
}

/// `[B, N]`: the score of every anchor point that was selected, 0 elsewhere.
fn kept_scores(graph: &mut GraphProto) {
    // Rows of `selected` are image, class, anchor.
    graph.ints("image.and.anchor", &[0, 2]);
    graph.push("Gather", &["selected", "image.and.anchor"], "selected.place", &[("axis", Attribute::Int(1))]);
    graph.push("GatherND", &["best.scores", "selected.place"], "selected.score", &[]);
    graph.push("Shape", &["best.scores"], "best.shape", &[]);
    graph.push("ConstantOfShape", &["best.shape"], "none.kept", &[]);
    graph.push("ScatterND", &["none.kept", "selected.place", "selected.score"], "kept", &[]);
}

fn results(graph: &mut GraphProto) {
    let axis = [("axis", Attribute::Int(1))];
    graph.floats("nothing", &[], vec![0.0]);
    graph.push("Greater", &[SCORES, "nothing"], "is.detection", &[]);
    graph.push("GatherElements", &["best.classes", "kept.anchor"], "kept.class", &axis);
    graph.initializer.push(int_scalar("no.class", -1));
    graph.push("Where", &["is.detection", "kept.class", "no.class"], CLASSES, &[]);
    graph.ints("last.axis", &[2]);
    graph.push("Unsqueeze", &["kept.anchor", "last.axis"], "kept.anchor.column", &[]);
    graph.ints("corner.shape", &[1, 1, 4]);
    graph.push("Expand", &["kept.anchor.column", "corner.shape"], "kept.anchor.corners", &[]);
    graph.push("GatherElements", &["corners.last", "kept.anchor.corners"], "kept.corners", &axis);
    graph.push("Unsqueeze", &["is.detection", "last.axis"], "is.detection.column", &[]);
    graph.push("Where", &["is.detection.column", "kept.corners", "nothing"], BOXES, &[]);
}

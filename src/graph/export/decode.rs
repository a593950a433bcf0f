//! From the raw maps to boxes and scores of all anchor points, in standard operators: what `detect` does for the anchor points above the
//! threshold only.

use crate::Size;
use crate::architecture::REG_MAX as BINS;
use crate::graph::{HeadLayout, LevelLayout};
use crate::onnx::{Attribute, Element, GraphProto, int_scalar, node};

/// `[B, 4, N]`: centre x, centre y, width, height in pixels of the input.
pub(super) const BOXES: &str = "anchors.boxes";
/// `[B, 4, N]`: x1, y1, x2, y2.
pub(super) const CORNERS: &str = "corners";
/// `[B, nc, N]`: probabilities.
pub(super) const SCORES: &str = "scores.all";

/// Centres of the anchor points `[1, 2, N]` in units of the stride, and strides `[1, 1, N]`.
const GRID: &str = "grid";
const STRIDES: &str = "strides";

/// Number of anchor points of an input of that size.
pub(super) fn anchors(head: &HeadLayout, size: Size) -> usize {
    head.levels.iter().map(|level| (size.height / level.stride) * (size.width / level.stride)).sum()
}

/// Adds the nodes. A free size takes its grid from the shapes of the maps; `half` is whether these are f16.
pub(super) fn append(graph: &mut GraphProto, head: &HeadLayout, size: Option<Size>, half: bool) {
    let all = |graph: &mut GraphProto, kind: &str, channels: usize, name: fn(&LevelLayout) -> &str| {
        let shape = format!("{kind}.shape");
        graph.ints(&shape, &[0, channels as i64, -1]);
        let mut parts = Vec::with_capacity(head.levels.len());
        for level in &head.levels {
            let map = if half { in_f32(graph, name(level)) } else { name(level).to_owned() };
            let flat = format!("{}.flat", name(level));
            graph.push("Reshape", &[&map, &shape], &flat, &[]);
            parts.push(flat);
        }
        concat(graph, &parts, &format!("{kind}.all"), 2)
    };
    let distributions = all(graph, "boxes", 4 * BINS, |level| &level.boxes);
    let logits = all(graph, "classes", head.classes, |level| &level.classes);
    graph.push("Sigmoid", &[&logits], SCORES, &[]);
    expectations(graph, &distributions);
    match size {
        Some(size) => fixed_grid(graph, head, size),
        None => free_grid(graph, head),
    }
    graph.ints("sides", &[2, 2]);
    let axis = [("axis", Attribute::Int(1))];
    graph.node.push(node("Split", &["distances", "sides"], &["before", "after"], &axis));
    graph.push("Sub", &[GRID, "before"], "first.anchors", &[]);
    graph.push("Add", &[GRID, "after"], "last.anchors", &[]);
    graph.push("Mul", &["first.anchors", STRIDES], "first", &[]);
    graph.push("Mul", &["last.anchors", STRIDES], "last", &[]);
    graph.push("Concat", &["first", "last"], CORNERS, &axis);
    graph.floats("one.half", &[], vec![0.5]);
    graph.push("Add", &["first", "last"], "centre.doubled", &[]);
    graph.push("Mul", &["centre.doubled", "one.half"], "centre", &[]);
    graph.push("Sub", &["last", "first"], "extent", &[]);
    graph.push("Concat", &["centre", "extent"], BOXES, &axis);
}

fn in_f32(graph: &mut GraphProto, name: &str) -> String {
    let cast = format!("{name}.f32");
    graph.push("Cast", &[name], &cast, &[("to", Attribute::Int(Element::Float.number()))]);
    cast
}

fn concat(graph: &mut GraphProto, parts: &[String], name: &str, axis: i64) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    graph.push("Concat", &parts, name, &[("axis", Attribute::Int(axis))]);
    name.to_owned()
}

/// `[B, 64, N]` to `[B, 4, N]`: the mean of 0, 1, … 15 under the softmax of each side's logits.
fn expectations(graph: &mut GraphProto, distributions: &str) {
    graph.ints("bins.shape", &[0, 4, BINS as i64, -1]);
    graph.push("Reshape", &[distributions, "bins.shape"], "bins.first", &[]);
    graph.push("Transpose", &["bins.first"], "bins.last", &[("perm", Attribute::Ints(&[0, 1, 3, 2]))]);
    graph.push("Softmax", &["bins.last"], "bins.probabilities", &[("axis", Attribute::Int(3))]);
    graph.floats("bins", &[BINS, 1], (0..BINS).map(|bin| bin as f32).collect());
    graph.push("MatMul", &["bins.probabilities", "bins"], "distances.column", &[]);
    graph.ints("bins.axis", &[3]);
    graph.push("Squeeze", &["distances.column", "bins.axis"], "distances", &[]);
}

/// [`GRID`] and [`STRIDES`] as constants.
fn fixed_grid(graph: &mut GraphProto, head: &HeadLayout, size: Size) {
    let (mut xs, mut ys, mut strides) = (Vec::new(), Vec::new(), Vec::new());
    for level in &head.levels {
        for row in 0..size.height / level.stride {
            for column in 0..size.width / level.stride {
                xs.push(column as f32 + 0.5);
                ys.push(row as f32 + 0.5);
                strides.push(level.stride as f32);
            }
        }
    }
    let anchors = xs.len();
    xs.extend(ys);
    graph.floats(GRID, &[1, 2, anchors], xs);
    graph.floats(STRIDES, &[1, 1, anchors], strides);
}

/// The same computed from the shapes of the maps.
fn free_grid(graph: &mut GraphProto, head: &HeadLayout) {
    graph.initializer.push(int_scalar("zero", 0));
    graph.initializer.push(int_scalar("one", 1));
    graph.floats("anchor.half", &[], vec![0.5]);
    graph.ints("row.shape", &[1, 1, 1, -1]);
    graph.ints("column.shape", &[1, 1, -1, 1]);
    graph.ints("flat.shape", &[1, 1, -1]);
    let (mut grids, mut strides) = (Vec::new(), Vec::new());
    for (n, level) in head.levels.iter().enumerate() {
        let named = |part: &str| format!("grid{n}.{part}");
        graph.push("Shape", &[&level.classes], &named("shape"), &[]);
        for (axis, (side, position)) in [("width", 3), ("height", 2)].into_iter().enumerate() {
            graph.initializer.push(int_scalar(&named(&format!("{side}.position")), position));
            graph.push("Gather", &[&named("shape"), &named(&format!("{side}.position"))], &named(side), &[]);
            let [count, real, middle, shaped] =
                ["count", "real", "middle", "shaped"].map(|part| named(&format!("{side}.{part}")));
            graph.push("Range", &["zero", &named(side), "one"], &count, &[]);
            graph.push("Cast", &[&count], &real, &[("to", Attribute::Int(Element::Float.number()))]);
            graph.push("Add", &[&real, "anchor.half"], &middle, &[]);
            graph.push("Reshape", &[&middle, if axis == 0 { "row.shape" } else { "column.shape" }], &shaped, &[]);
        }
        // A row plus zero times a column is the row for every column.
        let zero = named("zero");
        graph.floats(&zero, &[], vec![0.0]);
        let mut planes = Vec::new();
        for (this, other) in [("width", "height"), ("height", "width")] {
            let [nothing, plane, flat] = ["nothing", "plane", "flat"].map(|part| named(&format!("{this}.{part}")));
            graph.push("Mul", &[&named(&format!("{other}.shaped")), &zero], &nothing, &[]);
            graph.push("Add", &[&named(&format!("{this}.shaped")), &nothing], &plane, &[]);
            graph.push("Reshape", &[&plane, "flat.shape"], &flat, &[]);
            planes.push(flat);
        }
        let [stride, nothing, filled] = ["stride", "flat.nothing", "strides"].map(named);
        graph.floats(&stride, &[], vec![level.stride as f32]);
        graph.push("Mul", &[&planes[0], &zero], &nothing, &[]);
        graph.push("Add", &[&nothing, &stride], &filled, &[]);
        grids.push(concat(graph, &planes, &named("centres"), 1));
        strides.push(filled);
    }
    concat(graph, &grids, GRID, 2);
    concat(graph, &strides, STRIDES, 2);
}

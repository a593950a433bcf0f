//! From the raw maps to boxes and scores of all anchor points, in standard operators: what `detect` does for the anchor points above the
//! threshold only.

use super::Tail;
use crate::Size;
use crate::architecture::REG_MAX as BINS;
use crate::graph::{HeadLayout, LevelLayout};
use crate::onnx::{Attribute, Element};

/// Names of the values that decoding gives.
pub(super) struct Decoded {
    /// `[B, 4, N]`: centre x, centre y, width, height in pixels of the input.
    pub(super) boxes: String,
    /// `[B, 4, N]`: x1, y1, x2, y2.
    pub(super) corners: String,
    /// `[B, nc, N]`: probabilities.
    pub(super) scores: String,
}

/// Number of anchor points of an input of that size.
pub(super) fn anchors(head: &HeadLayout, size: Size) -> usize {
    head.levels.iter().map(|level| (size.height / level.stride) * (size.width / level.stride)).sum()
}

/// Adds the nodes. A free size takes its grid from the shapes of the maps.
pub(super) fn append(tail: &mut Tail, head: &HeadLayout, size: Option<Size>) -> Decoded {
    let all = |tail: &mut Tail, kind: &str, channels: usize, name: fn(&LevelLayout) -> &str| {
        let shape = format!("{kind}.shape");
        tail.ints(&shape, &[0, channels as i64, -1]);
        let mut parts = Vec::with_capacity(head.levels.len());
        for level in &head.levels {
            let map = in_f32(tail, name(level));
            let flat = format!("{}.flat", name(level));
            tail.push("Reshape", &[&map, &shape], &flat, &[]);
            parts.push(flat);
        }
        concat(tail, &parts, &format!("{kind}.all"), 2)
    };
    let distributions = all(tail, "boxes", 4 * BINS, |level| &level.boxes);
    let logits = all(tail, "classes", head.classes, |level| &level.classes);
    tail.push("Sigmoid", &[&logits], "scores.all", &[]);
    let distances = expectations(tail, &distributions);
    let (centres, strides) = match size {
        Some(size) => fixed_grid(tail, head, size),
        None => free_grid(tail, head),
    };
    tail.ints("sides", &[2, 2]);
    let axis = [("axis", Attribute::Int(1))];
    tail.push_many("Split", &[&distances, "sides"], &["before", "after"], &axis);
    tail.push("Sub", &[&centres, "before"], "first.anchors", &[]);
    tail.push("Add", &[&centres, "after"], "last.anchors", &[]);
    tail.push("Mul", &["first.anchors", &strides], "first", &[]);
    tail.push("Mul", &["last.anchors", &strides], "last", &[]);
    tail.push("Concat", &["first", "last"], "corners", &axis);
    tail.floats("one.half", &[], vec![0.5]);
    tail.push("Add", &["first", "last"], "centre.doubled", &[]);
    tail.push("Mul", &["centre.doubled", "one.half"], "centre", &[]);
    tail.push("Sub", &["last", "first"], "extent", &[]);
    tail.push("Concat", &["centre", "extent"], "anchors.boxes", &axis);
    Decoded { boxes: "anchors.boxes".into(), corners: "corners".into(), scores: "scores.all".into() }
}

fn in_f32(tail: &mut Tail, name: &str) -> String {
    if !tail.half {
        return name.to_owned();
    }
    let cast = format!("{name}.f32");
    tail.push("Cast", &[name], &cast, &[("to", Attribute::Int(Element::Float.number()))]);
    cast
}

fn concat(tail: &mut Tail, parts: &[String], name: &str, axis: i64) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    tail.push("Concat", &parts, name, &[("axis", Attribute::Int(axis))]);
    name.to_owned()
}

/// `[B, 64, N]` to `[B, 4, N]`: the mean of 0, 1, … 15 under the softmax of each side's logits.
fn expectations(tail: &mut Tail, distributions: &str) -> String {
    tail.ints("bins.shape", &[0, 4, BINS as i64, -1]);
    tail.push("Reshape", &[distributions, "bins.shape"], "bins.first", &[]);
    tail.push("Transpose", &["bins.first"], "bins.last", &[("perm", Attribute::Ints(&[0, 1, 3, 2]))]);
    tail.push("Softmax", &["bins.last"], "bins.probabilities", &[("axis", Attribute::Int(3))]);
    tail.floats("bins", &[BINS, 1], (0..BINS).map(|bin| bin as f32).collect());
    tail.push("MatMul", &["bins.probabilities", "bins"], "distances.column", &[]);
    tail.ints("bins.axis", &[3]);
    tail.push("Squeeze", &["distances.column", "bins.axis"], "distances", &[]);
    "distances".into()
}

/// Centres `[1, 2, N]` in units of the stride and strides `[1, 1, N]` as constants.
fn fixed_grid(tail: &mut Tail, head: &HeadLayout, size: Size) -> (String, String) {
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
    tail.floats("grid", &[1, 2, anchors], xs);
    tail.floats("strides", &[1, 1, anchors], strides);
    ("grid".into(), "strides".into())
}

/// The same computed from the shapes of the maps.
fn free_grid(tail: &mut Tail, head: &HeadLayout) -> (String, String) {
    tail.constant(crate::onnx::int_scalar("zero", 0));
    tail.constant(crate::onnx::int_scalar("one", 1));
    tail.floats("anchor.half", &[], vec![0.5]);
    tail.ints("row.shape", &[1, 1, 1, -1]);
    tail.ints("column.shape", &[1, 1, -1, 1]);
    tail.ints("flat.shape", &[1, 1, -1]);
    let (mut grids, mut strides) = (Vec::new(), Vec::new());
    for (n, level) in head.levels.iter().enumerate() {
        let named = |part: &str| format!("grid{n}.{part}");
        tail.push("Shape", &[&level.classes], &named("shape"), &[]);
        for (axis, (side, position)) in [("width", 3), ("height", 2)].into_iter().enumerate() {
            tail.constant(crate::onnx::int_scalar(&named(&format!("{side}.position")), position));
            tail.push("Gather", &[&named("shape"), &named(&format!("{side}.position"))], &named(side), &[]);
            let [count, real, middle, shaped] =
                ["count", "real", "middle", "shaped"].map(|part| named(&format!("{side}.{part}")));
            tail.push("Range", &["zero", &named(side), "one"], &count, &[]);
            tail.push("Cast", &[&count], &real, &[("to", Attribute::Int(Element::Float.number()))]);
            tail.push("Add", &[&real, "anchor.half"], &middle, &[]);
            tail.push("Reshape", &[&middle, if axis == 0 { "row.shape" } else { "column.shape" }], &shaped, &[]);
        }
        // A row plus zero times a column is the row for every column.
        let zero = named("zero");
        tail.floats(&zero, &[], vec![0.0]);
        let mut planes = Vec::new();
        for (this, other) in [("width", "height"), ("height", "width")] {
            let [nothing, plane, flat] = ["nothing", "plane", "flat"].map(|part| named(&format!("{this}.{part}")));
            tail.push("Mul", &[&named(&format!("{other}.shaped")), &zero], &nothing, &[]);
            tail.push("Add", &[&named(&format!("{this}.shaped")), &nothing], &plane, &[]);
            tail.push("Reshape", &[&plane, "flat.shape"], &flat, &[]);
            planes.push(flat);
        }
        let [stride, nothing, filled] = ["stride", "flat.nothing", "strides"].map(named);
        tail.floats(&stride, &[], vec![level.stride as f32]);
        tail.push("Mul", &[&planes[0], &zero], &nothing, &[]);
        tail.push("Add", &[&nothing, &stride], &filled, &[]);
        grids.push(concat(tail, &planes, &named("centres"), 1));
        strides.push(filled);
    }
    (concat(tail, &grids, "grid", 2), concat(tail, &strides, "strides", 2))
}

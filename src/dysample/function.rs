//! The sampling step in standard ONNX operators: what any runtime executes that does not know our operator.

use crate::onnx::{Attribute, FunctionProto, NodeProto, Opset, import, node};

/// Domain of the operator.
pub const DOMAIN: &str = "yolo9";
/// Name of the operator.
pub const NAME: &str = "DySample";

/// The body of `yolo9:DySample(x, offset; scale, groups) -> y`.
///
/// `x` is `[N, C, H, W]`; `offset` is `[N, 2·groups·scale², H, W]` in pixels of `x`, in the channel order of
/// [`super::OffsetKernels`]; `y` is `[N, C, scale·H, scale·W]`. Output channel `c` belongs to group
/// `c / (C / groups)`; its pixel `(s·h + i, s·w + j)` is `x` sampled bilinearly at
/// `(w + offset_x, h + offset_y)`, clamped to the map.
///
/// All lengths are computed from the inputs' shapes, so one body serves any number of nodes of any size.
///
/// The points are clamped to the map before `GridSample`, whose padding then never matters, but its time does: ONNX
/// Runtime (from the version on that has its pull request 27359) has a faster implementation for `zeros` than for
/// `border`, see docs/performance.md. What NaN among the offsets gives depends on the runtime.
#[must_use]
pub fn onnx_function(opset: Opset) -> FunctionProto {
    FunctionProto {
        name: Some(NAME.into()),
        domain: Some(DOMAIN.into()),
        input: vec!["x".into(), "offset".into()],
        output: vec!["y".into()],
        attribute: vec!["scale".into(), "groups".into()],
        doc_string: Some("Dynamic upsampling at learned points (DySample, arXiv 2308.15085)".into()),
        opset_import: vec![import("", opset.number())],
        node: [lengths(), positions(), grid(), sampling(opset)].concat(),
    }
}

/// The body in place of a node that calls it, for runtimes that know no functions. Its inner values are named after the
/// node's output.
#[must_use]
pub fn inlined(call: &NodeProto, opset: Opset) -> Vec<NodeProto> {
    let body = onnx_function(opset);
    let prefix = call.output.first().map_or("", String::as_str);
    let formal: Vec<&String> = body.input.iter().chain(&body.output).collect();
    let actual: Vec<&String> = call.input.iter().chain(&call.output).collect();
    let outer = |name: &String| match formal.iter().position(|formal| *formal == name) {
        Some(at) => actual.get(at).map_or_else(String::new, |name| (*name).clone()),
        None => format!("{prefix}/{name}"),
    };
    let mut nodes = body.node;
    for node in &mut nodes {
        node.name = node.name.as_ref().map(|name| format!("{prefix}/{name}"));
        node.input.iter_mut().chain(&mut node.output).for_each(|name| *name = outer(name));
        for attribute in &mut node.attribute {
            let Some(of_call) = attribute.ref_attr_name.take() else { continue };
            attribute.i = call.attribute.iter().find(|given| given.name.as_ref() == Some(&of_call)).and_then(|a| a.i);
        }
    }
    nodes
}

fn ints(name: &str, values: &[i64]) -> NodeProto {
    node("Constant", &[], &[name], &[("value_ints", Attribute::Ints(values))])
}

fn float(name: &str, value: f32) -> NodeProto {
    node("Constant", &[], &[name], &[("value_float", Attribute::Float(value))])
}

fn concat(inputs: &[&str], output: &str) -> NodeProto {
    node("Concat", inputs, &[output], &[("axis", Attribute::Int(0))])
}

/// Lengths of `x` as one-element lists, and the constants that shapes are put together from.
fn lengths() -> Vec<NodeProto> {
    let length = |name: &str, axis: i64| {
        node("Shape", &["x"], &[name], &[("start", Attribute::Int(axis)), ("end", Attribute::Int(axis + 1))])
    };
    vec![
        length("n", 0),
        length("c", 1),
        length("h", 2),
        length("w", 3),
        concat(&["h", "w"], "hw"),
        ints("same", &[0]),
        ints("one", &[1]),
        ints("two", &[2]),
        ints("rest", &[-1]),
        node("Constant", &[], &["groups_scalar"], &[("value_int", Attribute::IntOfFunction("groups"))]),
        node("Reshape", &["groups_scalar", "one"], &["g"], &[]),
    ]
}

/// `offset` plus the pixel's own column and row, clamped: where to sample, in pixels, `[N, 2, K, H, W]`.
fn positions() -> Vec<NodeProto> {
    let range = |length: &str, to: &str| {
        let (scalar, ints) = (format!("{to}_length"), format!("{to}_ints"));
        vec![
            node("Squeeze", &[length], &[&scalar], &[]),
            node("Range", &["zero_scalar", &scalar, "one_scalar"], &[&ints], &[]),
            node("Cast", &[&ints], &[to], &[("to", Attribute::Int(1))]),
        ]
    };
    let mut nodes = vec![
        node("Constant", &[], &["zero_scalar"], &[("value_int", Attribute::Int(0))]),
        node("Constant", &[], &["one_scalar"], &[("value_int", Attribute::Int(1))]),
    ];
    nodes.extend(range("w", "columns_line"));
    nodes.extend(range("h", "rows_line"));
    nodes.extend([
        concat(&["one", "one", "h", "w"], "plane"),
        concat(&["h", "one"], "upright"),
        node("Reshape", &["rows_line", "upright"], &["rows_upright"], &[]),
        node("Expand", &["columns_line", "plane"], &["columns"], &[]),
        node("Expand", &["rows_upright", "plane"], &["rows"], &[]),
        // Component 0 is x, 1 is y.
        concat(&["columns", "rows"], "pixel"),
        concat(&["same", "two", "rest", "hw"], "split_components"),
        node("Reshape", &["offset", "split_components"], &["offset_split"], &[]),
        node("Add", &["offset_split", "pixel"], &["wanted"], &[]),
        concat(&["w", "h"], "wh"),
        node("Cast", &["wh"], &["wh_float"], &[("to", Attribute::Int(1))]),
        concat(&["two", "one", "one", "one"], "per_component"),
        node("Reshape", &["wh_float", "per_component"], &["extent"], &[]),
        float("zero_float", 0.0),
        float("one_float", 1.0),
        node("Sub", &["extent", "one_float"], &["last"], &[]),
        node("Max", &["wanted", "zero_float"], &["not_before"], &[]),
        node("Min", &["not_before", "last"], &["position"], &[]),
    ]);
    nodes
}

/// Positions in GridSample's coordinates (-1 to 1 over the outer edges), `[N·G, s·H, s·W, 2]`.
fn grid() -> Vec<NodeProto> {
    vec![
        node("Add", &["position", "position"], &["position_twice"], &[]),
        node("Add", &["position_twice", "one_float"], &["position_centre"], &[]),
        node("Div", &["position_centre", "extent"], &["position_scaled"], &[]),
        node("Sub", &["position_scaled", "one_float"], &["normalised"], &[]),
        concat(&["same", "rest", "hw"], "join_components"),
        node("Reshape", &["normalised", "join_components"], &["normalised_joined"], &[]),
        node(
            "DepthToSpace",
            &["normalised_joined"],
            &["shuffled"],
            &[("blocksize", Attribute::IntOfFunction("scale")), ("mode", Attribute::Text("CRD"))],
        ),
        node("Shape", &["shuffled"], &["out_hw"], &[("start", Attribute::Int(2))]),
        concat(&["same", "two", "g", "out_hw"], "split_groups"),
        node("Reshape", &["shuffled", "split_groups"], &["shuffled_split"], &[]),
        node("Transpose", &["shuffled_split"], &["points"], &[("perm", Attribute::Ints(&[0, 2, 3, 4, 1]))]),
        concat(&["rest", "out_hw", "two"], "grid_shape"),
        node("Reshape", &["points", "grid_shape"], &["grid"], &[]),
    ]
}

/// Groups become images of a batch, are sampled, and are joined again.
fn sampling(opset: Opset) -> Vec<NodeProto> {
    let mode = if opset.number() < 20 { "bilinear" } else { "linear" };
    vec![
        node("Div", &["c", "g"], &["group_channels"], &[]),
        concat(&["rest", "group_channels", "hw"], "x_shape"),
        node("Reshape", &["x", "x_shape"], &["x_groups"], &[]),
        node(
            "GridSample",
            &["x_groups", "grid"],
            &["y_groups"],
            &[
                ("mode", Attribute::Text(mode)),
                ("padding_mode", Attribute::Text("zeros")),
                ("align_corners", Attribute::Int(0)),
            ],
        ),
        concat(&["n", "c", "out_hw"], "y_shape"),
        node("Reshape", &["y_groups", "y_shape"], &["y"], &[]),
    ]
}

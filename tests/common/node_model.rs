//! Models of one node, with inputs `x` and `offset` and output `y`, of any shape. Shared with the benchmark.

#![allow(dead_code, reason = "tests and benchmark use a part each")]

use yolo9::dysample::{DOMAIN, NAME, onnx_function};
use yolo9::onnx::{Attribute, Dim, GraphProto, ModelProto, NodeProto, Opset, float_tensor, import, node, value_info};

/// Name of the node, for messages about it.
pub(crate) const NODE: &str = "model.14";

fn model(mut node: NodeProto, opset: Opset, scale: usize) -> ModelProto {
    node.name = Some(NODE.into());
    let value = |name: &str| {
        let dims = ["n", "c", "h", "w"].map(|axis| format!("{axis} of {name}"));
        value_info(name, &dims.each_ref().map(|dim| Dim::Named(dim)))
    };
    ModelProto {
        ir_version: Some(opset.ir_version()),
        graph: Some(GraphProto {
            name: Some("one node".into()),
            input: vec![value("x"), value("offset")],
            output: vec![value("y")],
            initializer: vec![float_tensor("scales", &[4], vec![1.0, 1.0, scale as f32, scale as f32])],
            node: vec![node],
        }),
        opset_import: vec![import("", opset.number()), import(DOMAIN, 1)],
        ..Default::default()
    }
}

/// Nearest upsampling of `x`.
pub(crate) fn resize_nearest(opset: Opset, scale: usize) -> ModelProto {
    let attributes = [
        ("mode", Attribute::Text("nearest")),
        ("coordinate_transformation_mode", Attribute::Text("asymmetric")),
        ("nearest_mode", Attribute::Text("floor")),
    ];
    model(node("Resize", &["x", "", "scales"], &["y"], &attributes), opset, scale)
}

/// The sampling step of DySample, with its body.
pub(crate) fn dysample(opset: Opset, scale: usize, groups: usize) -> ModelProto {
    let attributes = [("scale", Attribute::Int(scale as i64)), ("groups", Attribute::Int(groups as i64))];
    let mut model = model(node(&format!("{DOMAIN}:{NAME}"), &["x", "offset"], &["y"], &attributes), opset, scale);
    model.functions.push(onnx_function(opset));
    model
}

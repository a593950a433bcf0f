//! ONNX as protocol buffer messages, and short ways to write nodes.
//!
//! Only the messages and fields that yolo9 writes, with the numbers of `onnx.proto3`. Fields are `optional` so that a
//! zero is written too: an attribute without its value is not a valid ONNX attribute.

mod messages;
mod node;

pub use messages::{
    AttributeProto, Dimension, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
pub use node::{Attribute, Dim, float_tensor, int_tensor, node, value_info};

/// Operator set of the standard domain that the graphs use.
pub const OPSET: i64 = 20;
/// Version of the file format that introduced what [`OPSET`] needs.
pub const IR_VERSION: i64 = 9;

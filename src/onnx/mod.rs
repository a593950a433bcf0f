//! ONNX as protocol buffer messages, and short ways to write nodes.
//!
//! Only the messages and fields that yolo9 writes, with the numbers of `onnx.proto3`. Fields are `optional` so that a
//! zero is written too: an attribute without its value is not a valid ONNX attribute. [`OnnxFile`] reads the files of
//! others.

mod error;
mod file;
mod header;
mod literal;
mod messages;
mod node;
mod scan;
mod signature;

pub use error::{OnnxFileError, OnnxProblem};
pub use file::{OnnxFile, OnnxHead, OnnxInput, looks_like_onnx};
pub use literal::names_literal;
pub use messages::{
    AttributeProto, Dimension, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
pub use node::{
    Attribute, Dim, Element, float_tensor, import, int_scalar, int_tensor, node, raw_tensor, value_info, value_info_of,
};

/// Opset of the standard domain that a graph uses, 16 (the first with `GridSample`) to 20.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opset(i64);

impl Opset {
    /// The opsets that graphs can be written for.
    pub const SUPPORTED: std::ops::RangeInclusive<i64> = 16..=20;

    /// The opset of that number, if it is supported.
    #[must_use]
    pub fn new(number: i64) -> Option<Self> {
        Self::SUPPORTED.contains(&number).then_some(Self(number))
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }

    /// Version of the file format that introduced it; from 8 on there are functions.
    #[must_use]
    pub fn ir_version(self) -> i64 {
        if self.0 < 19 { 8 } else { 9 }
    }
}

impl Default for Opset {
    /// 18: known to runtimes of the last years. `GridSample` got new names for its modes in 20, which some read wrongly.
    fn default() -> Self {
        Self(18)
    }
}

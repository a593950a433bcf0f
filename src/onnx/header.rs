//! The parts of a model file that tell what it computes. All else, the weights above all, is skipped and not copied.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelHeader {
    #[prost(int64, optional, tag = "1")]
    pub(super) ir_version: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(super) producer_name: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(super) producer_version: Option<String>,
    #[prost(message, optional, tag = "7")]
    pub(super) graph: Option<GraphHeader>,
    #[prost(message, repeated, tag = "8")]
    pub(super) opset_import: Vec<super::OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    pub(super) metadata_props: Vec<super::StringStringEntryProto>,
    #[prost(message, repeated, tag = "25")]
    pub(super) functions: Vec<FunctionHeader>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GraphHeader {
    #[prost(message, repeated, tag = "1")]
    pub(super) node: Vec<NodeHeader>,
    #[prost(message, repeated, tag = "5")]
    pub(super) initializer: Vec<TensorHeader>,
    #[prost(message, repeated, tag = "11")]
    pub(super) input: Vec<super::ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub(super) output: Vec<super::ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FunctionHeader {
    #[prost(message, repeated, tag = "7")]
    pub(super) node: Vec<NodeHeader>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeHeader {
    #[prost(string, optional, tag = "4")]
    pub(super) op_type: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub(super) attribute: Vec<AttributeHeader>,
    #[prost(string, optional, tag = "7")]
    pub(super) domain: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AttributeHeader {
    #[prost(message, optional, tag = "5")]
    pub(super) t: Option<TensorHeader>,
    #[prost(message, optional, tag = "6")]
    pub(super) g: Option<GraphHeader>,
    #[prost(message, repeated, tag = "10")]
    pub(super) tensors: Vec<TensorHeader>,
    #[prost(message, repeated, tag = "11")]
    pub(super) graphs: Vec<GraphHeader>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorHeader {
    #[prost(string, optional, tag = "8")]
    pub(super) name: Option<String>,
    #[prost(int32, optional, tag = "14")]
    pub(super) data_location: Option<i32>,
}

/// `TensorProto.DataLocation`.
const EXTERNAL: i32 = 1;

impl ModelHeader {
    /// A tensor whose numbers lie in another file, which a model from a stranger could choose freely.
    pub(super) fn external_tensor(&self) -> Option<&TensorHeader> {
        let functions = self.functions.iter().flat_map(|function| &function.node);
        self.graph.as_ref().and_then(GraphHeader::external_tensor).or_else(|| external_tensor_of(functions))
    }
}

impl GraphHeader {
    fn external_tensor(&self) -> Option<&TensorHeader> {
        self.initializer.iter().find(|tensor| tensor.is_external()).or_else(|| external_tensor_of(self.node.iter()))
    }
}

impl TensorHeader {
    fn is_external(&self) -> bool {
        self.data_location == Some(EXTERNAL)
    }
}

/// Decoding has bounded how deep graphs are nested.
fn external_tensor_of<'a>(nodes: impl Iterator<Item = &'a NodeHeader>) -> Option<&'a TensorHeader> {
    nodes.flat_map(|node| &node.attribute).find_map(|attribute| {
        let mut tensors = attribute.t.iter().chain(&attribute.tensors);
        let mut graphs = attribute.g.iter().chain(&attribute.graphs);
        tensors.find(|tensor| tensor.is_external()).or_else(|| graphs.find_map(GraphHeader::external_tensor))
    })
}

//! The parts of a model file that tell what it expects and gives. All else, the weights above all, is skipped and not
//! copied.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelHeader {
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
pub(super) struct NodeHeader {
    #[prost(string, optional, tag = "4")]
    pub(super) op_type: Option<String>,
    #[prost(string, optional, tag = "7")]
    pub(super) domain: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorHeader {
    #[prost(string, optional, tag = "8")]
    pub(super) name: Option<String>,
}

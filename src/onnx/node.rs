//! Nodes, attributes, tensors and value declarations.

use prost::bytes::Bytes;

use super::messages::{
    AttributeProto, Dimension, GraphProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};

// AttributeProto.AttributeType.
const ATTRIBUTE_FLOAT: i32 = 1;
const ATTRIBUTE_INT: i32 = 2;
const ATTRIBUTE_STRING: i32 = 3;
const ATTRIBUTE_INTS: i32 = 7;

/// The kind of number of a tensor (`TensorProto.DataType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// f32.
    Float = 1,
    /// u8.
    Uint8 = 2,
    /// i8.
    Int8 = 3,
    /// i32.
    Int32 = 6,
    /// i64.
    Int64 = 7,
    /// f16.
    Float16 = 10,
}

impl Element {
    /// The number that files use.
    #[must_use]
    pub fn number(self) -> i64 {
        self as i64
    }
}

/// The value of a node's attribute.
#[derive(Debug, Clone, Copy)]
pub enum Attribute<'a> {
    /// A number.
    Float(f32),
    /// An integer.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// A list of integers.
    Ints(&'a [i64]),
    /// An integer that the attribute of the surrounding function gives.
    IntOfFunction(&'a str),
}

/// A node with one or more outputs. `operator` is `Name` of the standard domain or `domain:Name`.
#[must_use]
pub fn node(operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, Attribute<'_>)]) -> NodeProto {
    let (domain, op_type) = match operator.split_once(':') {
        Some((domain, op_type)) => (Some(domain.to_owned()), op_type),
        None => (None, operator),
    };
    NodeProto {
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: outputs.iter().map(|&name| name.to_owned()).collect(),
        name: outputs.first().map(|output| format!("{op_type} {output}")),
        op_type: Some(op_type.to_owned()),
        attribute: attributes.iter().map(|(name, value)| attribute(name, *value)).collect(),
        domain,
    }
}

fn attribute(name: &str, value: Attribute<'_>) -> AttributeProto {
    let named = AttributeProto { name: Some(name.to_owned()), ..Default::default() };
    match value {
        Attribute::Float(f) => AttributeProto { f: Some(f), r#type: Some(ATTRIBUTE_FLOAT), ..named },
        Attribute::Int(i) => AttributeProto { i: Some(i), r#type: Some(ATTRIBUTE_INT), ..named },
        Attribute::Text(s) => AttributeProto { s: Some(s.into()), r#type: Some(ATTRIBUTE_STRING), ..named },
        Attribute::Ints(ints) => AttributeProto { ints: ints.to_vec(), r#type: Some(ATTRIBUTE_INTS), ..named },
        Attribute::IntOfFunction(outer) => {
            AttributeProto { ref_attr_name: Some(outer.to_owned()), r#type: Some(ATTRIBUTE_INT), ..named }
        }
    }
}

impl GraphProto {
    /// Adds a node with one output.
    pub(crate) fn push(&mut self, operator: &str, inputs: &[&str], output: &str, attributes: &[(&str, Attribute<'_>)]) {
        self.node.push(node(operator, inputs, &[output], attributes));
    }

    /// Adds a constant f32 tensor.
    pub(crate) fn floats(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        self.initializer.push(float_tensor(name, shape, values));
    }

    /// Adds a constant list of integers.
    pub(crate) fn ints(&mut self, name: &str, values: &[i64]) {
        self.initializer.push(int_tensor(name, values));
    }
}

/// That a model or function uses the operators of a domain (`""` is the standard one) in that version.
#[must_use]
pub fn import(domain: &str, version: i64) -> OperatorSetIdProto {
    OperatorSetIdProto { domain: Some(domain.into()), version: Some(version) }
}

/// Lets a message hold the numbers without copying them.
struct Floats(Vec<f32>);

impl AsRef<[u8]> for Floats {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

/// A constant f32 tensor.
#[must_use]
pub fn float_tensor(name: &str, shape: &[usize], values: Vec<f32>) -> TensorProto {
    debug_assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
    // The format is little-endian, as is every machine that ONNX Runtime is built for.
    raw_tensor(name, Element::Float, shape, Bytes::from_owner(Floats(values)))
}

/// A constant list of integers.
#[must_use]
pub fn int_tensor(name: &str, values: &[i64]) -> TensorProto {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    raw_tensor(name, Element::Int64, &[values.len()], bytes)
}

/// A constant tensor of any kind, from its little-endian bytes.
#[must_use]
pub fn raw_tensor(name: &str, element: Element, shape: &[usize], bytes: impl Into<Bytes>) -> TensorProto {
    TensorProto {
        dims: shape.iter().map(|n| *n as i64).collect(),
        data_type: Some(element.number() as i32),
        name: Some(name.to_owned()),
        raw_data: Some(bytes.into()),
    }
}

/// A constant integer without axes.
#[must_use]
pub fn int_scalar(name: &str, value: i64) -> TensorProto {
    TensorProto { dims: Vec::new(), ..int_tensor(name, &[value]) }
}

/// An axis of a graph's input or output.
#[derive(Debug, Clone, Copy)]
pub enum Dim<'a> {
    /// A fixed length.
    Fixed(usize),
    /// A named length that each run chooses.
    Named(&'a str),
}

/// Declares an f32 input or output.
#[must_use]
pub fn value_info(name: &str, dims: &[Dim<'_>]) -> ValueInfoProto {
    value_info_of(name, Element::Float, dims)
}

/// Declares an input or output.
#[must_use]
pub fn value_info_of(name: &str, element: Element, dims: &[Dim<'_>]) -> ValueInfoProto {
    let dimension = |dim: &Dim<'_>| match *dim {
        Dim::Fixed(length) => Dimension { dim_value: Some(length as i64), dim_param: None },
        Dim::Named(name) => Dimension { dim_value: None, dim_param: Some(name.to_owned()) },
    };
    let dim = dims.iter().map(dimension).collect();
    let tensor = TensorTypeProto { elem_type: Some(element.number() as i32), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

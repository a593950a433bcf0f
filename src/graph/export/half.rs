//! Weights and feature maps in f16.

use ::half::f16;
use prost::bytes::Bytes;

use super::ExportError;
use crate::dysample;
use crate::graph::INPUT;
use crate::onnx::{Attribute, Element, ModelProto, NodeProto, TensorProto, node};

/// Turns the graph between its input and its raw maps to f16. DySample is surrounded by casts: its coordinates need f32.
pub(super) fn convert(model: &mut ModelProto) -> Result<(), ExportError> {
    let Some(graph) = &mut model.graph else { return Ok(()) };
    // `Resize` takes its factors in f32, whatever it resizes.
    let resizes = graph.node.iter().filter(|node| node.op_type.as_deref() == Some("Resize"));
    let factors: std::collections::HashSet<String> = resizes.filter_map(|node| node.input.get(2).cloned()).collect();
    for tensor in &mut graph.initializer {
        let is_float = tensor.data_type == Some(Element::Float.number() as i32);
        if is_float && !tensor.name.as_ref().is_some_and(|name| factors.contains(name)) {
            narrow(tensor)?;
        }
    }
    let image = format!("{INPUT}.f16");
    let mut nodes = vec![cast(INPUT, &image, Element::Float16)];
    for mut node in std::mem::take(&mut graph.node) {
        node.input.iter_mut().filter(|input| *input == INPUT).for_each(|input| input.clone_from(&image));
        if node.domain.as_deref() == Some(dysample::DOMAIN) {
            nodes.extend(in_f32(node));
        } else {
            nodes.push(node);
        }
    }
    graph.node = nodes;
    Ok(())
}

/// As [`convert`], with these outputs in f32 again.
pub(in crate::graph) fn convert_between<'a>(
    model: &mut ModelProto,
    outputs: impl Iterator<Item = &'a str>,
) -> Result<(), ExportError> {
    convert(model)?;
    let Some(graph) = &mut model.graph else { return Ok(()) };
    for output in outputs {
        let half = format!("{output}.f16");
        let names = graph.node.iter_mut().flat_map(|node| node.input.iter_mut().chain(&mut node.output));
        names.filter(|name| **name == output).for_each(|name| name.clone_from(&half));
        graph.node.push(cast(&half, output, Element::Float));
    }
    Ok(())
}

fn cast(from: &str, to: &str, element: Element) -> NodeProto {
    node("Cast", &[from], &[to], &[("to", Attribute::Int(element.number()))])
}

/// A node with casts before its inputs and behind its outputs.
fn in_f32(mut node: NodeProto) -> Vec<NodeProto> {
    let mut nodes = Vec::with_capacity(node.input.len() + node.output.len() + 1);
    let name = node.output.first().cloned().unwrap_or_default();
    for (n, input) in node.input.iter_mut().enumerate() {
        let wide = format!("{name}.input{n}.f32");
        nodes.push(cast(input, &wide, Element::Float));
        *input = wide;
    }
    let outputs: Vec<String> = node.output.iter().map(|output| format!("{output}.f32")).collect();
    let narrow: Vec<NodeProto> =
        outputs.iter().zip(&node.output).map(|(wide, output)| cast(wide, output, Element::Float16)).collect();
    node.output = outputs;
    nodes.push(node);
    nodes.extend(narrow);
    nodes
}

fn narrow(tensor: &mut TensorProto) -> Result<(), ExportError> {
    let bytes = tensor.raw_data.take().unwrap_or_default();
    let mut narrowed = Vec::with_capacity(bytes.len() / 2);
    for value in bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)) {
        let half = f16::from_f32(value);
        if !half.is_finite() {
            return Err(ExportError(format!(
                "tensor {} holds {value}, and f16 ends at 65504; export without half precision",
                tensor.name.as_deref().unwrap_or_default()
            )));
        }
        narrowed.extend(half.to_le_bytes());
    }
    tensor.data_type = Some(Element::Float16.number() as i32);
    tensor.raw_data = Some(Bytes::from(narrowed));
    Ok(())
}

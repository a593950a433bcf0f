//! Values within a network made outputs of its graph, to be looked at.

use super::{OnnxModel, builder};
use crate::architecture::Architecture;
use crate::dysample::{DOMAIN, Definition, NAME};
use crate::onnx::{Dim, GraphProto, value_info};

/// The values around one DySample node, by their names among the outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct DySampleValues {
    /// Layer of the config.
    pub layer: usize,
    /// The map that is sampled, `[1, C, H, W]`.
    pub input: String,
    /// Where it is sampled, `[1, 2·groups·scale², H, W]`, in positions of the map.
    pub offset: String,
    /// What comes out, `[1, C, scale·H, scale·W]`.
    pub output: String,
    /// What the config says of it.
    pub definition: Definition,
}

/// A feature map that the main head reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadInput {
    /// Input pixels per position.
    pub stride: usize,
    /// Its name among the outputs, `[1, C, H, W]`.
    pub name: String,
}

impl OnnxModel {
    /// Makes the feature maps that the main head reads outputs of the graph too, from the finest to the coarsest.
    pub fn expose_head_inputs(&mut self, architecture: &Architecture) -> Vec<HeadInput> {
        let Some(graph) = &mut self.proto.graph else { return Vec::new() };
        let head = architecture.head();
        let steps = || architecture.main_steps().filter(|step| step.layer == head.layer);
        let inside: Vec<_> = steps().flat_map(|step| &step.outputs).collect();
        let mut names: Vec<String> = Vec::new();
        for value in steps().flat_map(|step| &step.inputs).filter(|value| !inside.contains(value)) {
            let name = builder::value_name(*value);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.iter().for_each(|name| declare(graph, name));
        let strides = head.main().levels.iter().map(|level| level.stride);
        names.into_iter().zip(strides).map(|(name, stride)| HeadInput { stride, name }).collect()
    }

    /// Makes the outputs of all layers that the model computes outputs of the graph too, to find the first one that
    /// differs from another implementation (see docs/debugging-numerics.md). Gives layer index, position among the
    /// layer's outputs, and the output's name.
    pub fn expose_layers(&mut self, architecture: &Architecture) -> Vec<(usize, usize, String)> {
        let Some(graph) = &mut self.proto.graph else { return Vec::new() };
        let mut exposed = Vec::new();
        for layer in architecture.layers() {
            for (position, value) in layer.outputs.iter().enumerate() {
                let name = builder::value_name(*value);
                if graph.node.iter().any(|node| node.output.contains(&name)) {
                    declare(graph, &name);
                    exposed.push((layer.spec.index, position, name));
                }
            }
        }
        exposed
    }

    /// Makes values of those names outputs of the graph too.
    pub fn expose<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) {
        let Some(graph) = &mut self.proto.graph else { return };
        names.into_iter().for_each(|name| declare(graph, name));
    }

    /// Makes input, offsets and output of every DySample node outputs of the graph too.
    pub fn expose_dysample(&mut self, architecture: &Architecture) -> Vec<DySampleValues> {
        let Some(graph) = &mut self.proto.graph else { return Vec::new() };
        let layers = architecture.main_steps().filter_map(|step| Some((step.layer, step.operation.as_dysample()?)));
        let mut exposed = Vec::new();
        for (index, layer) in layers {
            let is_it = |node: &&crate::onnx::NodeProto| {
                node.op_type.as_deref() == Some(NAME)
                    && node.domain.as_deref() == Some(DOMAIN)
                    && node.name.as_deref() == Some(&layer.path)
            };
            let Some(node) = graph.node.iter().find(is_it) else { continue };
            if let ([input, offset], [output]) = (&node.input[..], &node.output[..]) {
                exposed.push(DySampleValues {
                    layer: index,
                    input: input.clone(),
                    offset: offset.clone(),
                    output: output.clone(),
                    definition: layer.definition,
                });
            }
        }
        for values in &exposed {
            [&values.input, &values.offset, &values.output].into_iter().for_each(|name| declare(graph, name));
        }
        exposed
    }
}

/// As an output of unknown size, unless it is one.
fn declare(graph: &mut GraphProto, name: &str) {
    if graph.output.iter().any(|output| output.name.as_deref() == Some(name)) {
        return;
    }
    let axes = ["batch", "channels", "height", "width"].map(|axis| format!("{axis} of {name}"));
    graph.output.push(value_info(name, &axes.each_ref().map(|axis| Dim::Named(axis))));
}

//! Assembles the graph: values get names, weights become initializers.

use std::collections::HashMap;

use super::{HeadLayout, INPUT, LevelLayout, OnnxModel};
use crate::Size;
use crate::architecture::{Architecture, Convolution, Operation, Step, Value};
use crate::config::Activation;
use crate::dysample;
use crate::onnx::{Dim, GraphProto, ModelProto, Opset, import, value_info};
use crate::weights::{FusedConv, Weights};

/// Any number of images in a run.
const BATCH: Dim<'static> = Dim::Named("batch");

/// Builds the model of the main branch. Takes the weights, which move into the model without being copied.
///
/// # Panics
/// If `weights` were bound to another architecture.
#[must_use]
pub fn build(architecture: &Architecture, weights: Weights, opset: Opset) -> OnnxModel {
    let head = layout(architecture);
    let mut builder = GraphBuilder::new(architecture, &head, weights);
    let steps: Vec<&Step> = architecture.main_steps().collect();
    let mut rest = steps.iter().copied().peekable();
    while let Some(step) = rest.next() {
        match rest.next_if(|next| splits(step, next, &steps)) {
            Some(split) => builder.convolution_in_parts(step, split),
            None => builder.lower(step),
        }
    }
    let GraphBuilder { mut graph, .. } = builder;
    let uses_dysample = graph.node.iter().any(|node| node.domain.as_deref() == Some(dysample::DOMAIN));
    let side = [Dim::Named("height"), Dim::Named("width")];
    graph.name = Some(architecture.name().to_owned());
    graph.input = vec![value_info(INPUT, &[BATCH, Dim::Fixed(architecture.input_channels()), side[0], side[1]])];
    graph.output = outputs(&head);
    let mut proto = ModelProto {
        ir_version: Some(opset.ir_version()),
        producer_name: Some("yolo9".into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        graph: Some(graph),
        opset_import: vec![import("", opset.number())],
        ..Default::default()
    };
    if uses_dysample {
        proto.opset_import.push(import(dysample::DOMAIN, 1));
        proto.functions.push(dysample::onnx_function(opset));
    }
    OnnxModel { proto, head }
}

/// Whether the first step is a convolution whose channels the second one takes apart, and nothing else reads. One without an
/// activation stays whole: ONNX Runtime would merge a part with the sum behind it, which rounds otherwise.
fn splits(step: &Step, next: &Step, all: &[&Step]) -> bool {
    let value = step.outputs[0];
    let reads = || all.iter().flat_map(|step| &step.inputs).filter(|input| **input == value).count();
    let fits = |one: Convolution| one.groups == 1 && one.activation != Activation::Identity;
    matches!(next.operation, Operation::Split(_))
        && next.inputs == [value]
        && step.operation.fused_convolution().is_some_and(fits)
        && reads() == 1
}

fn layout(architecture: &Architecture) -> HeadLayout {
    let levels = architecture.head().main().levels.iter().enumerate();
    HeadLayout {
        classes: architecture.head().classes,
        levels: levels
            .map(|(n, level)| LevelLayout {
                stride: level.stride,
                boxes: format!("boxes_{n}"),
                classes: format!("classes_{n}"),
            })
            .collect(),
    }
}

fn outputs(head: &HeadLayout) -> Vec<crate::onnx::ValueInfoProto> {
    let of_level = |level: &LevelLayout| {
        let (height, width) = (format!("height/{}", level.stride), format!("width/{}", level.stride));
        [(&level.boxes, 4 * crate::architecture::REG_MAX), (&level.classes, head.classes)].map(|(name, channels)| {
            value_info(name, &[BATCH, Dim::Fixed(channels), Dim::Named(&height), Dim::Named(&width)])
        })
    };
    head.levels.iter().flat_map(of_level).collect()
}

/// Name of a value that is neither input nor output.
pub(super) fn value_name(value: Value) -> String {
    format!("v{}", value.id)
}

/// The layer of the config that computes each value of a graph, by the value's name.
#[must_use]
pub fn layers_of_values(architecture: &Architecture, head: &HeadLayout) -> HashMap<String, usize> {
    let names = value_names(architecture, head);
    let outputs = architecture.main_steps().flat_map(|step| step.outputs.iter().map(|value| (*value, step.layer)));
    outputs.map(|(value, layer)| (names.get(&value.id).cloned().unwrap_or_else(|| value_name(value)), layer)).collect()
}

/// Names of the input and the outputs.
fn value_names(architecture: &Architecture, head: &HeadLayout) -> HashMap<usize, String> {
    let mut names = HashMap::from([(0, INPUT.to_owned())]);
    for (level, layout) in architecture.head().main().levels.iter().zip(&head.levels) {
        names.insert(level.boxes.id, layout.boxes.clone());
        names.insert(level.classes.id, layout.classes.clone());
    }
    names
}

/// The graph under construction.
pub(super) struct GraphBuilder {
    pub(super) graph: GraphProto,
    pub(super) weights: Weights,
    names: HashMap<usize, String>,
    /// Sizes of all values for one input: their ratios are those of any other.
    sizes: Vec<Size>,
}

impl GraphBuilder {
    fn new(architecture: &Architecture, head: &HeadLayout, weights: Weights) -> Self {
        let names = value_names(architecture, head);
        let probe = Size::square(architecture.stride() * 8);
        let sizes = architecture.sizes(probe).expect("the constructor has measured the strides");
        Self { graph: GraphProto::default(), weights, names, sizes }
    }

    /// Name of a value in the graph.
    pub(super) fn name(&self, value: Value) -> String {
        self.names.get(&value.id).cloned().unwrap_or_else(|| value_name(value))
    }

    /// By how much `to` is larger than `from`.
    pub(super) fn ratio(&self, from: Value, to: Value) -> f32 {
        self.sizes[to.id].width as f32 / self.sizes[from.id].width as f32
    }

    /// Stores a kernel `[output, input, k, k]` and its bias; gives the names that a Conv node reads.
    pub(super) fn kernel(&mut self, path: &str, shape: [usize; 4], kernel: FusedConv) -> [String; 2] {
        let names = [format!("{path}.weight"), format!("{path}.bias")];
        self.graph.floats(&names[0], &shape, kernel.weight);
        self.graph.floats(&names[1], &shape[..1], kernel.bias);
        names
    }
}

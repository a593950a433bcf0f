//! The network as an ONNX model.
//!
//! Input `images` is `[batch, 3, H, W]`, RGB in 0 to 1, with `H` and `W` multiples of the stride. The graph ends at the
//! main head's raw maps: for level `l` the outputs `boxes_l` (`[batch, 64, h, w]`: distributions over the distance to the
//! left, top, right and bottom side, 16 bins each, before softmax) and `classes_l` (`[batch, nc, h, w]`, logits). Softmax
//! and sigmoid over all anchor points would cost 7 % of a small network's time; [`detect`](crate::detect) takes them for the
//! ones that matter only. [`HeadLayout`] describes the outputs, so that nobody has to guess from shapes.

mod builder;
mod export;
mod expose;
mod lower;
mod quantise;

pub use builder::{build, layers_of_values};
pub use export::{DENSE_OUTPUT, ExportError, ExportOptions, export};
pub use expose::{DySampleValues, HeadInput};
pub use quantise::{ActivationRange, QuantisableConvolution, Quantisation};

use prost::Message;

use crate::dysample;
use crate::onnx::{ModelProto, Opset};

/// Name of the graph's input.
pub const INPUT: &str = "images";

/// One level of the head, as outputs of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelLayout {
    /// Input pixels per position.
    pub stride: usize,
    /// Name of the output with the box distributions.
    pub boxes: String,
    /// Name of the output with the class logits.
    pub classes: String,
}

/// What the outputs of a graph mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadLayout {
    /// Number of classes.
    pub classes: usize,
    /// From the finest to the coarsest level.
    pub levels: Vec<LevelLayout>,
}

impl HeadLayout {
    /// Names of the outputs: boxes and classes of each level.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.levels.iter().flat_map(|level| [level.boxes.as_str(), level.classes.as_str()])
    }
}

/// A complete model file in memory, with the meaning of its outputs.
#[derive(Debug, Clone)]
pub struct OnnxModel {
    /// The file.
    pub proto: ModelProto,
    /// Its outputs.
    pub head: HeadLayout,
}

impl OnnxModel {
    /// Turns weights and feature maps to f16, for devices that compute in it. Input and outputs stay f32, and so does
    /// DySample, whose coordinates need it.
    ///
    /// # Errors
    /// [`ExportError`] when a weight does not fit.
    pub fn narrow(&mut self) -> Result<(), ExportError> {
        export::convert_between(&mut self.proto, self.head.outputs())
    }

    /// The bytes of the `.onnx` file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }
}

/// Puts the body of standard operators in the place of each DySample node, for runtimes that know neither our operator nor
/// functions, such as OpenVINO.
pub fn inline_dysample(model: &mut ModelProto) {
    let standard = model.opset_import.iter().find(|import| import.domain.as_deref().unwrap_or_default().is_empty());
    let opset = standard.and_then(|import| Opset::new(import.version?)).unwrap_or_default();
    let is_ours = |domain: Option<&String>| domain.is_some_and(|domain| domain == dysample::DOMAIN);
    if let Some(graph) = &mut model.graph {
        let nodes = std::mem::take(&mut graph.node).into_iter();
        graph.node = nodes
            .flat_map(|node| if is_ours(node.domain.as_ref()) { dysample::inlined(&node, opset) } else { vec![node] })
            .collect();
    }
    model.functions.retain(|function| !is_ours(function.domain.as_ref()));
    model.opset_import.retain(|import| !is_ours(import.domain.as_ref()));
}

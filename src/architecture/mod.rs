//! The network that a configuration describes: every layer expanded into primitive operations with channels, wires and
//! parameter names, the detection head with its strides, and what of it the main head needs.
//!
//! Each block of the paper is written once, in `blocks.rs`, as a composition of primitive operations. Parameter names
//! and shapes, feature map sizes, FLOPs and the ONNX graph are all read off the resulting list of [`Step`]s, so they
//! cannot disagree with each other.

mod arguments;
mod blocks;
mod builder;
mod cost;
mod error;
mod head;
mod operation;
mod parameters;
mod reachability;
mod resolve;
mod shapes;
mod summary;

pub use cost::{Cost, Form};
pub use error::ArchitectureError;
pub use head::REG_MAX;
pub use head::{Head, HeadBranch, HeadLevel, HeadWidths};
pub use operation::{Convolution, DySampleLayer, Interpolation, Operation, Parametric, RepConvolution, Step, Value};
pub use parameters::Parameter;
pub use summary::LayerSummary;

use crate::Size;
use crate::config::{LayerSpec, ModelConfig};

/// Whether inference needs a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The main head depends on it.
    Main,
    /// Only an auxiliary head does: it served training.
    Auxiliary,
}

/// One layer of the configuration, resolved.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The layer.
    pub spec: LayerSpec,
    /// What the layer reads; the value 0 is the image.
    pub inputs: Vec<Value>,
    /// What it gives; several for `CBLinear`, none for a head.
    pub outputs: Vec<Value>,
    /// Whether the main head needs it.
    pub role: Role,
}

/// A network with resolved wires, channels and strides.
#[derive(Debug, Clone)]
pub struct Architecture {
    name: String,
    layers: Vec<Layer>,
    steps: Vec<Step>,
    head: Head,
    input_channels: usize,
    /// Per step: whether the main branch of the head needs it.
    main: Vec<bool>,
}

impl Architecture {
    /// Resolves a configuration with the head widths that the official code would choose.
    ///
    /// # Errors
    /// Names the configuration and the layer: bad arguments, a `from` that leads nowhere, channels or sizes that do not
    /// fit, a missing head.
    pub fn new(config: &ModelConfig) -> Result<Self, ArchitectureError> {
        Self::with_head_widths(config, &[])
    }

    /// As [`Architecture::new`], with hidden widths for the first branches of the head. Released checkpoints differ in
    /// them from what the official formula gives, so they are taken from the weights' shapes.
    pub(crate) fn with_head_widths(config: &ModelConfig, widths: &[HeadWidths]) -> Result<Self, ArchitectureError> {
        let mut architecture = resolve::resolve(config, widths)?;
        architecture.measure_strides()?;
        architecture.mark_main();
        Ok(architecture)
    }

    /// The configuration's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All layers, resolved, in order.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// All primitive operations in order, auxiliary ones included.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The operations that the main branch of the head needs, in order.
    pub fn main_steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().zip(&self.main).filter(|(_, main)| **main).map(|(step, _)| step)
    }

    /// The detection head.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Channels of the input image.
    #[must_use]
    pub fn input_channels(&self) -> usize {
        self.input_channels
    }

    /// The largest stride of the main branch: input sizes are multiples of it.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.head.main().levels.iter().map(|level| level.stride).max().unwrap_or(32)
    }

    /// The sizes of all values for an input of that size, indexed by [`Value::id`].
    ///
    /// # Errors
    /// When maps of different sizes meet, which for a size that is a multiple of [`Architecture::stride`] does not
    /// happen.
    pub fn sizes(&self, input: Size) -> Result<Vec<Size>, ArchitectureError> {
        shapes::sizes(self, input)
    }
}

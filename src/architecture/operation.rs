//! The primitive operations that blocks are made of.

use crate::config::Activation;
use crate::dysample;

/// A feature map flowing between operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// Number of the value; 0 is the image.
    pub id: usize,
    /// Its channels.
    pub channels: usize,
}

/// A 2-D convolution: the official `Conv` block with its batch normalisation, or a plain `conv2d` with bias.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    /// Prefix of the parameter names: `P` of `P.conv.weight` and `P.bn.…`, or of `P.weight` and `P.bias` when plain.
    pub path: String,
    /// Input channels.
    pub input: usize,
    /// Output channels.
    pub output: usize,
    /// Side of the square kernel.
    pub kernel: usize,
    /// Step in both directions.
    pub stride: usize,
    /// Zero padding on all sides.
    pub padding: usize,
    /// Distance between kernel taps.
    pub dilation: usize,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Whether a batch normalisation follows and takes the place of the bias.
    pub normalised: bool,
    /// Applied last.
    pub activation: Activation,
}

impl Convolution {
    /// Shape of the weight tensor.
    #[must_use]
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.output, self.input / self.groups, self.kernel, self.kernel]
    }

    /// Name of the weight tensor.
    #[must_use]
    pub fn weight_name(&self) -> String {
        format!("{}.weight", self.kernel_path())
    }

    /// Where the conv2d itself lies below [`Convolution::path`].
    #[must_use]
    pub fn kernel_path(&self) -> String {
        if self.normalised { format!("{}.conv", self.path) } else { self.path.clone() }
    }
}

/// `RepConvN`: a 3x3 and a 1x1 convolution, each normalised, summed and activated. Merged into one 3x3 for inference.
#[derive(Debug, Clone, PartialEq)]
pub struct RepConvolution {
    /// Prefix of the parameter names.
    pub path: String,
    /// The 3x3 branch, without activation.
    pub large: Convolution,
    /// The 1x1 branch, without activation.
    pub small: Convolution,
    /// Applied to the sum.
    pub activation: Activation,
}

impl RepConvolution {
    /// The single convolution that equals both branches. A fused save stores its parameters under these names.
    #[must_use]
    pub fn merged(&self) -> Convolution {
        Convolution { path: self.path.clone(), activation: self.activation, ..self.large.clone() }
    }
}

/// A DySample upsampler.
#[derive(Debug, Clone, PartialEq)]
pub struct DySampleLayer {
    /// Prefix of the parameter names.
    pub path: String,
    /// Its arguments.
    pub definition: dysample::Definition,
}

/// How `nn.Upsample` fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// Repeats pixels.
    Nearest,
    /// Bilinear with half-pixel centres (`align_corners=False`).
    Bilinear,
}

/// What a [`Step`] computes.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Convolution, normalisation, activation.
    Convolution(Convolution),
    /// Two convolutions in parallel.
    RepConvolution(RepConvolution),
    /// Mean over a window, no padding.
    AveragePool {
        /// Side of the window.
        kernel: usize,
        /// Step.
        stride: usize,
    },
    /// Maximum over a window; padding never wins.
    MaxPool {
        /// Side of the window.
        kernel: usize,
        /// Step.
        stride: usize,
        /// Padding on all sides.
        padding: usize,
    },
    /// Channels divided into consecutive parts of so many, one output each.
    Split(Vec<usize>),
    /// Channels joined in order.
    Concat,
    /// Element-wise sum of two maps.
    Add,
    /// Every map resized (nearest) to the size of the last, then summed: `CBFuse`.
    FuseNearest,
    /// `nn.Upsample` by a whole factor.
    Upsample {
        /// The factor.
        scale: usize,
        /// How.
        interpolation: Interpolation,
    },
    /// DySample.
    DySample(DySampleLayer),
}

/// An operation that has parameters.
#[derive(Debug, Clone, Copy)]
pub enum Parametric<'a> {
    /// Convolution, normalisation, activation.
    Convolution(&'a Convolution),
    /// Two convolutions in parallel.
    RepConvolution(&'a RepConvolution),
    /// DySample.
    DySample(&'a DySampleLayer),
}

impl Operation {
    /// The operation, if it has parameters: the one place that says which have.
    #[must_use]
    pub fn parametric(&self) -> Option<Parametric<'_>> {
        match self {
            Operation::Convolution(convolution) => Some(Parametric::Convolution(convolution)),
            Operation::RepConvolution(rep) => Some(Parametric::RepConvolution(rep)),
            Operation::DySample(layer) => Some(Parametric::DySample(layer)),
            Operation::AveragePool { .. }
            | Operation::MaxPool { .. }
            | Operation::Split(_)
            | Operation::Concat
            | Operation::Add
            | Operation::FuseNearest
            | Operation::Upsample { .. } => None,
        }
    }

    /// The layer, if it is DySample.
    #[must_use]
    pub fn as_dysample(&self) -> Option<&DySampleLayer> {
        match self.parametric()? {
            Parametric::DySample(layer) => Some(layer),
            Parametric::Convolution(_) | Parametric::RepConvolution(_) => None,
        }
    }

    /// The convolution that is left of it when branches and normalisation are fused.
    #[must_use]
    pub fn fused_convolution(&self) -> Option<Convolution> {
        match self.parametric()? {
            Parametric::Convolution(convolution) => Some(convolution.clone()),
            Parametric::RepConvolution(rep) => Some(rep.merged()),
            Parametric::DySample(_) => None,
        }
    }
}

/// One operation with its wires.
#[derive(Debug, Clone)]
pub struct Step {
    /// Index of the layer it came from.
    pub layer: usize,
    /// What is computed.
    pub operation: Operation,
    /// What it reads.
    pub inputs: Vec<Value>,
    /// What it gives.
    pub outputs: Vec<Value>,
}

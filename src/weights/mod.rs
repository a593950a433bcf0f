//! A checkpoint bound to an architecture: every tensor that the main branch needs, checked, widened to f32 and fused.
//!
//! Batch normalisation is folded into its convolution, the two branches of a `RepConvN` become one 3x3 kernel, and
//! DySample's constants go into its offset convolutions. What does not fit is reported as one list, before anything is
//! built.

mod bind;
mod deploy;
mod error;
mod fuse;
mod infer_config;
mod lift;
mod random;
mod reconcile;
mod training;

pub use bind::bind;
pub use deploy::{deployed, fused};
pub use error::{Mismatch, WeightsError};
pub use infer_config::infer_config;
pub use lift::{LIFTED, lifted, retarget};
pub use random::random;
pub use reconcile::{reconcile, reconciled_architecture};
pub use training::{OffsetState, offset_states};

use std::collections::BTreeMap;

use crate::dysample::OffsetKernels;

/// A fused convolution, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct FusedConv {
    /// `[output, input / groups, k, k]`.
    pub weight: Vec<f32>,
    /// `[output]`.
    pub bias: Vec<f32>,
}

/// The parameters of the main branch, ready for the graph. Keys are the paths of the operations.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    /// Of convolutions and merged `RepConvN`.
    pub kernels: BTreeMap<String, FusedConv>,
    /// Of DySample modules.
    pub offsets: BTreeMap<String, OffsetKernels>,
}

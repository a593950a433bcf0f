//! Ways in which a checkpoint can be unreadable.

use thiserror::Error;

use super::budget::{MAX_BYTES, MAX_STEPS};
use crate::untrusted::printable;

/// Why a checkpoint was refused.
#[derive(Debug, Error)]
#[error("weights {file}: {problem}")]
pub struct CheckpointError {
    /// The file, or what stands for it.
    pub file: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a checkpoint.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The operating system refused.
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    /// Recognised, but not something this program reads.
    #[error("{0}")]
    Unsupported(String),
    /// Begins like nothing known.
    #[error("not a model file: {0}; expected one of PyTorch (.pt), safetensors or ONNX")]
    Unrecognised(String),
    /// The zip container is damaged.
    #[error("damaged or truncated zip file: {0}")]
    Zip(String),
    /// The pickle inside is damaged or beyond a limit.
    #[error("damaged pickle at byte {offset}: {reason}")]
    Pickle {
        /// Position in `data.pkl`.
        offset: usize,
        /// What is wrong.
        reason: String,
    },
    /// A pickle that describes far more than it holds, by referring to the same values again and again.
    #[error(
        "its pickle asks for more work than any checkpoint needs (more than {MAX_BYTES} bytes of names and settings, or \
         {MAX_STEPS} values looked at); it was made to exhaust whoever reads it"
    )]
    Budget,
    /// A readable pickle that does not hold a model where one is expected.
    #[error("holds no model: {0}")]
    NoModel(String),
    /// A tensor's description contradicts itself or the file.
    #[error("tensor {}: {}", printable(name), printable(reason))]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A tensor that does not exist was asked for.
    #[error("has no tensor {0}")]
    NoTensor(String),
    /// The safetensors container is damaged.
    #[error("damaged safetensors file: {0}")]
    Safetensors(String),
}

//! What is wrong with an ONNX file.

use std::fmt::Display;

use thiserror::Error;

/// Why an ONNX file cannot be used as a detector.
#[derive(Debug, Error)]
#[error("model {file}: {problem}")]
pub struct OnnxFileError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub problem: OnnxProblem,
}

/// What is wrong with an ONNX file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OnnxProblem {
    /// Neither its output nor its metadata say how many classes there are.
    #[error("does not say how many classes it has")]
    Classes,
    /// Damage, weights in other files, inputs or outputs that no YOLOv9 detector has, lengths beyond those of any detector.
    #[error("{0}")]
    Unusable(String),
}

pub(super) fn damaged(reason: impl Display) -> OnnxProblem {
    OnnxProblem::Unusable(format!("damaged or truncated ONNX file: {reason}"))
}

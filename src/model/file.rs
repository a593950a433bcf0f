//! A model file of any kind. Its content decides which, not its name.

use std::path::Path;

use thiserror::Error;

use crate::checkpoint::{self, Checkpoint, CheckpointError};
use crate::onnx::{OnnxFile, OnnxFileError, looks_like_onnx};

/// What a model file holds.
#[derive(Debug, Clone)]
pub enum ModelFile {
    /// Weights, from which the network is built.
    Checkpoint(Checkpoint),
    /// A network that somebody exported, which is run as it is.
    Exported(OnnxFile),
}

/// Why a model file cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelFileError {
    /// As a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// As an exported network.
    #[error(transparent)]
    Exported(#[from] OnnxFileError),
}

impl ModelFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ModelFileError`] names the file and says what it looks like, or what is wrong with it.
    pub fn open(path: &Path) -> Result<Self, ModelFileError> {
        let name = path.display().to_string();
        Self::from_bytes(&name, checkpoint::read_file(path)?)
    }

    /// Reads a file in memory, which messages call by that name.
    ///
    /// # Errors
    /// As [`ModelFile::open`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, ModelFileError> {
        // An ONNX file has no magic number; a safetensors file may begin like one by chance.
        Ok(if !checkpoint::recognises(&bytes) && looks_like_onnx(&bytes) {
            Self::Exported(OnnxFile::from_bytes(name, bytes)?)
        } else {
            Self::Checkpoint(Checkpoint::from_bytes(name, bytes)?)
        })
    }
}

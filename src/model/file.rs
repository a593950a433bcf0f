//! A model file of any kind. Its content decides which, not its name.

use std::path::Path;

use super::ModelError;
use crate::checkpoint::{self, Checkpoint};
use crate::onnx::{OnnxFile, looks_like_onnx};

/// What a model file holds.
#[derive(Debug, Clone)]
pub enum ModelFile {
    /// Weights, from which the network is built.
    Checkpoint(Checkpoint),
    /// A network that somebody exported, which is run as it is.
    Exported(OnnxFile),
}

impl ModelFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ModelError`] names the file and says what it looks like, or what is wrong with it.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let name = path.display().to_string();
        Self::from_bytes(&name, checkpoint::read_file(path)?)
    }

    /// Reads a file in memory, which messages call by that name.
    ///
    /// # Errors
    /// As [`ModelFile::open`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, ModelError> {
        // An ONNX file has no magic number; a safetensors file may begin like one by chance.
        Ok(if !checkpoint::recognises(&bytes) && looks_like_onnx(&bytes) {
            Self::Exported(OnnxFile::from_bytes(name, bytes)?)
        } else {
            Self::Checkpoint(Checkpoint::from_bytes(name, bytes)?)
        })
    }
}

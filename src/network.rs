//! From a checkpoint to a model that can run: configuration, architecture, weights and graph in one call.

use std::path::Path;

use thiserror::Error;

use crate::architecture::Architecture;
use crate::checkpoint::{self, Checkpoint, CheckpointError};
use crate::config::{ConfigError, ModelConfig};
use crate::graph::{self, OnnxModel};
use crate::onnx::{OnnxFile, OnnxFileError, Opset, looks_like_onnx};
use crate::weights::{self, WeightsError};

/// Why no network could be put together.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The checkpoint holds tensors only.
    #[error(
        "weights {weights} are {description}, which does not say what network they belong to, and no built-in config \
         has such layers; name its config with --config (`yolo9 configs` lists the built-in ones)"
    )]
    NoConfig {
        /// The checkpoint.
        weights: String,
        /// What kind of file it is.
        description: String,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The weights do not fit it.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The number of names is not the number of classes.
    #[error("{found} class names for {expected} classes ({source_of_names}); expected one name per class")]
    Names {
        /// Where the names come from.
        source_of_names: String,
        /// Classes of the network.
        expected: usize,
        /// Names given.
        found: usize,
    },
}

/// A model file of any kind, told from its content.
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
        let bytes = checkpoint::read_file(path)?;
        // An ONNX file has no magic number; a safetensors file may begin like one by chance.
        Ok(if !checkpoint::recognises(&bytes) && looks_like_onnx(&bytes) {
            Self::Exported(OnnxFile::from_bytes(&name, bytes)?)
        } else {
            Self::Checkpoint(Checkpoint::from_bytes(&name, bytes)?)
        })
    }
}

/// The configuration of a checkpoint: the given one, else the one that it carries, else the built-in one that its tensors
/// fit; with the number of classes that the weights have.
///
/// # Errors
/// When it is wrong, or there is none.
pub fn config_of(checkpoint: &Checkpoint, given: Option<&ModelConfig>) -> Result<ModelConfig, NetworkError> {
    let own = if given.is_none() { checkpoint.config()? } else { None };
    let config = given.cloned().or(own).map_or_else(|| recognised(checkpoint), Ok)?;
    Ok(weights::settled(&config, checkpoint)?)
}

fn recognised(checkpoint: &Checkpoint) -> Result<ModelConfig, NetworkError> {
    let config = weights::recognised(checkpoint).ok_or_else(|| NetworkError::NoConfig {
        weights: checkpoint.name().into(),
        description: checkpoint.description().into(),
    })?;
    let activation = checkpoint.common_activation().unwrap_or(config.activation);
    log::info!(
        "{} does not say what network it is; its tensors are those of {} (with {activation}; --config would say \
         otherwise)",
        checkpoint.name(),
        if config.name.starts_with("recognised") { "a YOLOv9 network of other widths" } else { &config.name }
    );
    Ok(config)
}

/// A network with its weights, ready for a runtime.
#[derive(Debug, Clone)]
pub struct Network {
    /// Layers, wires, costs.
    pub architecture: Architecture,
    /// The model file.
    pub onnx: OnnxModel,
    /// One name per class.
    pub class_names: Vec<String>,
    /// Whether the names were made up because the checkpoint has none.
    pub names_are_placeholders: bool,
}

impl Network {
    /// Builds the network that `config` describes, or, without one, that the checkpoint carries.
    ///
    /// # Errors
    /// When neither says what the network is, or the two do not fit together.
    pub fn assemble(checkpoint: &Checkpoint, config: Option<&ModelConfig>) -> Result<Self, NetworkError> {
        let config = config_of(checkpoint, config)?;
        let (architecture, weights) = weights::bind(&config, checkpoint)?;
        let classes = architecture.head().classes;
        let stored = checkpoint.metadata().class_names.clone();
        if let Some(names) = stored.as_ref().filter(|names| names.len() != classes) {
            log::warn!("{} has {} class names for {classes} classes", checkpoint.name(), names.len());
        }
        let stored = stored.filter(|names| names.len() == classes);
        let names_are_placeholders = stored.is_none();
        let onnx = graph::build(&architecture, weights, Opset::default());
        Ok(Self {
            architecture,
            onnx,
            class_names: stored.unwrap_or_else(|| placeholder_names(classes)),
            names_are_placeholders,
        })
    }

    /// The network that `config` describes, with random weights from a seed: for what does not depend on them.
    ///
    /// # Errors
    /// When the configuration does not resolve.
    pub fn with_random_weights(config: &ModelConfig, seed: u64) -> Result<Self, NetworkError> {
        let architecture = Architecture::new(config).map_err(WeightsError::from)?;
        let onnx = graph::build(&architecture, weights::random(&architecture, seed), Opset::default());
        let class_names = placeholder_names(architecture.head().classes);
        Ok(Self { architecture, onnx, class_names, names_are_placeholders: true })
    }

    /// Replaces the class names.
    ///
    /// # Errors
    /// When there is not one name per class. `source_of_names` is what the message calls them.
    pub fn with_class_names(mut self, names: Vec<String>, source_of_names: &str) -> Result<Self, NetworkError> {
        let expected = self.class_names.len();
        if names.len() != expected {
            let source_of_names = source_of_names.into();
            return Err(NetworkError::Names { source_of_names, expected, found: names.len() });
        }
        self.class_names = names;
        self.names_are_placeholders = false;
        Ok(self)
    }
}

/// `class0`, `class1`, …: names for the classes of a model that carries none.
#[must_use]
pub fn placeholder_names(classes: usize) -> Vec<String> {
    (0..classes).map(|id| format!("class{id}")).collect()
}

//! From a checkpoint to a network that can run: configuration, architecture, weights and graph in one call.

use super::ModelError;
use crate::architecture::Architecture;
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::graph::{self, OnnxModel};
use crate::onnx::Opset;
use crate::weights::{self, WeightsError};

/// The configuration of a checkpoint: the given one, else the one that it carries, else the built-in one that its tensors
/// fit; with the number of classes that the weights have.
///
/// # Errors
/// When it is wrong, or there is none.
pub fn resolve_config(checkpoint: &Checkpoint, given: Option<&ModelConfig>) -> Result<ModelConfig, ModelError> {
    let own = if given.is_none() { checkpoint.config()? } else { None };
    let config = given.cloned().or(own).map_or_else(|| inferred(checkpoint), Ok)?;
    Ok(weights::reconcile(&config, checkpoint)?)
}

fn inferred(checkpoint: &Checkpoint) -> Result<ModelConfig, ModelError> {
    let config = weights::infer_config(checkpoint).ok_or_else(|| ModelError::NoConfig {
        weights: checkpoint.name().into(),
        description: checkpoint.description().into(),
    })?;
    let activation = checkpoint.common_activation().unwrap_or(config.activation);
    log::info!(
        "{} does not say what network it is; its tensors are those of {} (with {activation})",
        checkpoint.name(),
        if config.name.starts_with("inferred") { "a YOLOv9 network of other widths" } else { &config.name }
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
}

impl Network {
    /// Builds the network that `config` describes, or, without one, that the checkpoint carries.
    ///
    /// # Errors
    /// When neither says what the network is, or the two do not fit together.
    pub fn assemble(checkpoint: &Checkpoint, config: Option<&ModelConfig>) -> Result<Self, ModelError> {
        let config = resolve_config(checkpoint, config)?;
        let (architecture, weights) = weights::bind(&config, checkpoint)?;
        let onnx = graph::build(&architecture, weights, Opset::default());
        Ok(Self { architecture, onnx })
    }

    /// The network that `config` describes, with random weights from a seed: for what does not depend on them.
    ///
    /// # Errors
    /// When the configuration does not resolve.
    pub fn with_random_weights(config: &ModelConfig, seed: u64) -> Result<Self, ModelError> {
        let architecture = Architecture::new(config).map_err(WeightsError::from)?;
        let onnx = graph::build(&architecture, weights::random(&architecture, seed), Opset::default());
        Ok(Self { architecture, onnx })
    }
}

/// The names that a checkpoint carries, if there is one for each class.
pub(super) fn stored_names(checkpoint: &Checkpoint, classes: usize) -> Option<Vec<String>> {
    let stored = checkpoint.metadata().class_names.clone();
    if let Some(names) = stored.as_ref().filter(|names| names.len() != classes) {
        log::warn!("{} has {} class names for {classes} classes", checkpoint.name(), names.len());
    }
    stored.filter(|names| names.len() == classes)
}

/// `class0`, `class1`, …: names for the classes of a model that carries none.
#[must_use]
pub fn placeholder_names(classes: usize) -> Vec<String> {
    (0..classes).map(|id| format!("class{id}")).collect()
}

//! Ways in which a configuration describes no network.

use thiserror::Error;

use crate::config::LayerSpec;

/// Why a configuration cannot be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArchitectureError {
    /// A layer's arguments, wiring or channels are wrong.
    #[error("config {config}: {layer}: {message}")]
    Layer {
        /// The configuration.
        config: String,
        /// The layer with its module and line.
        layer: String,
        /// What is wrong, what was expected and found.
        message: String,
    },
    /// There is no detection head, or not at the end.
    #[error(
        "config {config}: the last layer must be a detection head (Detect, DDetect, DualDetect, DualDDetect, \
         TripleDetect or TripleDDetect), found {found}"
    )]
    NoHead {
        /// The configuration.
        config: String,
        /// The last layer.
        found: String,
    },
}

impl ArchitectureError {
    pub(super) fn of_layer(config: &str, layer: &LayerSpec, message: String) -> Self {
        Self::Layer { config: config.into(), layer: layer.to_string(), message }
    }
}

//! Ways in which a configuration describes no network.

use thiserror::Error;

use crate::config::LayerSpec;

/// Why a configuration cannot be built, in words: a layer's arguments, wiring or channels are wrong, or there is no
/// detection head at its end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("config {config}: {reason}")]
pub struct ArchitectureError {
    pub(super) config: String,
    pub(super) reason: String,
}

impl ArchitectureError {
    /// `message` says what is wrong, what was expected and found.
    pub(super) fn of_layer(config: &str, layer: &LayerSpec, message: &str) -> Self {
        Self { config: config.into(), reason: format!("{layer}: {message}") }
    }
}

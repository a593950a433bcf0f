//! Fetched files: the folder that they live in, how their checksums are written.

use std::path::PathBuf;

/// `YOLO9_CACHE`, else `yolo9` in the user's cache folder (XDG on Linux).
///
/// # Errors
/// When neither the variable nor a home folder is set.
pub fn cache_folder() -> Result<PathBuf, NoCacheFolder> {
    if let Some(folder) = std::env::var_os("YOLO9_CACHE").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    use etcetera::BaseStrategy;
    let strategy = etcetera::choose_base_strategy().map_err(|error| NoCacheFolder { reason: error.to_string() })?;
    Ok(strategy.cache_dir().join("yolo9"))
}

/// Nobody says where fetched files may go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no cache folder: no home folder ({reason}); name one with YOLO9_CACHE")]
pub struct NoCacheFolder {
    /// The operating system's reason.
    pub reason: String,
}

/// Whether `YOLO9_OFFLINE` forbids fetching.
#[must_use]
pub fn offline_by_variable() -> bool {
    std::env::var_os("YOLO9_OFFLINE").is_some_and(|value| !value.is_empty() && value != "0")
}

/// Two lowercase hexadecimal digits per byte, as `sha256sum` prints a checksum.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

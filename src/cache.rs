//! Fetched files: the folder that they live in, how their checksums are written.

use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::untrusted::open_regular;

/// `YOLO9_CACHE`, else `yolo9` in the user's cache folder (XDG on Linux).
///
/// # Errors
/// When neither the variable nor a home folder is set.
pub fn cache_folder() -> Result<PathBuf, NoCacheFolder> {
    if let Some(folder) = std::env::var_os("YOLO9_CACHE").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    use etcetera::BaseStrategy;
    let strategy = etcetera::choose_base_strategy().map_err(|error| NoCacheFolder(error.to_string()))?;
    Ok(strategy.cache_dir().join("yolo9"))
}

/// Nobody says where fetched files may go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no cache folder: no home folder ({0}); name one with YOLO9_CACHE")]
pub struct NoCacheFolder(String);

/// Whether `YOLO9_OFFLINE` forbids fetching.
#[must_use]
pub fn offline_by_variable() -> bool {
    std::env::var_os("YOLO9_OFFLINE").is_some_and(|value| !value.is_empty() && value != "0")
}

/// The SHA-256 of a regular file, as `sha256sum` prints it.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn sha256_of_file(path: &Path) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    let (mut file, mut buffer) = (open_regular(path)?, vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// Two lowercase hexadecimal digits per byte, as `sha256sum` prints a checksum.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

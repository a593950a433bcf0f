//! Folders that belong to one process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use anyhow::Context;
use yolo9::untrusted::open_own;

/// The file of that path, made if it is missing, for this process alone as long as it is open; nothing while another
/// process has it.
pub(crate) fn lock(path: &Path) -> anyhow::Result<Option<File>> {
    let file = open_own(path, OpenOptions::new().create(true).truncate(false).write(true))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        // File systems without locks are no reason to do nothing.
        Err(TryLockError::Error(error)) => log::debug!("{}: cannot be locked: {error}", path.display()),
    }
    Ok(Some(file))
}

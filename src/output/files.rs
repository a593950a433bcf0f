//! Files that appear complete or not at all.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use image::ImageFormat;
use tempfile::NamedTempFile;
use thiserror::Error;

use crate::untrusted::{below, open_stream};

/// Names of temporary files: this, that many random letters and digits, and [`SUFFIX`].
const PREFIX: &str = ".yolo9-";
const RANDOM: usize = 12;
const SUFFIX: &str = ".part";

/// Why a result could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error("{path} cannot be written: {reason}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Its reason.
        reason: std::io::Error,
    },
    /// The encoder refused, for example because a format has a largest size.
    #[error("the image cannot be written as {format:?}: {reason}")]
    Encode {
        /// The format.
        format: ImageFormat,
        /// The encoder's reason.
        reason: image::ImageError,
    },
}

/// The folder that a file lies in: the current one for a bare name.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file that is being written, under a name of its own, so that two runs never write into one.
///
/// It is locked as long as it is open: that tells what a killed run left from what another run is writing.
pub type TemporaryFile = NamedTempFile;

/// A temporary file in the folder of `path`, to take that name when it is complete.
///
/// # Errors
/// When the folder does not exist or is not writable.
pub fn temporary_beside(path: &Path) -> std::io::Result<TemporaryFile> {
    loop {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).rand_bytes(RANDOM).suffix(SUFFIX);
        // Temporary files are private by default; a result is as public as the user's other files.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder_of(path)).map_err(without_path)?;
        match file.as_file().try_lock() {
            // Another run may have taken it for left behind in the moment before it was locked, and have deleted it.
            Ok(()) if file.path().exists() => return Ok(file),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            // Where files cannot be locked, nothing is swept away either.
            Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}

/// The system's own error: the name of a temporary file that could not be made says nothing to anybody.
fn without_path(error: std::io::Error) -> std::io::Error {
    let system = error.get_ref().and_then(|inner| inner.source()?.downcast_ref::<std::io::Error>()?.raw_os_error());
    system.map_or(error, std::io::Error::from_raw_os_error)
}

/// Whether a name is that of a temporary file of ours.
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    let random = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    random.is_some_and(|random| random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Deletes `path` if it is a temporary file of ours that nobody writes any more. Links are not followed.
///
/// # Errors
/// When it cannot be deleted.
pub fn sweep(path: &Path) -> std::io::Result<()> {
    let is_ours = path.file_name().and_then(|name| name.to_str()).is_some_and(is_temporary);
    if !is_ours || !path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(());
    }
    // One that is not ours to open is not ours to delete.
    let Ok(file) = File::open(path) else { return Ok(()) };
    match file.try_lock() {
        Ok(()) => delete_if_there(path),
        Err(_) => Ok(()),
    }
}

/// Deletes a file; there need be none.
///
/// # Errors
/// When it cannot be deleted.
pub fn delete_if_there(path: &Path) -> std::io::Result<()> {
    std::fs::remove_file(path).or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Writes a file so that it appears under its name only when complete. Its folder is created. A pipe or a device is written
/// to: a file in its place would be a surprise.
///
/// # Errors
/// [`FileError::Write`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => open_stream(path)
            .and_then(|mut stream| stream.write_all(bytes))
            .map_err(|reason| FileError::Write { path: path.to_path_buf(), reason }),
        _ => replace(path, bytes),
    }
}

/// Whatever is there, if it is no folder, is replaced.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let failed = |reason| FileError::Write { path: path.to_path_buf(), reason };
    std::fs::create_dir_all(folder_of(path)).map_err(failed)?;
    let mut file = temporary_beside(path).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map(drop).map_err(|error| failed(error.error))
}

/// As [`write_atomically`], below a folder, on a way without symbolic links, replacing whatever is there.
///
/// # Errors
/// [`FileError::Write`].
pub fn write_below(folder: &Path, relative: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let path = below(folder, relative).map_err(|reason| FileError::Write { path: folder.join(relative), reason })?;
    replace(&path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_killed_run_left_is_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let alive = temporary_beside(&at("a.json")).unwrap();
        let name = alive.path().file_name().unwrap().to_str().unwrap();
        assert!(is_temporary(name), "{name}");
        let left = ".yolo9-0123456789ab.part";
        for name in [left, ".yolo9-x.jpg", ".yolo9-0123456789ab.jpg", ".yolo9-01234567-9ab.part"] {
            std::fs::write(at(name), "").unwrap();
        }
        std::fs::read_dir(dir.path()).unwrap().for_each(|entry| sweep(&entry.unwrap().path()).unwrap());
        assert!(alive.path().exists() && !at(left).exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4);
    }
}

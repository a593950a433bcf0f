//! Fetches the pinned library through the machine's own `pip download`, so that a configured mirror or proxy is used.

use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::pinned::{self, Pinned};
use super::python::{INTERPRETERS, isolated};
use super::{Candidate, Library, Origin, VERSION};
use crate::cache::hexadecimal;
use crate::runtime::RuntimeError;
use crate::untrusted::{FileKind, open_own, read};

fn folder(cache: &Path) -> PathBuf {
    cache.join(format!("onnxruntime-{VERSION}"))
}

fn target(cache: &Path, pinned: &Pinned) -> PathBuf {
    folder(cache).join(pinned.entry.rsplit('/').next().unwrap_or(pinned.entry))
}

/// The fetched library, if it is whole.
pub(super) fn cached(cache: &Path) -> Candidate {
    let Some(pinned) = pinned::for_this_platform() else { return Ok(None) };
    let path = target(cache, pinned);
    match std::fs::metadata(&path).map(|metadata| metadata.len()) {
        // Mapping a damaged library ends in a signal; hashing it takes some 20 ms.
        Ok(length) if length == pinned.length => {
            let library = read(&path, FileKind::Model).map_err(|error| format!("{}: {error}", path.display()))?;
            verify(&library, pinned).map_err(|reason| format!("{} is damaged: {reason}", path.display()))?;
            Ok(Some(Library { path, origin: Origin::Cache }))
        }
        Ok(length) => Err(format!("{} is damaged: {length} bytes of {}", path.display(), pinned.length)),
        Err(_) => Ok(None),
    }
}

/// Fetches, verifies, and puts the library into the cache. Processes that come at the same time wait for each other.
pub(super) fn fetch(cache: &Path) -> Result<Library, RuntimeError> {
    let failed = |reason: String| RuntimeError::Fetch { version: VERSION, reason };
    let pinned = pinned::for_this_platform().ok_or_else(|| {
        failed(format!("no build for {} on {} is known", std::env::consts::OS, std::env::consts::ARCH))
    })?;
    let folder = folder(cache);
    let cache_error =
        |path: &Path, error: std::io::Error| RuntimeError::Cache { path: path.into(), reason: error.to_string() };
    std::fs::create_dir_all(&folder).map_err(|error| cache_error(&folder, error))?;
    let lock_path = folder.join("lock");
    let lock = open_own(&lock_path, File::options().create(true).write(true))
        .map_err(|error| cache_error(&lock_path, error))?;
    lock.lock().map_err(|error| cache_error(&lock_path, error))?;
    if let Ok(Some(library)) = cached(cache) {
        return Ok(library);
    }
    log::info!("Fetching ONNX Runtime {VERSION} (about 24 MB, once) with pip into {}", folder.display());
    let downloads = tempfile::tempdir_in(&folder).map_err(|error| cache_error(&folder, error))?;
    let wheel = download(pinned, downloads.path()).map_err(failed)?;
    let library = extract(&wheel, pinned.entry).map_err(failed)?;
    verify(&library, pinned).map_err(failed)?;
    let path = target(cache, pinned);
    store(&library, &path).map_err(|error| cache_error(&path, error))?;
    Ok(Library { path, origin: Origin::Cache })
}

/// The wheel for this platform. The interpreter's own version does not matter: the tags are given.
fn download(pinned: &Pinned, folder: &Path) -> Result<Vec<u8>, String> {
    let requirement = format!("onnxruntime=={VERSION}");
    // Python stands in the folder for downloads.
    let folder = &std::path::absolute(folder).map_err(|error| error.to_string())?;
    let destination = folder.to_string_lossy();
    let arguments = [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--no-deps",
        "--only-binary=:all:",
        "--python-version",
        "3.12",
        "--implementation",
        "cp",
        "--abi",
        "cp312",
        "--platform",
        pinned.platform,
        "--dest",
        &destination,
        &requirement,
    ];
    let mut reasons = Vec::new();
    for python in INTERPRETERS {
        match isolated(python, folder).args(arguments).output() {
            Ok(output) if output.status.success() => return read_wheel(folder),
            Ok(output) => {
                let message = String::from_utf8_lossy(&output.stderr);
                let last = message.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message");
                reasons.push(format!("`{python} -m pip download`: {}", last.trim()));
            }
            Err(error) => reasons.push(format!("`{python}`: {error}")),
        }
    }
    Err(reasons.join("; "))
}

fn read_wheel(folder: &Path) -> Result<Vec<u8>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let wheel = entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "whl"));
    let wheel = wheel.ok_or("pip reported success but wrote no wheel")?;
    read(&wheel, FileKind::Model).map_err(|error| error.to_string())
}

fn extract(wheel: &[u8], entry: &str) -> Result<Vec<u8>, String> {
    let mut zip = zip::ZipArchive::new(Cursor::new(wheel)).map_err(|error| format!("the wheel is damaged: {error}"))?;
    let mut file = zip.by_name(entry).map_err(|error| format!("the wheel has no {entry}: {error}"))?;
    let mut library = Vec::new();
    file.read_to_end(&mut library).map_err(|error| format!("the wheel is damaged: {error}"))?;
    Ok(library)
}

fn verify(library: &[u8], pinned: &Pinned) -> Result<(), String> {
    let found = hexadecimal(&Sha256::digest(library));
    if found == pinned.sha256 {
        return Ok(());
    }
    Err(format!("the library has sha256 {found}, expected {}; it is not the file that was published", pinned.sha256))
}

/// The file appears under its name only when complete.
fn store(bytes: &[u8], path: &Path) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // A cache may be shared between users.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_is_refused() {
        if let Some(pinned) = pinned::for_this_platform() {
            assert!(verify(b"something else", pinned).unwrap_err().contains("expected"));
        }
    }

    #[test]
    fn an_incomplete_file_in_the_cache_is_not_used() {
        let Some(pinned) = pinned::for_this_platform() else { return };
        let cache = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder(cache.path())).unwrap();
        store(b"\x7fELF and then the disk was full", &target(cache.path(), pinned)).unwrap();
        assert!(cached(cache.path()).unwrap_err().contains("is damaged: 31 bytes of"));
    }
}

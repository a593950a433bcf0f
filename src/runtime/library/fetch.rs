//! Fetches a package's library through the machine's own `pip download`, so that a configured mirror or proxy is used.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::packages::{Build, FOLDER, Package};
use super::python::{INTERPRETERS, isolated};
use super::{Candidate, Library};
use crate::cache::sha256_of_file;
use crate::runtime::RuntimeError;
use crate::untrusted::{open_own, open_regular};

/// How folders for downloads begin.
const DOWNLOADS: &str = ".download-";

/// The fetched library, if it and what it loads are whole.
pub(super) fn cached(cache: &Path, package: &Package) -> Candidate {
    let Some(build) = package.build() else { return Ok(None) };
    whole(&package.folder(cache), build)
}

fn whole(folder: &Path, build: &Build) -> Candidate {
    let path = folder.join(build.library());
    if !path.exists() {
        return Ok(None);
    }
    for (name, expected) in build.files {
        let file = folder.join(name);
        match std::fs::metadata(&file) {
            Ok(metadata) if metadata.len() == *expected => {}
            Ok(metadata) => {
                return Err(format!("{} is damaged: {} bytes of {expected}", file.display(), metadata.len()));
            }
            Err(error) => return Err(format!("{}: {error}", file.display())),
        }
    }
    // Mapping a damaged library ends in a signal; hashing it takes some 20 ms.
    let found = sha256_of_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let expected = build.library_sha256;
    if found != expected {
        return Err(format!("{} is damaged: it has sha256 {found}, expected {expected}", path.display()));
    }
    Ok(Some(Library { path, origin: "cache folder" }))
}

/// Fetches, verifies, and puts the files into the cache. Processes that come at the same time wait for each other.
pub(super) fn fetch(cache: &Path, package: &'static Package) -> Result<Library, RuntimeError> {
    let failed = |reason: String| RuntimeError::Fetch { package: package.name, version: package.version, reason };
    let build = package.build().ok_or_else(|| {
        failed(format!("no build for {} on {} is known", std::env::consts::OS, std::env::consts::ARCH))
    })?;
    let folder = package.folder(cache);
    let cache_error =
        |path: &Path, error: io::Error| RuntimeError::Cache { path: path.into(), reason: error.to_string() };
    std::fs::create_dir_all(&folder).map_err(|error| cache_error(&folder, error))?;
    let lock_path = folder.join("lock");
    let lock = open_own(&lock_path, File::options().create(true).write(true))
        .map_err(|error| cache_error(&lock_path, error))?;
    lock.lock().map_err(|error| cache_error(&lock_path, error))?;
    sweep(&folder);
    if let Ok(Some(library)) = cached(cache, package) {
        return Ok(library);
    }
    log::info!(
        "Fetching {} {} (about {} MB, once) with pip into {}",
        package.name,
        package.version,
        build.megabytes,
        folder.display()
    );
    let downloads =
        tempfile::Builder::new().prefix(DOWNLOADS).tempdir_in(&folder).map_err(|error| cache_error(&folder, error))?;
    let wheel = download(package, build, downloads.path()).map_err(failed)?;
    unpack(&wheel, build, downloads.path(), &folder).map_err(failed)?;
    let library = whole(&folder, build).map_err(failed)?;
    library.ok_or_else(|| failed(format!("{} is not in {}", build.library(), folder.display())))
}

/// What processes that were killed while fetching left: only who has the lock fetches.
fn sweep(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let left = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(DOWNLOADS));
    for path in entries.filter(left) {
        if let Err(error) = std::fs::remove_dir_all(&path) {
            log::warn!("{}: {error}; it is left over from an interrupted download", path.display());
        }
    }
}

/// What pip is asked for, as one would type it.
const DOWNLOAD: &str = "-m pip download --quiet --disable-pip-version-check --no-input --no-deps --only-binary=:all: \
                        --python-version 3.12 --implementation cp --abi cp312";

/// The wheel for this platform. The interpreter's own version does not matter: the tags are given.
fn download(package: &Package, build: &Build, folder: &Path) -> Result<PathBuf, String> {
    let requirement = format!("{}=={}", package.name, package.version);
    // Python stands in the folder for downloads.
    let folder = &std::path::absolute(folder).map_err(|error| error.to_string())?;
    let destination = folder.to_string_lossy();
    let wanted = ["--platform", build.platform.2, "--dest", &destination, &requirement];
    let mut reasons = Vec::new();
    for python in INTERPRETERS {
        match isolated(python, folder).args(DOWNLOAD.split(' ')).args(wanted).output() {
            Ok(output) if output.status.success() => return wheel_in(folder),
            Ok(output) => {
                let message = String::from_utf8_lossy(&output.stderr);
                let last = message.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message");
                reasons.push(format!("`{python} -m pip download`: {}", last.trim()));
                // Another interpreter may have pip; another pip finds the same index and the same disk.
                if !message.contains("No module named pip") {
                    break;
                }
            }
            Err(error) => reasons.push(format!("`{python}`: {error}")),
        }
    }
    Err(reasons.join("; "))
}

fn wheel_in(folder: &Path) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let wheel = entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "whl"));
    wheel.ok_or_else(|| "pip reported success but wrote no wheel".into())
}

/// Takes the files out of a wheel that is the published one. Each appears in `folder` only when complete, the library
/// last.
fn unpack(wheel: &Path, build: &Build, temporary: &Path, folder: &Path) -> Result<(), String> {
    let found = sha256_of_file(wheel).map_err(|error| error.to_string())?;
    if found != build.sha256 {
        let name = wheel.file_name().unwrap_or_default().to_string_lossy();
        return Err(format!(
            "{name} has sha256 {found}, expected {}; it is not the file that was published",
            build.sha256
        ));
    }
    let damaged = |error: zip::result::ZipError| format!("the wheel is damaged: {error}");
    let file = open_regular(wheel).map_err(|error| error.to_string())?;
    let mut zip = zip::ZipArchive::new(io::BufReader::new(file)).map_err(damaged)?;
    for &(name, length) in build.files {
        let entry = zip.by_name(&format!("{FOLDER}/{name}")).map_err(|error| format!("{name}: {}", damaged(error)))?;
        let unpacked = temporary.join(name);
        let store = || -> io::Result<u64> {
            let mut file = File::create_new(&unpacked)?;
            let copied = io::copy(&mut entry.take(length + 1), &mut file)?;
            file.sync_all()?;
            Ok(copied)
        };
        let copied = store().map_err(|error| format!("{}: {error}", folder.join(name).display()))?;
        if copied != length {
            return Err(format!("the wheel's {name} has not the {length} bytes that were published"));
        }
        std::fs::rename(&unpacked, folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use sha2::{Digest, Sha256};

    use super::super::packages::OPENVINO;
    use super::*;
    use crate::cache::hexadecimal;

    /// A wheel of two small files, and what it should be.
    fn wheel(folder: &Path, files: &[(&str, &[u8])]) -> (PathBuf, Build) {
        let path = folder.join("small-1.0-py3-none-any.whl");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, bytes) in files {
            zip.start_file(format!("{FOLDER}/{name}"), zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        let build = Build {
            platform: ("", "", "any"),
            sha256: hexadecimal(&Sha256::digest(std::fs::read(&path).unwrap())).leak(),
            megabytes: 0,
            library_sha256: hexadecimal(&Sha256::digest(b"main")).leak(),
            files: &[("libother.so", 5), ("libmain.so", 4)],
        };
        (path, build)
    }

    #[test]
    fn all_files_of_a_package_are_taken_or_none_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (temporary, cache) = (dir.path().join("t"), dir.path().join("c"));
        [&temporary, &cache].into_iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
        let (path, build) = wheel(dir.path(), &[("libmain.so", b"main"), ("libother.so", b"other")]);
        assert_eq!(whole(&cache, &build), Ok(None));
        unpack(&path, &build, &temporary, &cache).unwrap();
        assert!(whole(&cache, &build).unwrap().is_some());
        std::fs::write(cache.join("libmain.so"), "mine").unwrap();
        assert!(whole(&cache, &build).unwrap_err().contains("is damaged: it has sha256"));
        std::fs::write(cache.join("libmain.so"), "ma").unwrap();
        assert!(whole(&cache, &build).unwrap_err().ends_with("libmain.so is damaged: 2 bytes of 4"));
        std::fs::remove_file(cache.join("libother.so")).unwrap();
        assert!(whole(&cache, &build).unwrap_err().contains("libother.so: No such file"));
    }

    #[test]
    fn what_a_killed_fetch_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(format!("{DOWNLOADS}x"));
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("half.whl"), "half").unwrap();
        std::fs::write(dir.path().join("lock"), "").unwrap();
        sweep(dir.path());
        assert!(!left.exists() && dir.path().join("lock").exists());
    }

    #[test]
    fn another_wheel_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, build) = wheel(dir.path(), &[("libmain.so", b"main")]);
        let reason = unpack(&path, &build, dir.path(), dir.path()).unwrap_err();
        assert!(reason.starts_with("libother.so: the wheel is damaged"), "{reason}");
        assert_eq!(whole(dir.path(), &build), Ok(None));
        std::fs::write(&path, "something else").unwrap();
        let reason = unpack(&path, &build, dir.path(), dir.path()).unwrap_err();
        assert!(reason.ends_with("it is not the file that was published"), "{reason}");
    }

    #[test]
    fn packages_do_not_share_a_folder() {
        let cache = Path::new("cache");
        assert_eq!(OPENVINO.folder(cache), cache.join("onnxruntime-openvino-1.24.1"));
    }
}

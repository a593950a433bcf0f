//! Finds the ONNX Runtime library, or fetches it once. Which execution providers it has depends on its [`Package`].
//!
//! Order: an explicit path; `ORT_DYLIB_PATH`; beside the executable; the cache folder; an installed Python package;
//! fetched. A path that the user named must work; anything found on the way is skipped, with a note,
//! when it does not.

mod fetch;
mod inspect;
mod packages;
mod python;

pub use packages::{DIRECTML, GPU, MIN_MINOR, ONNXRUNTIME, OPENVINO, Package};

use std::path::PathBuf;

use super::RuntimeError;
use crate::cache::{cache_folder, offline_by_variable};
use crate::setters::setters;

/// How to find the library.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LibraryOptions {
    /// A path that the user gave.
    pub path: Option<PathBuf>,
    /// Whether fetching is forbidden. `YOLO9_OFFLINE` forbids it too.
    pub offline: bool,
    /// Of which package it is, where no path is given: see [`Device::package`](super::Device::package).
    pub package: &'static Package,
}

impl Default for LibraryOptions {
    fn default() -> Self {
        Self { path: None, offline: false, package: &ONNXRUNTIME }
    }
}

setters!(LibraryOptions { path: Option<PathBuf>, offline: bool, package: &'static Package });

impl LibraryOptions {
    /// Whether the user says which library it is, by the path or by `ORT_DYLIB_PATH`.
    #[must_use]
    pub fn is_named(&self) -> bool {
        named(self).is_some()
    }
}

/// A library file that passed inspection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// The file, absolute.
    pub path: PathBuf,
    /// Where it was found, in words.
    pub origin: &'static str,
}

/// What a place has: nothing, a library, or something unusable with the reason.
type Candidate = Result<Option<Library>, String>;

/// File name of the library on this platform.
#[must_use]
pub fn file_name() -> &'static str {
    if cfg!(windows) {
        "onnxruntime.dll"
    } else if cfg!(target_os = "macos") {
        "libonnxruntime.dylib"
    } else {
        "libonnxruntime.so"
    }
}

/// Tries each place one after the other with `load` until it succeeds. `load` gives its reason when a library does not work.
///
/// # Errors
/// When a library that the user named does not work, when none is found and fetching is forbidden, or when it fails.
pub fn find<T>(
    options: &LibraryOptions,
    load: impl Fn(&Library) -> Result<T, String>,
) -> Result<(Library, T), RuntimeError> {
    if let Some(named) = named(options) {
        // `ort` would take a relative path as relative to the executable.
        let path = std::path::absolute(&named.path).unwrap_or(named.path);
        let library = Library { path, origin: named.origin };
        // A damaged library can end the program with a signal, which nothing can report afterwards.
        log::info!("Loading {} ({})", library.path.display(), library.origin);
        return match inspect::check(&library.path).and_then(|()| load(&library)) {
            Ok(loaded) => Ok((library, loaded)),
            Err(reason) => Err(RuntimeError::Named { path: library.path, origin: library.origin, reason }),
        };
    }
    let cache = cache_folder()?;
    let package = options.package;
    let python = format!("for a Python package {}", package.name);
    let mut looked = Vec::new();
    let places: [(&str, &dyn Fn() -> Candidate); 3] = [
        ("beside the executable", &|| Ok(beside_executable(package))),
        ("in the cache folder", &|| fetch::cached(&cache, package)),
        (&python, &|| python::installed(package)),
    ];
    for (place, candidate) in places {
        let unusable = match candidate() {
            Ok(None) => {
                looked.push(place.to_owned());
                continue;
            }
            Ok(Some(library)) => match inspect::check(&library.path).and_then(|()| load(&library)) {
                Ok(loaded) => return Ok((library, loaded)),
                Err(reason) => format!("{}: {reason}", library.path.display()),
            },
            Err(reason) => reason,
        };
        log::warn!("skipped a library {place}: {unusable}");
        looked.push(format!("{place} ({unusable})"));
    }
    if options.offline || offline_by_variable() {
        return Err(RuntimeError::Offline { package: package.name, looked: looked.join(", ") });
    }
    let library = fetch::fetch(&cache, package)?;
    match inspect::check(&library.path).and_then(|()| load(&library)) {
        Ok(loaded) => Ok((library, loaded)),
        Err(reason) => Err(RuntimeError::Fetch { package: package.name, version: package.version, reason }),
    }
}

fn named(options: &LibraryOptions) -> Option<Library> {
    if let Some(path) = &options.path {
        return Some(Library { path: path.clone(), origin: "the path that was given" });
    }
    let variable = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty())?;
    Some(Library { path: variable.into(), origin: "ORT_DYLIB_PATH" })
}

fn beside_executable(package: &Package) -> Option<Library> {
    let path = std::env::current_exe().ok()?.parent()?.join(file_name());
    let is_there = path.is_file() && path.parent().is_some_and(|folder| package.may_be_in(folder));
    is_there.then_some(Library { path, origin: "beside the executable" })
}

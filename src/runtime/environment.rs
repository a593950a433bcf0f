//! The library, loaded once per process.

use std::path::Path;
use std::sync::{Arc, Mutex};

use ort::environment::Environment;
use ort::logging::LogLevel;

use super::RuntimeError;
use super::library::{self, Library, LibraryOptions};

/// ONNX Runtime, loaded.
#[derive(Debug, Clone)]
pub struct Runtime {
    library: Library,
    pub(super) environment: Environment,
}

/// A process can hold one environment only, and it must outlive every session.
static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// Finds (or fetches) the library and loads it. Later calls give the same runtime, with a warning if their options name
    /// another library.
    ///
    /// # Errors
    /// As [`library::find`].
    pub fn load(options: &LibraryOptions) -> Result<Self, RuntimeError> {
        let mut loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(runtime) = &*loaded {
            let there = &runtime.library.path;
            if let Some(path) = &options.path
                && path.canonicalize().ok() != there.canonicalize().ok()
            {
                let (path, there) = (path.display(), there.display());
                log::warn!("{path}: not loaded, since {there} was before; a process can hold one ONNX Runtime");
            }
            return Ok(runtime.clone());
        }
        let (library, environment) = library::find(options, start)?;
        let runtime = Self { library, environment };
        *loaded = Some(runtime.clone());
        Ok(runtime)
    }

    /// The library file.
    #[must_use]
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// The version of the library, as its file or the folder of the file is called; otherwise what
    /// [`Runtime::build_info`] says.
    #[must_use]
    pub fn version(&self) -> String {
        let path = &self.library.path;
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        let names = [real.file_name(), real.parent().and_then(Path::file_name)];
        let version = names.into_iter().flatten().find_map(|name| version_in(&name.to_string_lossy()));
        version.unwrap_or_else(|| self.build_info().into())
    }

    /// What the library says about itself: version, commit, compiler flags.
    #[must_use]
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }
}

/// The first three numbers with dots between them.
fn version_in(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .map(|part| part.trim_matches('.'))
        .find(|part| part.split('.').count() == 3)
        .map(str::to_owned)
}

fn start(library: &Library) -> Result<Environment, String> {
    let builder = ort::init_from(&library.path).map_err(|error| match &error {
        // The message says only that it failed; the reason is the source.
        ort::LoadDynamicError::Dlopen { error, .. } => {
            let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
            format!("{error}{source}")
        }
        ort::LoadDynamicError::BadVersion { version_str, .. } => {
            format!("it is version {version_str}; at least 1.{} is needed", library::MIN_MINOR)
        }
        _ => error.to_string(),
    })?;
    let environment = builder
        .with_name("yolo9")
        .with_telemetry(false)
        .with_logger(Arc::new(|level, _category, _id, place: &str, message: &str| {
            // Errors reach the caller as such; here they would only appear twice.
            log::debug!(target: "onnxruntime", "{level:?} {place}: {message}");
        }))
        .build()
        .map_err(|error| error.to_string())?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn libraries_are_named_with_their_versions() {
        for name in ["libonnxruntime.so.1.31.1", "libonnxruntime.1.31.1.dylib", "onnxruntime-gpu-1.31.1"] {
            assert_eq!(version_in(name).as_deref(), Some("1.31.1"));
        }
        assert_eq!(version_in("libonnxruntime.so"), None);
    }
}

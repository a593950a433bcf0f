//! The library, loaded once per process.

use std::sync::{Arc, Mutex};

use ort::environment::Environment;
use ort::logging::LogLevel;

use super::RuntimeError;
use super::library::{self, Library, LibraryOptions};

/// ONNX Runtime, loaded.
#[derive(Clone)]
pub struct Runtime {
    library: Library,
    pub(super) environment: Environment,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("library", &self.library).finish_non_exhaustive()
    }
}

/// A process can hold one environment only, and it must outlive every session.
static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// Finds (or fetches) the library and loads it. Later calls give the same runtime, whatever their options.
    ///
    /// # Errors
    /// As [`library::find`].
    pub fn load(options: &LibraryOptions) -> Result<Self, RuntimeError> {
        let mut loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(runtime) = &*loaded {
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

    /// What the library says about itself: version, commit, compiler flags.
    #[must_use]
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }
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

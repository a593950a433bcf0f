//! What weights can be called: a file, a model inside the library, or a released file.

use std::path::{Path, PathBuf};

use super::{ModelError, ModelFile};
use crate::embedded::{self, EmbeddedModel};
#[cfg(feature = "download")]
use crate::hub::{Hub, Release, find_release, nearest_release};

/// Where weights are.
#[derive(Debug, Clone)]
pub enum WeightsLocation {
    /// A file; it goes before what else has its name.
    File(PathBuf),
    /// A model inside the library.
    Embedded(&'static EmbeddedModel),
    /// A released file, which may have to be fetched.
    #[cfg(feature = "download")]
    Release(&'static Release),
}

impl WeightsLocation {
    /// What a name stands for.
    ///
    /// # Errors
    /// [`ModelError::Unknown`] when it is nothing of these.
    pub fn find(name: &Path) -> Result<Self, ModelError> {
        if name.exists() {
            return Ok(Self::File(name.to_path_buf()));
        }
        let text = name.to_string_lossy();
        if let Some(model) = embedded::MODELS.iter().find(|model| model.name == text) {
            return Ok(Self::Embedded(model));
        }
        #[cfg(feature = "download")]
        if let Some(release) = find_release(&text) {
            return Ok(Self::Release(release));
        }
        Err(ModelError::Unknown { weights: text.clone().into_owned(), nearest: nearest(&text) })
    }

    /// Reads what is there; a released file is fetched first, unless that is forbidden (`offline`).
    ///
    /// # Errors
    /// [`ModelError`] names the file and what is wrong with it.
    #[cfg_attr(not(feature = "download"), expect(unused_variables, reason = "nothing is fetched without the feature"))]
    pub fn open(&self, offline: bool) -> Result<ModelFile, ModelError> {
        match self {
            Self::File(path) => ModelFile::open(path),
            Self::Embedded(model) => Ok(ModelFile::Checkpoint(model.checkpoint()?)),
            #[cfg(feature = "download")]
            Self::Release(release) => ModelFile::open(&Hub::new(offline)?.get(release, &mut |_, _| ())?),
        }
    }
}

fn nearest(name: &str) -> Option<&'static str> {
    #[cfg(feature = "download")]
    if let Some(release) = nearest_release(name) {
        return Some(release);
    }
    crate::config::nearest_name(name, embedded::MODELS.iter().map(|model| model.name))
}

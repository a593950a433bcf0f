//! From the arguments to a list of pictures.

mod expand;
mod pattern;
mod remote;
mod standard_input;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use yolo9::embedded;
use yolo9::picture::Picture;

pub(crate) use expand::{Options, expand};

/// One picture of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    place: Place,
    /// Where its results go below the output folder: the tree of a folder is mirrored.
    pub(crate) relative: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    /// An address on the web.
    Remote(String),
    /// Bytes that came in on stdin.
    Bytes(Vec<u8>),
    /// The sample picture inside the program.
    Embedded,
}

impl Source {
    pub(crate) fn sample() -> Self {
        Self { place: Place::Embedded, relative: embedded::SAMPLE_NAME.into() }
    }

    fn file(path: PathBuf, relative: PathBuf) -> Self {
        Self { place: Place::File(path), relative }
    }

    /// Its file, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            _ => None,
        }
    }

    /// What messages and results call it.
    pub(crate) fn name(&self) -> String {
        match &self.place {
            Place::File(path) => path.display().to_string(),
            Place::Remote(address) => address.clone(),
            Place::Bytes(_) => "stdin".into(),
            Place::Embedded => embedded::SAMPLE_NAME.into(),
        }
    }

    /// Reads and decodes it. The error is a sentence that does not repeat the name.
    pub(crate) fn open(&self, max_pixels: u64) -> Result<Picture, String> {
        let decoded = match &self.place {
            Place::File(path) => Picture::open(path, max_pixels),
            Place::Remote(address) => Picture::decode(&remote::fetch(address)?, max_pixels),
            Place::Bytes(bytes) => Picture::decode(bytes, max_pixels),
            Place::Embedded => Picture::decode(embedded::SAMPLE_PICTURE, max_pixels),
        };
        decoded.map_err(|error| error.to_string())
    }
}

/// Pictures, and what could not be used with the reason.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) pictures: Vec<Arc<Source>>,
    pub(crate) failed: Vec<(PathBuf, String)>,
}

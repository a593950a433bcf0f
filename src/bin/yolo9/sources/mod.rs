//! From the arguments to a list of pictures.

mod expand;
mod fingerprint;
mod pattern;
mod remote;
mod standard_input;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use yolo9::embedded;
use yolo9::picture::{Fit, Picture, PictureError};

use crate::video::VideoInput;
pub(crate) use expand::{Options, expand};
pub(crate) use fingerprint::Fingerprint;

/// One picture of a run, or a video. Small: a run may have millions of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    place: Place,
    mirrored: Mirrored,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    File(Box<Path>),
    /// An address on the web.
    Remote(Box<str>),
    /// Something that only ffmpeg reads.
    Video(Box<VideoInput>),
    /// Bytes that came in on stdin.
    Bytes(Arc<[u8]>),
    /// The sample picture inside the program.
    Embedded,
}

/// Where its results go below the output folder.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mirrored {
    /// The last parts of its path, that many: the tree of a folder is mirrored.
    End(u16),
    Own(Box<Path>),
}

/// How a picture is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Larger pictures are refused.
    pub(crate) max_pixels: u64,
    /// What the picture is for, if for nothing else: a much larger JPEG file is then read at a part of its size.
    pub(crate) only_for: Option<Fit>,
}

impl Source {
    pub(crate) fn sample() -> Self {
        Self { place: Place::Embedded, mirrored: Mirrored::Own(Path::new(embedded::SAMPLE_NAME).into()) }
    }

    /// A file under its own name.
    pub(crate) fn of_file(path: PathBuf) -> Self {
        let relative = path.file_name().map_or_else(|| path.clone(), PathBuf::from);
        Self::file(path, relative)
    }

    fn file(path: PathBuf, relative: PathBuf) -> Self {
        let mirrored = match u16::try_from(relative.components().count()) {
            Ok(parts) if path.ends_with(&relative) => Mirrored::End(parts),
            _ => Mirrored::Own(relative.into()),
        };
        Self { place: Place::File(path.into()), mirrored }
    }

    /// Its file, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Video(video) => video.path(),
            _ => None,
        }
    }

    /// The video that it is.
    pub(crate) fn video(&self) -> Option<&VideoInput> {
        match &self.place {
            Place::Video(video) => Some(video),
            _ => None,
        }
    }

    /// What messages and results call it.
    pub(crate) fn name(&self) -> String {
        match &self.place {
            Place::File(path) => shown(path),
            Place::Remote(address) => address.to_string(),
            Place::Video(video) => video.to_string(),
            Place::Bytes(_) => "stdin".into(),
            Place::Embedded => embedded::SAMPLE_NAME.into(),
        }
    }

    /// Where its results go below the output folder: a path that is UTF-8, as the journal is.
    pub(crate) fn relative(&self) -> PathBuf {
        let relative = self.mirrored_path();
        if relative.to_str().is_some() { relative } else { shown(&relative).into() }
    }

    fn mirrored_path(&self) -> PathBuf {
        match (&self.mirrored, self.path()) {
            (Mirrored::Own(own), _) => own.to_path_buf(),
            (Mirrored::End(parts), Some(path)) => {
                let parts = usize::from(*parts);
                path.components().skip(path.components().count().saturating_sub(parts)).collect()
            }
            (Mirrored::End(_), None) => unreachable!("only files have a path to end"),
        }
    }

    /// Reads and decodes it. The error is a sentence that does not repeat the name.
    pub(crate) fn open(&self, reading: Reading) -> Result<Picture, String> {
        let decode = |bytes: &[u8]| match &reading.only_for {
            Some(fit) => Picture::decode_for(bytes, reading.max_pixels, fit),
            None => Picture::decode(bytes, reading.max_pixels),
        };
        let decoded = match &self.place {
            Place::File(path) => std::fs::read(path).map_err(PictureError::from).and_then(|bytes| decode(&bytes)),
            Place::Remote(address) => decode(&remote::fetch(address)?),
            Place::Bytes(bytes) => decode(bytes),
            Place::Embedded => decode(embedded::SAMPLE_PICTURE),
            Place::Video(_) => return Err("a video is read frame by frame".into()),
        };
        decoded.map_err(|error| error.to_string())
    }
}

/// A path as text, reversibly: bytes that are no UTF-8 as `\\xff`, so that two files never get the same name.
fn shown(path: &Path) -> String {
    if let Some(text) = path.to_str() {
        return text.to_owned();
    }
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text += chunk.valid();
        chunk.invalid().iter().for_each(|byte| text += &format!("\\x{byte:02x}"));
    }
    text
}

/// Pictures, and what could not be used with the reason.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) pictures: Vec<Source>,
    pub(crate) failed: Vec<(PathBuf, String)>,
}

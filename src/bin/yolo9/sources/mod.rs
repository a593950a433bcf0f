//! From the arguments to a list of pictures.

mod expand;
mod fingerprint;
mod pattern;
mod remote;
mod standard_input;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use yolo9::embedded;
use yolo9::picture::{Fit, ImageLimits, Picture, PictureError, Undecoded};
use yolo9::untrusted::{FileKind, FileStamp, is_passing, read_stamped};

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

/// Why a picture cannot be used: a sentence that does not repeat its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    /// Whether it is the system's and not the picture's, so that it is worth trying again.
    pub(crate) passing: bool,
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self { reason, passing: false }
    }
}

impl From<PictureError> for Failure {
    fn from(error: PictureError) -> Self {
        let passing = matches!(&error, PictureError::Read(reason) if is_passing(reason));
        Self { reason: error.to_string(), passing }
    }
}

/// How a picture is read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    /// Larger pictures are refused.
    pub(crate) limits: ImageLimits,
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

    /// What its file is now, if it is one.
    pub(crate) fn stamp(&self) -> Option<FileStamp> {
        let Place::File(path) = &self.place else { return None };
        path.metadata().ok().map(|metadata| FileStamp::of(&metadata))
    }

    /// Its bytes, and what its file was when they were read.
    pub(crate) fn read(&self) -> Result<(Cow<'_, [u8]>, Option<FileStamp>), Failure> {
        Ok(match &self.place {
            Place::File(path) => {
                let (bytes, stamp) = read_stamped(path, FileKind::Image).map_err(PictureError::from)?;
                (bytes.into(), Some(stamp))
            }
            Place::Remote(address) => (remote::fetch(address)?.into(), None),
            Place::Bytes(bytes) => (Cow::Borrowed(bytes), None),
            Place::Embedded => (embedded::SAMPLE_PICTURE.into(), None),
            Place::Video(_) => return Err(Failure::from("a video is read frame by frame".to_owned())),
        })
    }

    /// Reads and decodes it.
    pub(crate) fn open(&self, reading: Reading) -> Result<Picture, Failure> {
        let (bytes, _) = self.read()?;
        Ok(Undecoded::read(&bytes, &reading.limits, reading.only_for.as_ref())?.decode()?)
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
    /// Files that were read for their lines.
    pub(crate) lists: Vec<PathBuf>,
}

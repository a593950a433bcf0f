//! From the arguments to a list of images.

mod elsewhere;
mod expand;
mod fingerprint;
mod objects;
mod pattern;
mod remote;
mod standard_input;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use yolo9::embedded;
use yolo9::hub::download;
use yolo9::image::{Image, ImageError, ImageLimits};
use yolo9::untrusted::{FileKind, FileStamp, is_passing, read_stamped};

use super::video::VideoInput;
use crate::remedy;
pub(crate) use expand::{Options, expand};
pub(crate) use fingerprint::Fingerprint;
pub(crate) use objects::objects;

/// One image of a run, or a video. Small: a run may have millions of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    origin: Origin,
    mirrored: Mirrored,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    File(Box<Path>),
    /// An address on the web.
    Remote(Box<str>),
    /// An address in an object store.
    Object(Box<str>),
    /// Objects that are listed when it is their turn: how many there are is not known before.
    Listing(Box<str>),
    /// Something that only ffmpeg reads.
    Video(Box<VideoInput>),
    /// Bytes that came in on stdin.
    Bytes(Arc<[u8]>),
    /// The sample image inside the program.
    Embedded,
}

/// Where its results go below the output folder.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mirrored {
    /// The last parts of its path, that many: the tree of a folder is mirrored.
    End(u16),
    Own(Box<Path>),
}

/// Why an image cannot be used: a sentence that does not repeat its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    /// Whether it is the system's and not the image's, so that it is worth trying again.
    pub(crate) passing: bool,
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self { reason, passing: false }
    }
}

impl Failure {
    /// It may be otherwise another time.
    fn passing(reason: String) -> Self {
        Self { reason, passing: true }
    }
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        let passing = matches!(&error, ImageError::Read(reason) if is_passing(reason));
        let remedy = remedy::of_image(&error).map(|remedy| format!("; {remedy}")).unwrap_or_default();
        Self { reason: format!("{error}{remedy}"), passing }
    }
}

impl Source {
    pub(crate) fn sample() -> Self {
        Self { origin: Origin::Embedded, mirrored: Mirrored::Own(Path::new(embedded::SAMPLE_NAME).into()) }
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
        Self { origin: Origin::File(path.into()), mirrored }
    }

    /// Its file, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File(path) => Some(path),
            Origin::Video(video) => video.path(),
            _ => None,
        }
    }

    /// The video that it is.
    pub(crate) fn video(&self) -> Option<&VideoInput> {
        match &self.origin {
            Origin::Video(video) => Some(video),
            _ => None,
        }
    }

    /// The address or pattern of the objects that it stands for.
    pub(crate) fn listing(&self) -> Option<&str> {
        match &self.origin {
            Origin::Listing(pattern) => Some(pattern),
            _ => None,
        }
    }

    /// Whether it is more than one image: nobody knows how many.
    pub(crate) fn is_uncounted(&self) -> bool {
        self.video().is_some() || self.listing().is_some()
    }

    /// An object, with the place of its results below the output folder.
    pub(super) fn object(address: &str, relative: &Path) -> Self {
        Self { origin: Origin::Object(address.into()), mirrored: Mirrored::Own(relative.into()) }
    }

    /// What messages and results call it.
    pub(crate) fn name(&self) -> String {
        match &self.origin {
            Origin::File(path) => shown(path),
            Origin::Remote(address) | Origin::Object(address) | Origin::Listing(address) => address.to_string(),
            Origin::Video(video) => video.to_string(),
            Origin::Bytes(_) => "stdin".into(),
            Origin::Embedded => embedded::SAMPLE_NAME.into(),
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
        let Origin::File(path) = &self.origin else { return None };
        path.metadata().ok().map(|metadata| FileStamp::of(&metadata))
    }

    /// Its bytes, and what its file was when they were read.
    pub(crate) fn read(&self) -> Result<(Cow<'_, [u8]>, Option<FileStamp>), Failure> {
        Ok(match &self.origin {
            Origin::File(path) => {
                let (bytes, stamp) = read_stamped(path, FileKind::Image).map_err(ImageError::from)?;
                (bytes.into(), Some(stamp))
            }
            Origin::Remote(address) => {
                (download(address, FileKind::Image.max_bytes()).map_err(Failure::passing)?.into(), None)
            }
            Origin::Object(address) => {
                (crate::objects::read(address, FileKind::Image.max_bytes()).map_err(Failure::passing)?.into(), None)
            }
            Origin::Listing(_) => return Err(Failure::from("a listing is read object by object".to_owned())),
            Origin::Bytes(bytes) => (Cow::Borrowed(bytes), None),
            Origin::Embedded => (embedded::SAMPLE_IMAGE.into(), None),
            Origin::Video(_) => return Err(Failure::from("a video is read frame by frame".to_owned())),
        })
    }

    /// Reads and decodes it.
    pub(crate) fn open(&self, limits: &ImageLimits) -> Result<Image, Failure> {
        let (bytes, _) = self.read()?;
        Ok(Image::decode(&bytes, limits)?)
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

/// Images, and what could not be used with the reason.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) images: Vec<Source>,
    pub(crate) failed: Vec<(String, String)>,
    /// Files that were read for their lines.
    pub(crate) lists: Vec<PathBuf>,
}

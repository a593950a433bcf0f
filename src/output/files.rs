//! Files that appear complete or not at all.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use image::error::EncodingError;
use image::{ImageError, ImageFormat, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use tempfile::NamedTempFile;
use thiserror::Error;

/// Quality of annotated JPEG files; thin lines suffer below.
const JPEG_QUALITY: u8 = 95;

/// Thumbnails have their lines drawn over them.
const THUMBNAIL_QUALITY: u8 = 70;

/// How the names of temporary files begin.
pub const TEMPORARY: &str = ".yolo9-";

/// Why a result could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error("{path} cannot be written: {reason}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Its reason.
        reason: std::io::Error,
    },
    /// The encoder refused, for example because a format has a largest size.
    #[error("the picture cannot be written as {format:?}: {reason}")]
    Encode {
        /// The format.
        format: ImageFormat,
        /// The encoder's reason.
        reason: image::ImageError,
    },
}

/// A picture as the bytes of a file of that format.
///
/// # Errors
/// [`FileError::Encode`].
pub fn encode_picture(picture: &RgbImage, format: ImageFormat) -> Result<Vec<u8>, FileError> {
    if format == ImageFormat::Jpeg {
        return encode_jpeg(picture, JPEG_QUALITY);
    }
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).map_err(|reason| FileError::Encode { format, reason })?;
    Ok(bytes.into_inner())
}

/// A small picture as JPEG, in few bytes.
///
/// # Errors
/// [`FileError::Encode`].
pub fn encode_thumbnail(picture: &RgbImage) -> Result<Vec<u8>, FileError> {
    encode_jpeg(picture, THUMBNAIL_QUALITY)
}

fn encode_jpeg(picture: &RgbImage, quality: u8) -> Result<Vec<u8>, FileError> {
    let format = ImageFormat::Jpeg;
    let failed = |reason: Box<dyn std::error::Error + Send + Sync>| FileError::Encode {
        format,
        reason: ImageError::Encoding(EncodingError::new(format.into(), reason)),
    };
    let side = |side: u32| u16::try_from(side).map_err(|_| failed("a side of more than 65535 pixels".into()));
    let (width, height) = (side(picture.width())?, side(picture.height())?);
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    // Thin lines of pure colours lose theirs where four pixels share one.
    encoder.set_sampling_factor(SamplingFactor::F_1_1);
    encoder.encode(picture.as_raw(), width, height, ColorType::Rgb).map_err(|error| failed(error.into()))?;
    Ok(bytes)
}

/// The folder that a file lies in: the current one for a bare name.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary file in the folder of `path`, to take that name when it is complete.
///
/// # Errors
/// When the folder does not exist or is not writable.
pub fn temporary_beside(path: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    // Temporary files are private by default; a result is as public as the user's other files.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder_of(path))
}

/// As [`temporary_beside`], under a name that follows from the file's: what a killed run left of it is replaced, so that
/// nothing piles up.
///
/// # Errors
/// As [`temporary_beside`].
pub fn partial_beside(path: &Path) -> std::io::Result<NamedTempFile> {
    let mut name = std::ffi::OsString::from(TEMPORARY);
    name.push(path.file_name().unwrap_or_default());
    let create = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix(&name).suffix(".part").rand_bytes(0);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(folder_of(path))
    };
    match create() {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let mut left = name.clone();
            left.push(".part");
            std::fs::remove_file(folder_of(path).join(left))?;
            create()
        }
        created => created,
    }
}

/// Writes a file so that it appears under its name only when complete. Its folder is created.
///
/// # Errors
/// [`FileError::Write`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let failed = |reason| FileError::Write { path: path.to_path_buf(), reason };
    std::fs::create_dir_all(folder_of(path)).map_err(failed)?;
    let mut file = temporary_beside(path).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map(drop).map_err(|error| failed(error.error))
}

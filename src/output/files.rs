//! Files that appear complete or not at all.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};
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
    let mut bytes = Cursor::new(Vec::new());
    match format {
        ImageFormat::Jpeg => picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)),
        format => picture.write_to(&mut bytes, format),
    }
    .map_err(|reason| FileError::Encode { format, reason })?;
    Ok(bytes.into_inner())
}

/// A small picture as JPEG.
pub(super) fn encode_thumbnail(picture: &RgbImage) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    picture
        .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, THUMBNAIL_QUALITY))
        .map_err(|reason| FileError::Encode { format: ImageFormat::Jpeg, reason })?;
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

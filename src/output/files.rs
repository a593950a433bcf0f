//! Files that appear complete or not at all.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};
use thiserror::Error;

/// Quality of annotated JPEG files; thin lines suffer below.
const JPEG_QUALITY: u8 = 95;

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

/// Writes a file so that it appears under its name only when complete. Its folder is created.
///
/// # Errors
/// [`FileError::Write`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let failed = |reason| FileError::Write { path: path.to_path_buf(), reason };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".yolo9-");
    // Temporary files are private by default; a result is as public as the user's other files.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map(drop).map_err(|error| failed(error.error))
}

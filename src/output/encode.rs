//! Images as the bytes of files.

use std::io::Cursor;

use image::error::EncodingError;
use image::{ImageError, ImageFormat, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::FileError;

/// Quality of annotated JPEG files; thin lines suffer below.
const JPEG_QUALITY: u8 = 95;

/// Thumbnails have their lines drawn over them.
const THUMBNAIL_QUALITY: u8 = 70;

/// An image as the bytes of a file of that format.
///
/// # Errors
/// [`FileError::Encode`].
pub fn encode_image(image: &RgbImage, format: ImageFormat) -> Result<Vec<u8>, FileError> {
    if format == ImageFormat::Jpeg {
        return encode_jpeg(image, JPEG_QUALITY);
    }
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).map_err(|reason| FileError::Encode { format, reason })?;
    Ok(bytes.into_inner())
}

/// A small image as JPEG, in few bytes.
///
/// # Errors
/// [`FileError::Encode`].
pub fn encode_thumbnail(image: &RgbImage) -> Result<Vec<u8>, FileError> {
    encode_jpeg(image, THUMBNAIL_QUALITY)
}

fn encode_jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>, FileError> {
    let format = ImageFormat::Jpeg;
    let failed = |reason: Box<dyn std::error::Error + Send + Sync>| FileError::Encode {
        format,
        reason: ImageError::Encoding(EncodingError::new(format.into(), reason)),
    };
    let side = |side: u32| u16::try_from(side).map_err(|_| failed("a side of more than 65535 pixels".into()));
    let (width, height) = (side(image.width())?, side(image.height())?);
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    // Thin lines of pure colours lose theirs where four pixels share one.
    encoder.set_sampling_factor(SamplingFactor::F_1_1);
    encoder.encode(image.as_raw(), width, height, ColorType::Rgb).map_err(|error| failed(error.into()))?;
    Ok(bytes)
}

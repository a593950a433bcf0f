//! From bytes to upright RGB.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use thiserror::Error;

use crate::Size;

/// Pictures with more pixels are refused unless the caller raises the limit: a small file can describe a huge one.
pub const DEFAULT_MAX_PIXELS: u64 = 200_000_000;

/// Extensions of the files that are taken from a folder.
pub const EXTENSIONS: &[&str] = &["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif"];

/// Why a picture cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// The file is empty.
    #[error("the file is empty")]
    Empty,
    /// The content is no picture.
    #[error("not a picture that can be read; expected JPEG, PNG, WebP, BMP, TIFF or GIF")]
    UnknownFormat,
    /// A picture of a format, or a variant of one, that the decoders do not know.
    #[error("not supported: {reason}; convert it to JPEG or PNG")]
    Unsupported {
        /// The decoder's message.
        reason: String,
    },
    /// Too many pixels.
    #[error("{size} is {megapixels:.0} megapixels; the limit is {limit:.0} (raise it with --max-megapixels)", megapixels = size.area() as f64 / 1e6)]
    TooLarge {
        /// Size of the picture.
        size: Size,
        /// The limit in megapixels.
        limit: f64,
    },
    /// The decoder gave up.
    #[error("damaged or truncated {format} file: {reason}")]
    Damaged {
        /// The format that it began as.
        format: &'static str,
        /// The decoder's message.
        reason: String,
    },
}

/// A decoded picture.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Upright, 8 bits per channel; transparency dropped, as OpenCV's `imread` does.
    pub pixels: RgbImage,
    /// The format that it was stored in.
    pub format: ImageFormat,
}

impl Picture {
    /// Reads a file.
    ///
    /// # Errors
    /// [`PictureError`], which does not repeat the path.
    pub fn open(path: &Path, max_pixels: u64) -> Result<Self, PictureError> {
        Self::decode(&std::fs::read(path)?, max_pixels)
    }

    /// Decodes a picture in memory: recognised by content, turned upright by its EXIF orientation, first frame of an
    /// animation.
    ///
    /// # Errors
    /// [`PictureError`] when it is no picture, damaged, or larger than `max_pixels`.
    pub fn decode(bytes: &[u8], max_pixels: u64) -> Result<Self, PictureError> {
        if bytes.is_empty() {
            return Err(PictureError::Empty);
        }
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
        let format = reader.format().ok_or(PictureError::UnknownFormat)?;
        if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
            let reason = "it ends before its end marker, as after a copy or download that was cut off".into();
            return Err(PictureError::Damaged { format: name_of(format), reason });
        }
        let refused = |error: image::ImageError| match error {
            image::ImageError::Unsupported(reason) => PictureError::Unsupported { reason: reason.to_string() },
            error => PictureError::Damaged { format: name_of(format), reason: error.to_string() },
        };
        let mut reader = reader;
        // The number of pixels is what we check; a second limit in bytes would only give a second message.
        reader.limits(Limits::no_limits());
        let mut decoder = reader.into_decoder().map_err(refused)?;
        let (width, height) = decoder.dimensions();
        let size = Size::new(width as usize, height as usize);
        if size.area() > max_pixels {
            return Err(PictureError::TooLarge { size, limit: max_pixels as f64 / 1e6 });
        }
        let orientation = decoder.orientation().map_err(refused)?;
        let mut picture = DynamicImage::from_decoder(decoder).map_err(refused)?;
        picture.apply_orientation(orientation);
        Ok(Self { pixels: picture.into_rgb8(), format })
    }

    /// Width and height, upright.
    #[must_use]
    pub fn size(&self) -> Size {
        Size::new(self.pixels.width() as usize, self.pixels.height() as usize)
    }
}

/// Whether the end marker comes after the picture's data. The decoder fills what is missing with grey, in silence.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let mut position = 2;
    loop {
        match bytes.get(position..position + 2) {
            // Any number of fill bytes may stand before a marker.
            Some([0xff, 0xff]) => position += 1,
            // Start of scan: within its data, 0xff is followed by zero or a restart number.
            Some([0xff, 0xda]) => return bytes[position..].windows(2).rev().any(|pair| pair == [0xff, 0xd9]),
            Some([0xff, 0x01 | 0xd0..=0xd7]) => position += 2,
            Some([0xff, _]) => match bytes.get(position + 2..position + 4) {
                Some(&[high, low]) => position += 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
            // Something else than a marker: the decoder has the better message.
            Some(_) => return true,
            None => return false,
        }
    }
}

fn name_of(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Gif => "GIF",
        _ => "picture",
    }
}

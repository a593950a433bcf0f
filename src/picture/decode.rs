//! From bytes to upright RGB.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use thiserror::Error;

use super::{Fit, Letterbox};
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
    #[error("{size} is {megapixels:.1} megapixels; the limit is {limit} (raise it with --max-megapixels)", megapixels = size.area() as f64 / 1e6)]
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
    /// Upright, 8 bits per channel; transparency dropped, as OpenCV's `imread` does. Fewer than [`Picture::size`] after
    /// [`Picture::decode_for`].
    pub pixels: RgbImage,
    /// The format that it was stored in.
    pub format: ImageFormat,
    size: Size,
}

/// What is said of a picture before its pixels are decoded.
struct Head {
    format: ImageFormat,
    /// As stored.
    size: Size,
    orientation: Orientation,
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
        let (head, decoder) = open(bytes, max_pixels)?;
        Self::whole(&head, decoder)
    }

    fn whole(head: &Head, decoder: impl ImageDecoder) -> Result<Self, PictureError> {
        let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| refused(error, head.format))?;
        picture.apply_orientation(head.orientation);
        Ok(Self { pixels: picture.into_rgb8(), format: head.format, size: head.upright() })
    }

    /// As [`Picture::decode`], for a network's input alone. A JPEG file that has at least four times as many pixels on
    /// each side as the input takes of it is decoded to a half, a quarter or an eighth of its size, at least twice what
    /// the input takes: that is faster, and needs less memory. Detections move a little by it (docs/performance.md).
    ///
    /// # Errors
    /// As [`Picture::decode`].
    pub fn decode_for(bytes: &[u8], max_pixels: u64, fit: &Fit) -> Result<Self, PictureError> {
        let (head, decoder) = open(bytes, max_pixels)?;
        match reduced(bytes, &head, fit) {
            Some(pixels) => Ok(Self { pixels, format: head.format, size: head.upright() }),
            None => Self::whole(&head, decoder),
        }
    }

    /// Width and height of a file, upright, without decoding it.
    ///
    /// # Errors
    /// As [`Picture::open`], but for damage behind the head.
    pub fn size_of_file(path: &Path, max_pixels: u64) -> Result<Size, PictureError> {
        Ok(open(&std::fs::read(path)?, max_pixels)?.0.upright())
    }

    /// A picture that came as pixels.
    #[must_use]
    pub fn from_pixels(pixels: RgbImage) -> Self {
        let size = Size::new(pixels.width() as usize, pixels.height() as usize);
        Self { pixels, format: ImageFormat::Png, size }
    }

    /// Width and height, upright, of the whole picture.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }
}

impl Head {
    /// Whether rows become columns.
    fn lies(&self) -> bool {
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        matches!(self.orientation, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH)
    }

    fn upright(&self) -> Size {
        if self.lies() { Size::new(self.size.height, self.size.width) } else { self.size }
    }
}

fn refused(error: image::ImageError, format: ImageFormat) -> PictureError {
    match error {
        image::ImageError::Unsupported(reason) => PictureError::Unsupported { reason: reason.to_string() },
        error => PictureError::Damaged { format: name_of(format), reason: error.to_string() },
    }
}

/// Reads the head, and refuses what need not be decoded to be refused.
fn open(bytes: &[u8], max_pixels: u64) -> Result<(Head, impl ImageDecoder + '_), PictureError> {
    if bytes.is_empty() {
        return Err(PictureError::Empty);
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let format = reader.format().ok_or(PictureError::UnknownFormat)?;
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        let reason = "it ends before its end marker, as after a copy or download that was cut off".into();
        return Err(PictureError::Damaged { format: name_of(format), reason });
    }
    // The number of pixels is what we check; a second limit in bytes would only give a second message.
    reader.limits(Limits::no_limits());
    let mut decoder = reader.into_decoder().map_err(|error| refused(error, format))?;
    let (width, height) = decoder.dimensions();
    let size = Size::new(width as usize, height as usize);
    if size.area() > max_pixels {
        return Err(PictureError::TooLarge { size, limit: max_pixels as f64 / 1e6 });
    }
    let orientation = decoder.orientation().map_err(|error| refused(error, format))?;
    Ok((Head { format, size, orientation }, decoder))
}

/// How many times more pixels than the input takes are kept on each side, so that its own scaling still has some to mix.
const SPARE: usize = 2;

/// A part of the size, upright, if the picture is a JPEG file that is large enough and of a common kind.
fn reduced(bytes: &[u8], head: &Head, fit: &Fit) -> Option<RgbImage> {
    let upright = head.upright();
    let taken = Letterbox::new(upright, fit).resized;
    let least = 2 * SPARE;
    if head.format != ImageFormat::Jpeg || upright.width < least * taken.width || upright.height < least * taken.height
    {
        return None;
    }
    let side = |side: usize| u16::try_from(SPARE * side).ok();
    let (width, height) = (side(taken.width)?, side(taken.height)?);
    let (width, height) = if head.lies() { (height, width) } else { (width, height) };
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    let (width, height) = decoder.scale(width, height).ok()?;
    let pixels = decoder.decode().ok()?;
    let mut picture: DynamicImage = match decoder.info()?.pixel_format {
        jpeg_decoder::PixelFormat::RGB24 => RgbImage::from_raw(width.into(), height.into(), pixels)?.into(),
        jpeg_decoder::PixelFormat::L8 => image::GrayImage::from_raw(width.into(), height.into(), pixels)?.into(),
        _ => return None,
    };
    picture.apply_orientation(head.orientation);
    Some(picture.into_rgb8())
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

//! From bytes to upright RGB.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use thiserror::Error;

use super::limits::{METADATA, memory};
use super::{ImageLimits, Pixels, jpeg};
use crate::Size;
use crate::untrusted::{FileKind, read};

/// Extensions of the files that are taken from a folder.
pub const EXTENSIONS: &[&str] = &["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif"];

/// Whether a file has one of them, in any case.
#[must_use]
pub fn is_image_name(path: &Path) -> bool {
    path.extension().is_some_and(|found| EXTENSIONS.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

/// Why an image cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// The file is empty.
    #[error("the file is empty")]
    Empty,
    /// The content is no image.
    #[error("not an image that can be read; expected JPEG, PNG, WebP, BMP, TIFF or GIF")]
    UnknownFormat,
    /// An image of a format, or a variant of one, that the decoders do not know.
    #[error("not supported: {0}; convert it to JPEG or PNG")]
    Unsupported(String),
    /// Too many pixels.
    #[error("{size} is {megapixels:.1} megapixels; the limit is {limit}", megapixels = size.area() as f64 / 1e6)]
    TooLarge {
        /// Size of the image.
        size: Size,
        /// The limit in megapixels.
        limit: f64,
    },
    /// Too much memory.
    #[error(
        "{size} would take {megabytes} MB of memory to decode; the limit is {limit}",
        megabytes = bytes.div_ceil(1_000_000)
    )]
    TooMuchMemory {
        /// Size of the image.
        size: Size,
        /// Bytes at the peak.
        bytes: u64,
        /// The limit in megabytes.
        limit: u64,
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

/// A decoded image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Upright, 8 bits per channel; transparency dropped, as OpenCV's `imread` does.
    pub pixels: RgbImage,
    /// The format that it was stored in.
    pub format: ImageFormat,
}

/// What is said of an image before its pixels are decoded.
#[derive(Debug)]
struct ImageHead {
    format: ImageFormat,
    /// As stored.
    size: Size,
    orientation: Orientation,
}

/// An image whose head has been read and found within limits.
pub struct Undecoded<'a> {
    head: ImageHead,
    decoder: Box<dyn ImageDecoder + 'a>,
    /// Bytes of memory that decoding takes at its peak.
    pub memory: u64,
}

impl std::fmt::Debug for Undecoded<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Undecoded").field("head", &self.head).field("memory", &self.memory).finish_non_exhaustive()
    }
}

impl<'a> Undecoded<'a> {
    /// Reads the head.
    ///
    /// # Errors
    /// [`ImageError`] when it is no image, damaged, or beyond the limits.
    pub fn read(bytes: &'a [u8], limits: &ImageLimits) -> Result<Self, ImageError> {
        let (head, mut decoder) = open(bytes, limits)?;
        let jpeg = match head.format {
            ImageFormat::Jpeg => jpeg::structure(bytes),
            _ => jpeg::Structure::default(),
        };
        if jpeg.scans > MAX_SCANS {
            let reason = format!("a JPEG file of {} scans, each of which costs the time of a whole image", jpeg.scans);
            return Err(ImageError::Unsupported(reason));
        }
        let decoded = (decoder.total_bytes(), decoder.color_type());
        let memory = memory(head.format, head.size, decoded, jpeg, head.is_transposed());
        if memory > limits.max_bytes {
            let limit = limits.max_bytes / 1_000_000;
            return Err(ImageError::TooMuchMemory { size: head.size, bytes: memory, limit });
        }
        let mut allocations = Limits::no_limits();
        allocations.max_alloc = Some(memory.max(2 * decoded.0) + METADATA);
        decoder.set_limits(allocations).map_err(|error| refused(error, head.format))?;
        Ok(Self { head, decoder: Box::new(decoder), memory })
    }

    /// Decodes the pixels.
    ///
    /// # Errors
    /// [`ImageError`] when the image is damaged.
    pub fn decode(self) -> Result<Image, ImageError> {
        let Self { head, decoder, .. } = self;
        let mut image = DynamicImage::from_decoder(decoder).map_err(|error| refused(error, head.format))?;
        image.apply_orientation(head.orientation);
        Ok(Image { pixels: image.into_rgb8(), format: head.format })
    }
}

impl Image {
    /// Reads and decodes a file, within the default [`ImageLimits`].
    ///
    /// # Errors
    /// [`ImageError`], which does not repeat the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ImageError> {
        Self::decode(&read(path.as_ref(), FileKind::Image)?, &ImageLimits::default())
    }

    /// Decodes an image in memory: recognised by content, turned upright by its EXIF orientation, first frame of an
    /// animation.
    ///
    /// # Errors
    /// [`ImageError`] when it is no image, damaged, or beyond the limits.
    pub fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<Self, ImageError> {
        Undecoded::read(bytes, limits)?.decode()
    }

    /// Width and height of a file, upright, without decoding it.
    ///
    /// # Errors
    /// As [`Image::open`], but for damage behind the head.
    pub fn size_of_file(path: &Path, limits: &ImageLimits) -> Result<Size, ImageError> {
        Ok(open(&read(path, FileKind::Image)?, limits)?.0.upright())
    }

    /// A copy of pixels that somebody else keeps.
    ///
    /// # Panics
    /// Never: there are as many bytes as the size needs.
    #[must_use]
    pub fn copy_of(pixels: Pixels<'_>) -> Self {
        let Size { width, height } = pixels.size();
        let copy = RgbImage::from_raw(width as u32, height as u32, pixels.as_bytes().to_vec());
        copy.expect("as many bytes as the size needs").into()
    }

    /// Width and height, upright.
    #[must_use]
    pub fn size(&self) -> Size {
        Size::new(self.pixels.width() as usize, self.pixels.height() as usize)
    }
}

/// An image that came as pixels.
impl From<RgbImage> for Image {
    fn from(pixels: RgbImage) -> Self {
        Self { pixels, format: ImageFormat::Png }
    }
}

impl ImageHead {
    /// Whether rows become columns.
    fn is_transposed(&self) -> bool {
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        matches!(self.orientation, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH)
    }

    fn upright(&self) -> Size {
        if self.is_transposed() { Size::new(self.size.height, self.size.width) } else { self.size }
    }
}

fn refused(error: image::ImageError, format: ImageFormat) -> ImageError {
    match error {
        image::ImageError::Unsupported(reason) => ImageError::Unsupported(reason.to_string()),
        error => ImageError::Damaged { format: name_of(format), reason: error.to_string() },
    }
}

/// Reads the head, and refuses what need not be decoded to be refused.
fn open<'a>(bytes: &'a [u8], limits: &ImageLimits) -> Result<(ImageHead, impl ImageDecoder + 'a), ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let format = reader.format().ok_or(ImageError::UnknownFormat)?;
    if format == ImageFormat::Jpeg && !jpeg::is_complete(bytes) {
        let reason = "it ends before its end marker, as after a copy or download that was cut off".into();
        return Err(ImageError::Damaged { format: name_of(format), reason });
    }
    // Until it is known how large the image is, decoders may only take what texts and tables need.
    let mut allocations = Limits::no_limits();
    allocations.max_alloc = Some(METADATA);
    reader.limits(allocations);
    let mut decoder = reader.into_decoder().map_err(|error| refused(error, format))?;
    let (width, height) = decoder.dimensions();
    let size = Size::new(width as usize, height as usize);
    if size.area() > limits.max_pixels {
        return Err(ImageError::TooLarge { size, limit: limits.max_pixels as f64 / 1e6 });
    }
    let orientation = decoder.orientation().map_err(|error| refused(error, format))?;
    Ok((ImageHead { format, size, orientation }, decoder))
}

/// What encoders write is 10; libjpeg-turbo, too, advises against more than some hundred of an untrusted file.
const MAX_SCANS: usize = 100;

fn name_of(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Gif => "GIF",
        _ => "image",
    }
}

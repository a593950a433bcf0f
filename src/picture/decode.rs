//! From bytes to upright RGB.

use std::io::Cursor;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use thiserror::Error;

use super::limits::{METADATA, memory};
use super::{Fit, ImageLimits, Letterbox, jpeg};
use crate::Size;
use crate::untrusted::{FileKind, read};

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
    /// Too much memory.
    #[error(
        "{size} would take {megabytes} MB of memory to decode; the limit is {limit} (raise it with --max-image-memory)",
        megabytes = bytes.div_ceil(1_000_000)
    )]
    TooMuchMemory {
        /// Size of the picture.
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

/// A decoded picture.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Upright, 8 bits per channel; transparency dropped, as OpenCV's `imread` does. Fewer than [`Picture::size`] where a
    /// part of the size was enough ([`Undecoded::read`]).
    pub pixels: RgbImage,
    /// The format that it was stored in.
    pub format: ImageFormat,
    size: Size,
}

/// What is said of a picture before its pixels are decoded.
#[derive(Debug)]
struct Head {
    format: ImageFormat,
    /// As stored.
    size: Size,
    orientation: Orientation,
}

/// A picture whose head has been read and found within limits.
pub struct Undecoded<'a> {
    head: Head,
    bytes: &'a [u8],
    decoder: Box<dyn ImageDecoder + 'a>,
    memory: u64,
    /// JPEG decoded to a part of its size: at least so many columns and rows, as stored.
    reduced: Option<(u16, u16)>,
    limits: ImageLimits,
}

impl std::fmt::Debug for Undecoded<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Undecoded").field("head", &self.head).field("memory", &self.memory).finish_non_exhaustive()
    }
}

impl<'a> Undecoded<'a> {
    /// Reads the head. With `fit`, the picture is wanted for a network's input alone: a JPEG file that has at least four
    /// times as many pixels on each side as the input takes of it is then decoded to a half, a quarter or an eighth of its
    /// size, at least twice what the input takes: that is faster, and needs less memory. Detections move a little by it
    /// (docs/performance.md).
    ///
    /// # Errors
    /// [`PictureError`] when it is no picture, damaged, or beyond the limits.
    pub fn read(bytes: &'a [u8], limits: &ImageLimits, fit: Option<&Fit>) -> Result<Self, PictureError> {
        let (head, mut decoder) = open(bytes, limits)?;
        let is_jpeg = head.format == ImageFormat::Jpeg;
        let jpeg = if is_jpeg { jpeg::structure(bytes) } else { jpeg::Structure::default() };
        if jpeg.scans > MAX_SCANS {
            let reason =
                format!("a JPEG file of {} scans, each of which costs the time of a whole picture", jpeg.scans);
            return Err(PictureError::Unsupported { reason });
        }
        // The decoder of parts knows grey and colour.
        let is_common = matches!(jpeg.components, 1 | 3);
        let reduced = fit.filter(|_| is_common).and_then(|fit| reduced(&head, fit));
        let decoded = (decoder.total_bytes(), decoder.color_type());
        let memory = match reduced {
            // The decoder gives at most twice as many columns and rows.
            Some((width, height)) => {
                let coefficients = if jpeg.progressive { head.size.area() * 6 } else { 0 };
                u64::from(width) * u64::from(height) * 4 * 3 * 2 + coefficients
            }
            None => memory(head.format, head.size, decoded, jpeg, head.lies()),
        };
        if memory > limits.max_bytes {
            let limit = limits.max_bytes / 1_000_000;
            return Err(PictureError::TooMuchMemory { size: head.size, bytes: memory, limit });
        }
        let mut allocations = Limits::no_limits();
        allocations.max_alloc = Some(memory.max(2 * decoded.0) + METADATA);
        decoder.set_limits(allocations).map_err(|error| refused(error, head.format))?;
        Ok(Self { head, bytes, decoder: Box::new(decoder), memory, reduced, limits: *limits })
    }

    /// Bytes of memory that decoding takes at its peak.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Decodes the pixels.
    ///
    /// # Errors
    /// [`PictureError`] when the picture is damaged.
    pub fn decode(self) -> Result<Picture, PictureError> {
        let Self { head, bytes, decoder, reduced, limits, .. } = self;
        if let Some(least) = reduced {
            return match decode_reduced(bytes, least, head.orientation) {
                Some(pixels) => Ok(Picture { pixels, format: head.format, size: head.upright() }),
                // The other decoder forgives more, and has the better messages. It needs memory for all pixels, which nobody
                // has counted: one at a time.
                None => {
                    static ALONE: Mutex<()> = Mutex::new(());
                    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
                    Self::read(bytes, &limits, None)?.decode()
                }
            };
        }
        let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| refused(error, head.format))?;
        picture.apply_orientation(head.orientation);
        Ok(Picture { pixels: picture.into_rgb8(), format: head.format, size: head.upright() })
    }
}

impl Picture {
    /// Reads a file.
    ///
    /// # Errors
    /// [`PictureError`], which does not repeat the path.
    pub fn open(path: &Path, limits: &ImageLimits) -> Result<Self, PictureError> {
        Self::decode(&read(path, FileKind::Image)?, limits)
    }

    /// Decodes a picture in memory: recognised by content, turned upright by its EXIF orientation, first frame of an
    /// animation.
    ///
    /// # Errors
    /// [`PictureError`] when it is no picture, damaged, or beyond the limits.
    pub fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<Self, PictureError> {
        Undecoded::read(bytes, limits, None)?.decode()
    }

    /// Width and height of a file, upright, without decoding it.
    ///
    /// # Errors
    /// As [`Picture::open`], but for damage behind the head.
    pub fn size_of_file(path: &Path, limits: &ImageLimits) -> Result<Size, PictureError> {
        Ok(open(&read(path, FileKind::Image)?, limits)?.0.upright())
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
fn open<'a>(bytes: &'a [u8], limits: &ImageLimits) -> Result<(Head, impl ImageDecoder + 'a), PictureError> {
    if bytes.is_empty() {
        return Err(PictureError::Empty);
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let format = reader.format().ok_or(PictureError::UnknownFormat)?;
    if format == ImageFormat::Jpeg && !jpeg::is_complete(bytes) {
        let reason = "it ends before its end marker, as after a copy or download that was cut off".into();
        return Err(PictureError::Damaged { format: name_of(format), reason });
    }
    // Until it is known how large the picture is, decoders may only take what texts and tables need.
    let mut allocations = Limits::no_limits();
    allocations.max_alloc = Some(METADATA);
    reader.limits(allocations);
    let mut decoder = reader.into_decoder().map_err(|error| refused(error, format))?;
    let (width, height) = decoder.dimensions();
    let size = Size::new(width as usize, height as usize);
    if size.area() > limits.max_pixels {
        return Err(PictureError::TooLarge { size, limit: limits.max_pixels as f64 / 1e6 });
    }
    let orientation = decoder.orientation().map_err(|error| refused(error, format))?;
    Ok((Head { format, size, orientation }, decoder))
}

/// What encoders write is 10; libjpeg-turbo, too, advises against more than some hundred of an untrusted file.
const MAX_SCANS: usize = 100;

/// How many times more pixels than the input takes are kept on each side, so that its own scaling still has some to mix.
const SPARE: usize = 2;

/// How many columns and rows are enough, as stored, if the picture is a JPEG file that is far larger.
fn reduced(head: &Head, fit: &Fit) -> Option<(u16, u16)> {
    let upright = head.upright();
    let taken = Letterbox::new(upright, fit).resized;
    let least = 2 * SPARE;
    if head.format != ImageFormat::Jpeg || upright.width < least * taken.width || upright.height < least * taken.height
    {
        return None;
    }
    let side = |side: usize| u16::try_from(SPARE * side).ok();
    let (width, height) = (side(taken.width)?, side(taken.height)?);
    Some(if head.lies() { (height, width) } else { (width, height) })
}

/// A part of the size, upright, if the file is of a common kind.
fn decode_reduced(bytes: &[u8], (width, height): (u16, u16), orientation: Orientation) -> Option<RgbImage> {
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    let (width, height) = decoder.scale(width, height).ok()?;
    let pixels = decoder.decode().ok()?;
    let mut picture: DynamicImage = match decoder.info()?.pixel_format {
        jpeg_decoder::PixelFormat::RGB24 => RgbImage::from_raw(width.into(), height.into(), pixels)?.into(),
        jpeg_decoder::PixelFormat::L8 => image::GrayImage::from_raw(width.into(), height.into(), pixels)?.into(),
        _ => return None,
    };
    picture.apply_orientation(orientation);
    Some(picture.into_rgb8())
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

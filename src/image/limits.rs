//! How large an image may be. A small file can describe a huge one.

use image::{ColorType, ImageFormat};

use super::jpeg;
use crate::Size;
use crate::setters::setters;

/// The largest images that are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageLimits {
    /// Pixels of an image.
    pub max_pixels: u64,
    /// Bytes of memory while one is decoded, which is more for 16 bits per channel, transparency, progressive JPEG and
    /// others that are put together from parts.
    pub max_bytes: u64,
}

impl Default for ImageLimits {
    /// 200 megapixels and 400 MB: 133 megapixels of an ordinary JPEG or PNG file.
    fn default() -> Self {
        Self { max_pixels: 200_000_000, max_bytes: 400_000_000 }
    }
}

setters!(ImageLimits { max_pixels: u64, max_bytes: u64 });

/// Besides the pixels: profiles, texts and tables of a file.
pub(super) const METADATA: u64 = 64 << 20;

/// Bytes that decoding takes at its peak. `decoded` is what the decoder gives, in its own kind of pixels.
pub(super) fn memory(
    format: ImageFormat,
    size: Size,
    (decoded, color): (u64, ColorType),
    jpeg: jpeg::Structure,
    turned: bool,
) -> u64 {
    let pixels = size.area();
    let working = match format {
        // Three components of 16-bit coefficients.
        ImageFormat::Jpeg if jpeg.progressive => pixels.saturating_mul(6),
        // Strips, frames and planes are decoded beside the image that they become.
        ImageFormat::Tiff | ImageFormat::Gif => decoded,
        ImageFormat::WebP => pixels.saturating_mul(4),
        _ => 0,
    };
    let converted = if color == ColorType::Rgb8 { 0 } else { pixels.saturating_mul(3) };
    let turned = if turned { pixels.saturating_mul(3) } else { 0 };
    // Of those after decoding only the larger one is there at a time.
    decoded.saturating_add(working.max(converted.max(turned)))
}

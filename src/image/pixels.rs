//! Pixels that somebody else keeps.

use image::RgbImage;

use crate::Size;

/// A borrowed RGB image: 8 bits per channel, interleaved, rows without gaps between them. Of an [`RgbImage`], or of memory
/// that another program or language owns.
#[derive(Debug, Clone, Copy)]
pub struct Pixels<'a> {
    rgb: &'a [u8],
    size: Size,
}

impl<'a> Pixels<'a> {
    /// `rgb` are the bytes of `size`, or there is no image: neither side may be 0 or beyond 32 bits, and there are 3 bytes
    /// for each pixel.
    #[must_use]
    pub fn new(rgb: &'a [u8], size: Size) -> Option<Self> {
        let [width, height] = [size.width, size.height].map(|side| u32::try_from(side).ok());
        let bytes = (width? as usize).checked_mul(height? as usize)?.checked_mul(3)?;
        (bytes > 0 && rgb.len() == bytes).then_some(Self { rgb, size })
    }

    /// Width and height.
    #[must_use]
    pub fn size(self) -> Size {
        self.size
    }

    /// All bytes.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.rgb
    }

    /// The pixels of a row, counted from the top.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn row(self, row: usize) -> &'a [[u8; 3]] {
        let length = 3 * self.size.width;
        self.rgb[row * length..(row + 1) * length].as_chunks().0
    }
}

impl<'a> From<&'a RgbImage> for Pixels<'a> {
    fn from(image: &'a RgbImage) -> Self {
        Self { rgb: image.as_raw(), size: Size::new(image.width() as usize, image.height() as usize) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_size_agree() {
        let bytes = [0u8; 18];
        assert!(Pixels::new(&bytes, Size::new(3, 2)).is_some());
        for (width, height) in [(2, 2), (0, 6), (usize::MAX, 2), (6, 2)] {
            assert!(Pixels::new(&bytes, Size::new(width, height)).is_none(), "{width}x{height}");
        }
    }
}

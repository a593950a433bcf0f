//! Bilinear resizing, bit for bit as `cv2.resize(…, interpolation=cv2.INTER_LINEAR)` on 8-bit images.
//!
//! Half-pixel centres, no antialiasing, and OpenCV's fixed-point arithmetic: weights in 1/2048, horizontal sums kept to
//! 1/128 level. Within one level is not enough: `fast_image_resize`'s `Interpolation` is that close, and still moves
//! scores of a photo's detections by up to 0.02 (docs/numerics.md).

use image::RgbImage;

use super::Pixels;
use crate::Size;

/// How the pixels of a scaled image are made, with OpenCV's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resampling {
    /// `INTER_LINEAR`: [`resize_bilinear`].
    #[default]
    Bilinear,
    /// `INTER_AREA`: [`resize_area`](super::resize_area).
    Area,
}

/// Weights are integers of this denominator.
const ONE: f32 = 2048.0;

/// Where one output position samples along an axis.
#[derive(Debug, Clone, Copy)]
struct Tap {
    first: usize,
    second: usize,
    /// Of `first` and `second`, in 1/2048.
    weights: [u32; 2],
}

/// An image scaled to `size`.
///
/// # Panics
/// If the image or the target has no pixel.
#[must_use]
pub fn resize_bilinear<'a>(image: impl Into<Pixels<'a>>, size: Size) -> RgbImage {
    resize(image.into(), size)
}

fn resize(image: Pixels<'_>, size: Size) -> RgbImage {
    let Size { width, height } = image.size();
    assert!(width * height > 0 && size.area() > 0, "resizing {width}x{height} to {size}");
    if (width, height) == (2 * size.width, 2 * size.height) {
        return halve(image, size);
    }
    let columns = taps(width, size.width, true);
    let rows = taps(height, size.height, false);
    let mut scaled = Scaled { rows: [vec![0; 3 * size.width], vec![0; 3 * size.width]], sources: [usize::MAX; 2] };
    let mut target = RgbImage::new(size.width as u32, size.height as u32);
    for (row, output) in rows.iter().zip(target.chunks_exact_mut(3 * size.width)) {
        let [above, below] = scaled.pair([row.first, row.second], |row, to| horizontal(image.row(row), &columns, to));
        let [upper, lower] = row.weights;
        for ((out, above), below) in output.iter_mut().zip(above).zip(below) {
            let sum = ((u32::from(*above) * upper) >> 16) + ((u32::from(*below) * lower) >> 16);
            *out = ((sum + 2) >> 2) as u8;
        }
    }
    target
}

/// The general way comes to this where both sides are halved, as with many cameras: all four weights are equal.
fn halve(image: Pixels<'_>, size: Size) -> RgbImage {
    let mut target = RgbImage::new(size.width as u32, size.height as u32);
    let row = 6 * size.width;
    let mut sums = vec![0u16; row];
    for (pair, output) in image.as_bytes().chunks_exact(2 * row).zip(target.chunks_exact_mut(3 * size.width)) {
        let (above, below) = pair.split_at(row);
        for ((sum, above), below) in sums.iter_mut().zip(above).zip(below) {
            *sum = u16::from(*above) + u16::from(*below);
        }
        for (out, [a, b, c, d, e, f]) in output.as_chunks_mut::<3>().0.iter_mut().zip(sums.as_chunks::<6>().0) {
            *out = [(a + d + 2) >> 2, (b + e + 2) >> 2, (c + f + 2) >> 2].map(|level| level as u8);
        }
    }
    target
}

/// The two horizontally scaled source rows that an output row mixes. Neighbouring output rows share them.
struct Scaled {
    rows: [Vec<u16>; 2],
    sources: [usize; 2],
}

impl Scaled {
    fn pair(&mut self, wanted: [usize; 2], scale: impl Fn(usize, &mut [u16])) -> [&[u16]; 2] {
        if self.sources[1] == wanted[0] {
            self.rows.swap(0, 1);
            self.sources.swap(0, 1);
        }
        for ((row, source), wanted) in self.rows.iter_mut().zip(&mut self.sources).zip(wanted) {
            if *source != wanted {
                scale(wanted, row);
                *source = wanted;
            }
        }
        [&self.rows[0], &self.rows[1]]
    }
}

fn horizontal(pixels: &[[u8; 3]], columns: &[Tap], target: &mut [u16]) {
    for (tap, out) in columns.iter().zip(target.as_chunks_mut::<3>().0) {
        let (first, second) = (pixels[tap.first], pixels[tap.second]);
        for channel in 0..3 {
            let sum = u32::from(first[channel]) * tap.weights[0] + u32::from(second[channel]) * tap.weights[1];
            // At most 255 * 2048 / 16.
            out[channel] = (sum >> 4) as u16;
        }
    }
}

/// Sampling positions of `to` outputs over `from` inputs. OpenCV moves positions outside a row to its edge, but keeps
/// the weights of those outside a column: both neighbours are then the same row.
fn taps(from: usize, to: usize, snap_to_edge: bool) -> Vec<Tap> {
    let scale = from as f64 / to as f64;
    let last = from - 1;
    let tap = |position: usize| {
        let centre = ((position as f64 + 0.5) * scale - 0.5) as f32;
        let floor = centre.floor();
        let outside = floor < 0.0 || floor >= last as f32;
        let fraction = if outside && snap_to_edge { 0.0 } else { centre - floor };
        let clamp = |index: f32| (index.max(0.0) as usize).min(last);
        let weight = |share: f32| (share * ONE).round_ties_even() as u32;
        Tap { first: clamp(floor), second: clamp(floor + 1.0), weights: [weight(1.0 - fraction), weight(fraction)] }
    };
    (0..to).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_is_the_general_way_with_equal_weights() {
        let mut random = fastrand::Rng::with_seed(7);
        let image = RgbImage::from_fn(38, 22, |_, _| image::Rgb([(); 3].map(|()| random.u8(..))));
        let pixel = |x: u32, y: u32, channel: usize| u32::from(image.get_pixel(x, y)[channel]);
        let halved = resize_bilinear(&image, Size::new(19, 11));
        for (x, y, out) in halved.enumerate_pixels() {
            for channel in 0..3 {
                // The arithmetic of `resize_bilinear`: weights of 1/2 are 1024 of 2048.
                let row = |y: u32| ((pixel(2 * x, y, channel) + pixel(2 * x + 1, y, channel)) * 1024) >> 4;
                let sum = ((row(2 * y) * 1024) >> 16) + ((row(2 * y + 1) * 1024) >> 16);
                assert_eq!(u32::from(out[channel]), (sum + 2) >> 2, "{x},{y}");
            }
        }
    }

    #[test]
    fn a_single_pixel_fills_everything() {
        let pixel = RgbImage::from_pixel(1, 1, image::Rgb([1, 128, 255]));
        let filled = resize_bilinear(&pixel, Size::new(5, 3));
        assert!(filled.pixels().all(|p| p.0 == [1, 128, 255]));
    }
}

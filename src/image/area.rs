//! Shrinking by area: each pixel is the mean of those that it covers, in parts where it covers them in part, as
//! `cv2.resize(…, interpolation=cv2.INTER_AREA)` computes it on 8-bit images.

use image::RgbImage;

use super::Pixels;
use crate::Size;

/// The share of an input position in an output position along an axis.
#[derive(Debug, Clone, Copy)]
struct Share {
    output: usize,
    input: usize,
    weight: f32,
}

/// An image shrunk to `size`.
///
/// # Panics
/// If the target has no pixel, or is larger than the image on either axis.
#[must_use]
pub fn resize_area<'a>(image: impl Into<Pixels<'a>>, size: Size) -> RgbImage {
    shrink(image.into(), size)
}

fn shrink(image: Pixels<'_>, size: Size) -> RgbImage {
    let Size { width, height } = image.size();
    assert!(
        size.area() > 0 && size.width <= width && size.height <= height,
        "shrinking {width}x{height} to {size} by area"
    );
    let whole = |from: usize, to: usize| from.is_multiple_of(to).then(|| from / to);
    if let (Some(across), Some(down)) = (whole(width, size.width), whole(height, size.height)) {
        return means_of_blocks(image, size, Size::new(across, down));
    }
    let (columns, rows) = (shares(width, size.width), shares(height, size.height));
    let mut target = RgbImage::new(size.width as u32, size.height as u32);
    let (mut line, mut sums) = (vec![[0f32; 3]; size.width], vec![[0f32; 3]; size.width]);
    for (n, row) in rows.iter().enumerate() {
        let pixels = image.row(row.input);
        line.fill([0.0; 3]);
        for share in &columns {
            let (to, from) = (&mut line[share.output], pixels[share.input]);
            (0..3).for_each(|channel| to[channel] += f32::from(from[channel]) * share.weight);
        }
        for (sum, value) in sums.iter_mut().flatten().zip(line.iter().flatten()) {
            *sum += value * row.weight;
        }
        if rows.get(n + 1).is_none_or(|next| next.output != row.output) {
            let output = &mut target.as_mut()[row.output * 3 * size.width..(row.output + 1) * 3 * size.width];
            for (out, sum) in output.iter_mut().zip(sums.iter_mut().flatten()) {
                *out = std::mem::take(sum).round_ties_even() as u8;
            }
        }
    }
    target
}

/// Where both factors are whole numbers, sums are of integers.
fn means_of_blocks(image: Pixels<'_>, size: Size, block: Size) -> RgbImage {
    let share = 1.0 / block.area() as f32;
    RgbImage::from_fn(size.width as u32, size.height as u32, |x, y| {
        let mut sums = [0u32; 3];
        let (left, top) = (x as usize * block.width, y as usize * block.height);
        for pixel in (top..top + block.height).flat_map(|row| &image.row(row)[left..left + block.width]) {
            (0..3).for_each(|channel| sums[channel] += u32::from(pixel[channel]));
        }
        let mean = |sum: u32| match (block.width, block.height) {
            (2, 2) => ((sum + 2) >> 2) as u8,
            _ => (sum as f32 * share).round_ties_even() as u8,
        };
        image::Rgb(sums.map(mean))
    })
}

/// Shares of `from` inputs in `to` outputs, by output. What covers less than a thousandth of a position is left out.
fn shares(from: usize, to: usize) -> Vec<Share> {
    // OpenCV divides by the inverse.
    let scale = 1.0 / (to as f64 / from as f64);
    let mut shares = Vec::with_capacity(from + 2 * to);
    for output in 0..to {
        let start = output as f64 * scale;
        let end = start + scale;
        let covered = scale.min(from as f64 - start);
        let last = (end.floor() as usize).min(from - 1);
        let first = (start.ceil() as usize).min(last);
        let mut share = |input: usize, part: f64| shares.push(Share { output, input, weight: (part / covered) as f32 });
        if first as f64 - start > 1e-3 {
            share(first - 1, first as f64 - start);
        }
        (first..last).for_each(|input| share(input, 1.0));
        if end - last as f64 > 1e-3 {
            share(last, (end - last as f64).min(1.0).min(covered));
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_of_an_output_are_one(from in 1usize..3000, part in 0.0f64..1.0) {
            let to = ((from as f64 * part) as usize).max(1);
            let mut sums = vec![0f64; to];
            for share in shares(from, to) {
                prop_assert!(share.input < from);
                sums[share.output] += f64::from(share.weight);
            }
            prop_assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 3e-3), "{sums:?}");
        }
    }
}

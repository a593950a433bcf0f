//! Random changes of hue, saturation and value, in OpenCV's 8-bit form of HSV: hue 0 to 179, the others 0 to 255.

use image::RgbImage;

/// Hues of OpenCV's 8-bit form.
const HUES: f32 = 180.0;

/// Multiplies hue, saturation and value of every pixel; the hue goes round, the others stay within their range.
pub(super) fn change(image: &mut RgbImage, [hue, saturation, value]: [f64; 3]) {
    let table = |of: &dyn Fn(f64) -> f64| -> [u8; 256] { std::array::from_fn(|level| of(level as f64) as u8) };
    let hues = table(&|level| (level * hue).rem_euclid(f64::from(HUES)));
    let saturations = table(&|level| (level * saturation).clamp(0.0, 255.0));
    let values = table(&|level| (level * value).clamp(0.0, 255.0));
    for pixel in image.as_chunks_mut::<3>().0 {
        let [h, s, v] = to_hsv(*pixel);
        *pixel = to_rgb([hues[usize::from(h)], saturations[usize::from(s)], values[usize::from(v)]]);
    }
}

fn to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let value = r.max(g).max(b);
    let range = value - r.min(g).min(b);
    if range == 0 {
        return [0, 0, value];
    }
    let [r, g, b, span] = [r, g, b, range].map(f32::from);
    let largest = f32::from(value);
    // In sixths of the circle.
    let sixths = if largest == r {
        (g - b) / span
    } else if largest == g {
        2.0 + (b - r) / span
    } else {
        4.0 + (r - g) / span
    };
    let hue = (sixths * HUES / 6.0).rem_euclid(HUES).round();
    [if hue >= HUES { 0 } else { hue as u8 }, (span * 255.0 / largest).round() as u8, value]
}

fn to_rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    let (value, saturation) = (f32::from(value), f32::from(saturation) / 255.0);
    let sixths = f32::from(hue) * 6.0 / HUES;
    let (sector, share) = (sixths as u8, sixths.fract());
    let level = |missing: f32| (value * (1.0 - saturation * missing)).round() as u8;
    let (full, none, falling, rising) = (level(0.0), level(1.0), level(share), level(1.0 - share));
    match sector {
        0 => [full, rising, none],
        1 => [falling, full, none],
        2 => [none, full, rising],
        3 => [none, falling, full],
        4 => [rising, none, full],
        _ => [full, none, falling],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_come_back_within_the_rounding_of_eight_bits() {
        for r in (0..=255u8).step_by(15) {
            for g in (0..=255u8).step_by(15) {
                for b in (0..=255u8).step_by(15) {
                    let back = to_rgb(to_hsv([r, g, b]));
                    let worst = back.iter().zip([r, g, b]).map(|(a, b)| a.abs_diff(b)).max().unwrap();
                    assert!(worst <= 5, "{:?} came back as {back:?}", [r, g, b]);
                }
            }
        }
    }

    /// By cv2.cvtColor(…, COLOR_RGB2HSV).
    #[test]
    fn hues_are_those_of_opencv() {
        for (rgb, hsv) in [
            ([255, 0, 0], [0, 255, 255]),
            ([0, 255, 0], [60, 255, 255]),
            ([0, 0, 255], [120, 255, 255]),
            ([10, 10, 10], [0, 0, 10]),
            ([200, 100, 50], [10, 191, 200]),
        ] {
            assert_eq!(to_hsv(rgb), hsv);
        }
    }

    #[test]
    fn values_are_scaled() {
        let mut image = RgbImage::from_pixel(2, 1, image::Rgb([100, 50, 50]));
        change(&mut image, [1.0, 1.0, 2.0]);
        assert_eq!(image.get_pixel(1, 0).0, [200, 100, 100]);
        change(&mut image, [1.0, 0.0, 1.0]);
        assert_eq!(image.get_pixel(0, 0).0, [200; 3]);
    }
}

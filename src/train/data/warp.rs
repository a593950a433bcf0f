//! Affine transformations of an image with its boxes.

use image::RgbImage;

use crate::train::loss::Target;

/// What lies outside of images.
pub(super) const GREY: u8 = 114;

/// Boxes with a shorter side are dropped, in pixels.
const SHORTEST_SIDE: f64 = 2.0;
/// Boxes of which less is left are dropped.
const LEAST_AREA: f64 = 0.1;
/// Longer boxes are dropped.
const LONGEST: f64 = 100.0;

/// `[x', y'] = [a x + b y + c, d x + e y + f]`, between the corners of pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Affine(pub(super) [f64; 6]);

impl Affine {
    pub(super) const IDENTITY: Self = Self([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);

    pub(super) fn translation(x: f64, y: f64) -> Self {
        Self([1.0, 0.0, x, 0.0, 1.0, y])
    }

    /// First this, then `other`.
    pub(super) fn then(self, other: Self) -> Self {
        let ([a, b, c, d, e, f], [p, q, r, s, t, u]) = (self.0, other.0);
        Self([p * a + q * d, p * b + q * e, p * c + q * f + r, s * a + t * d, s * b + t * e, s * c + t * f + u])
    }

    fn inverse(self) -> Self {
        let [a, b, c, d, e, f] = self.0;
        let determinant = a * e - b * d;
        let [a, b, d, e] = [e / determinant, -b / determinant, -d / determinant, a / determinant];
        Self([a, b, -(a * c + b * f), d, e, -(d * c + e * f)])
    }

    pub(super) fn point(self, x: f64, y: f64) -> (f64, f64) {
        let [a, b, c, d, e, f] = self.0;
        (a * x + b * y + c, d * x + e * y + f)
    }

    /// How often lengths along x are longer afterwards.
    fn scale(self) -> f64 {
        self.0[0].hypot(self.0[3])
    }
}

/// The image after the transformation, in a square of `size` pixels: bilinear, grey where nothing is.
pub(super) fn warped(image: &RgbImage, transformation: Affine, size: usize) -> RgbImage {
    let mut output = RgbImage::from_pixel(size as u32, size as u32, image::Rgb([GREY; 3]));
    let inverse = transformation.inverse();
    let (width, height) = (image.width() as i64, image.height() as i64);
    let source = image.as_raw();
    let grey = [f32::from(GREY); 3];
    let pixel = |x: i64, y: i64| -> [f32; 3] {
        if (0..width).contains(&x) && (0..height).contains(&y) {
            let at = 3 * (y * width + x) as usize;
            [source[at], source[at + 1], source[at + 2]].map(f32::from)
        } else {
            grey
        }
    };
    for (row, line) in output.chunks_exact_mut(3 * size).enumerate() {
        for (column, out) in line.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            // Whole numbers are the centres of pixels, as in OpenCV's warpAffine.
            let (x, y) = inverse.point(column as f64, row as f64);
            let (left, top) = (x.floor(), y.floor());
            if left < -1.0 || top < -1.0 || left >= width as f64 || top >= height as f64 {
                continue;
            }
            let (fx, fy) = ((x - left) as f32, (y - top) as f32);
            let (left, top) = (left as i64, top as i64);
            let [v00, v01] = [pixel(left, top), pixel(left + 1, top)];
            let [v10, v11] = [pixel(left, top + 1), pixel(left + 1, top + 1)];
            for channel in 0..3 {
                let upper = v00[channel] + fx * (v01[channel] - v00[channel]);
                let lower = v10[channel] + fx * (v11[channel] - v10[channel]);
                out[channel] = (upper + fy * (lower - upper) + 0.5) as u8;
            }
        }
    }
    output
}

/// The boxes after the transformation, clipped to a square of `size` pixels, without those of which too little is left.
pub(super) fn moved(objects: &[Target], transformation: Affine, size: usize) -> Vec<Target> {
    let limit = size as f64;
    let scale = transformation.scale();
    let moved = objects.iter().filter_map(|object| {
        let [x1, y1, x2, y2] = object.corners;
        let points = [(x1, y1), (x2, y1), (x1, y2), (x2, y2)].map(|(x, y)| transformation.point(x, y));
        let range = |values: [f64; 4]| {
            let ends = values.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
            (ends.0.clamp(0.0, limit), ends.1.clamp(0.0, limit))
        };
        let ((left, right), (top, bottom)) = (range(points.map(|point| point.0)), range(points.map(|point| point.1)));
        let corners = [left, top, right, bottom];
        let before = (x2 - x1) * (y2 - y1) * scale * scale;
        is_left(corners, before).then_some(Target { corners, ..*object })
    });
    moved.collect()
}

fn is_left([x1, y1, x2, y2]: [f64; 4], before: f64) -> bool {
    let (width, height) = (x2 - x1, y2 - y1);
    let longest = (width / height).max(height / width);
    width > SHORTEST_SIDE && height > SHORTEST_SIDE && width * height > LEAST_AREA * before && longest < LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(corners: [f64; 4]) -> Target {
        Target { class: 3, corners }
    }

    #[test]
    fn nothing_changes_an_image_that_stays_where_it_is() {
        let image = RgbImage::from_fn(8, 8, |x, y| image::Rgb([x as u8, y as u8, 7]));
        assert_eq!(warped(&image, Affine::IDENTITY, 8), image);
        let right = warped(&image, Affine::translation(2.0, 0.0), 8);
        assert_eq!(right.get_pixel(1, 0).0, [GREY; 3]);
        assert_eq!(right.get_pixel(5, 4), image.get_pixel(3, 4));
    }

    #[test]
    fn half_a_pixel_mixes_two() {
        let image = RgbImage::from_fn(4, 1, |x, _| image::Rgb([10 * x as u8; 3]));
        let moved = warped(&image, Affine::translation(0.5, 0.0), 4);
        assert_eq!(moved.get_pixel(1, 0).0, [5; 3]);
        assert_eq!(moved.get_pixel(3, 0).0, [25; 3]);
    }

    #[test]
    fn transformations_follow_each_other() {
        let turn = Affine([0.0, -1.0, 0.0, 1.0, 0.0, 0.0]);
        let both = Affine::translation(1.0, 0.0).then(turn);
        assert_eq!(both.point(1.0, 0.0), (0.0, 2.0));
        let (x, y) = both.then(both.inverse()).point(3.0, 4.0);
        assert!((x - 3.0).abs() < 1e-12 && (y - 4.0).abs() < 1e-12);
    }

    #[test]
    fn boxes_go_along_until_little_of_them_is_left() {
        let turn = Affine([0.0, -1.0, 10.0, 1.0, 0.0, 0.0]);
        assert_eq!(moved(&[object([1.0, 2.0, 4.0, 8.0])], turn, 10), [object([2.0, 1.0, 8.0, 4.0])]);
        let half = Affine::translation(-5.0, 0.0);
        assert_eq!(moved(&[object([0.0, 0.0, 10.0, 10.0])], half, 10), [object([0.0, 0.0, 5.0, 10.0])]);
        let most = Affine::translation(-9.2, 0.0);
        for gone in [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 1.0, 1.0]] {
            assert_eq!(moved(&[object(gone)], most, 10), []);
        }
        assert_eq!(moved(&[object([0.0, 0.0, 300.0, 2.5])], Affine::IDENTITY, 300), []);
    }
}

//! Letterboxing: scale an image into the network's input without changing its proportions, pad the rest, and bring
//! boxes back. Arithmetic as in the official `detect.py` (roundings included), because half a pixel shows in the boxes.

use serde::{Deserialize, Serialize};

use super::Resampling;
use crate::Size;

/// Whether padding fills the whole target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputShape {
    /// Only up to the next multiple of the stride: the smallest rectangle. What the official code does for PyTorch
    /// weights.
    #[default]
    Rectangular,
    /// To the target on both sides. What the official code does for exported models.
    Square,
}

/// How boxes are rescaled to the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoxRescaling {
    /// One factor for both axes and unrounded padding, as official YOLOv9. Usually up to half a pixel beside the real
    /// padding; more for very long images.
    #[default]
    Official,
    /// A factor for each axis from the rounded sizes, and the real padding, as Ultralytics.
    Ultralytics,
}

/// Where an image should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LetterboxOptions {
    /// Largest input size; both sides multiples of the stride.
    pub target: Size,
    /// The network's largest stride.
    pub stride: usize,
    /// How far to pad.
    pub shape: InputShape,
    /// How to come back.
    pub box_rescaling: BoxRescaling,
}

impl LetterboxOptions {
    /// A target with its sides rounded up to multiples of the stride, as the official code does.
    #[must_use]
    pub fn new(target: Size, stride: usize, shape: InputShape, box_rescaling: BoxRescaling) -> Self {
        let up = |side: usize| side.max(1).next_multiple_of(stride.max(1));
        Self { target: Size::new(up(target.width), up(target.height)), stride, shape, box_rescaling }
    }
}

/// The placement of one image in the network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Letterbox {
    /// Size of the image.
    pub original: Size,
    /// Size that it is scaled to.
    pub resized: Size,
    /// Size of the network's input.
    pub input: Size,
    /// Padding on the left.
    pub left: usize,
    /// Padding on top.
    pub top: usize,
    /// How it is scaled.
    pub interpolation: Resampling,
    /// How coordinates come back, across and down.
    back: [Axis; 2],
}

/// The way back along an axis: padding is taken away, then the scale.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    padding: f64,
    scale: f64,
}

impl Letterbox {
    /// Places an image of at least one pixel.
    #[must_use]
    pub fn new(original: Size, options: &LetterboxOptions) -> Self {
        let (width, height) = (original.width as f64, original.height as f64);
        let ratio = (options.target.height as f64 / height).min(options.target.width as f64 / width);
        // Python rounds halves to the even neighbour.
        let scaled = |side: f64, limit: usize| ((side * ratio).round_ties_even() as usize).clamp(1, limit);
        let resized = Size::new(scaled(width, options.target.width), scaled(height, options.target.height));
        let gap = |target: usize, side: usize| match options.shape {
            InputShape::Rectangular => (target - side) % options.stride,
            InputShape::Square => target - side,
        };
        let gaps = Size::new(gap(options.target.width, resized.width), gap(options.target.height, resized.height));
        let input = Size::new(resized.width + gaps.width, resized.height + gaps.height);
        let placed = Self::placed(original, resized, input, Resampling::Bilinear);
        match options.box_rescaling {
            BoxRescaling::Ultralytics => placed,
            BoxRescaling::Official => {
                let gain = share(input.height, original.height).min(share(input.width, original.width));
                let axis = |input: usize, original: usize| Axis {
                    padding: (input as f64 - original as f64 * gain) / 2.0,
                    scale: gain,
                };
                Self { back: [axis(input.width, original.width), axis(input.height, original.height)], ..placed }
            }
        }
    }

    /// An image of that size in the middle of an input that has room for it. An odd remainder goes right and to the
    /// bottom. Coordinates come back exactly.
    pub(super) fn placed(original: Size, resized: Size, input: Size, interpolation: Resampling) -> Self {
        let (left, top) = ((input.width - resized.width) / 2, (input.height - resized.height) / 2);
        let back = [
            Axis { padding: left as f64, scale: share(resized.width, original.width) },
            Axis { padding: top as f64, scale: share(resized.height, original.height) },
        ];
        Self { original, resized, input, left, top, interpolation, back }
    }

    /// Coordinates come back by the scale of the height on both axes, and by half of the padding even where it is odd.
    pub(super) fn by_height(self) -> Self {
        let Self { original, resized, input, .. } = self;
        let scale = share(resized.height, original.height);
        let axis = |input: usize, resized: usize| Axis { padding: (input as f64 - resized as f64) / 2.0, scale };
        Self { back: [axis(input.width, resized.width), axis(input.height, resized.height)], ..self }
    }

    /// A point of the image in pixels of the network's input: where its pixels really are, whatever the way back does.
    #[must_use]
    pub fn to_input(&self, x: f32, y: f32) -> (f32, f32) {
        let axis = |value: f32, resized: usize, original: usize, padding: usize| {
            (f64::from(value) * share(resized, original) + padding as f64) as f32
        };
        let Self { original, resized, .. } = self;
        (axis(x, resized.width, original.width, self.left), axis(y, resized.height, original.height, self.top))
    }

    /// A point of the network's input in pixels of the image. Points in the padding come out outside the image.
    #[must_use]
    pub fn to_original(&self, x: f32, y: f32) -> (f32, f32) {
        let axis = |value: f32, Axis { padding, scale }: Axis| ((f64::from(value) - padding) / scale) as f32;
        (axis(x, self.back[0]), axis(y, self.back[1]))
    }
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options(shape: InputShape) -> LetterboxOptions {
        LetterboxOptions::new(Size::square(640), 32, shape, BoxRescaling::Official)
    }

    #[test]
    fn placements_equal_the_official_ones() {
        for (original, resized, in_rectangle, in_square) in [
            (Size::new(1920, 1080), Size::new(640, 360), (0, 12, Size::new(640, 384)), (0, 140)),
            (Size::new(640, 427), Size::new(640, 427), (0, 10, Size::new(640, 448)), (0, 106)),
            (Size::new(333, 1000), Size::new(213, 640), (5, 0, Size::new(224, 640)), (213, 0)),
            (Size::new(500, 333), Size::new(640, 426), (0, 11, Size::new(640, 448)), (0, 107)),
        ] {
            let rectangular = Letterbox::new(original, &options(InputShape::Rectangular));
            assert_eq!(rectangular.resized, resized);
            assert_eq!((rectangular.left, rectangular.top, rectangular.input), in_rectangle);
            let full = Letterbox::new(original, &options(InputShape::Square));
            assert_eq!((full.left, full.top, full.input), (in_square.0, in_square.1, Size::square(640)));
        }
    }

    #[test]
    fn extreme_images_keep_at_least_one_pixel() {
        for original in [Size::square(1), Size::new(100_000, 1), Size::new(1, 100_000)] {
            let letterbox = Letterbox::new(original, &options(InputShape::Rectangular));
            assert!(letterbox.resized.area() > 0, "{letterbox:?}");
            assert!(letterbox.input.width.is_multiple_of(32) && letterbox.input.height.is_multiple_of(32));
        }
    }

    /// 4948x333 at 480: the height is rounded from 32.3 to 32, and the official code takes the factor for both axes from
    /// that. Its boxes are then 23 pixels off on the left; parity with it means to be off as well.
    #[test]
    fn the_official_way_back_is_kept_with_its_flaw() {
        let options = LetterboxOptions::new(Size::square(480), 32, InputShape::Rectangular, BoxRescaling::Official);
        let letterbox = Letterbox::new(Size::new(4948, 333), &options);
        assert_eq!((letterbox.input, letterbox.left), (Size::new(480, 32), 0));
        let (x, _) = letterbox.to_original(0.0, 0.0);
        assert!((x + 23.5).abs() < 0.5, "{x}");
        let exact = Letterbox::new(
            letterbox.original,
            &LetterboxOptions { box_rescaling: BoxRescaling::Ultralytics, ..options },
        );
        assert_eq!(exact.to_original(0.0, 0.0), (0.0, 0.0));
    }

    proptest! {
        #[test]
        fn coming_back_inverts_going_in(
            width in 1usize..5000, height in 1usize..5000,
            target in 1usize..40, full: bool,
            x in 0.0f32..1.0, y in 0.0f32..1.0,
        ) {
            let shape = if full { InputShape::Square } else { InputShape::Rectangular };
            let options = LetterboxOptions::new(Size::square(target * 32), 32, shape, BoxRescaling::Ultralytics);
            let letterbox = Letterbox::new(Size::new(width, height), &options);
            let (x, y) = (x * width as f32, y * height as f32);
            let (input_x, input_y) = letterbox.to_input(x, y);
            let (back_x, back_y) = letterbox.to_original(input_x, input_y);
            let scale = width.max(height) as f32;
            prop_assert!((back_x - x).abs() < 1e-3 * scale && (back_y - y).abs() < 1e-3 * scale);
        }
    }
}

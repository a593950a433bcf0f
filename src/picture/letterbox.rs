//! Letterboxing: scale a picture into the network's input without changing its proportions, pad the rest, and bring
//! boxes back. Arithmetic as in the official `detect.py` (roundings included), because half a pixel shows in the boxes.

use crate::Size;

/// Whether padding fills the whole target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InputShape {
    /// Only up to the next multiple of the stride: the smallest rectangle. What the official code does for PyTorch
    /// weights.
    #[default]
    Rectangular,
    /// To the target on both sides. What the official code does for exported models.
    Full,
}

/// How boxes are scaled back to the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScaleBack {
    /// One factor for both axes and unrounded padding, as official YOLOv9. Usually up to half a pixel beside the real
    /// padding; more for very long pictures.
    #[default]
    Official,
    /// A factor for each axis from the rounded sizes, and the real padding, as Ultralytics.
    Ultralytics,
}

/// Where a picture should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// Largest input size; both sides multiples of the stride.
    pub target: Size,
    /// The network's largest stride.
    pub stride: usize,
    /// How far to pad.
    pub shape: InputShape,
    /// How to come back.
    pub scale_back: ScaleBack,
}

impl Fit {
    /// A target with its sides rounded up to multiples of the stride, as the official code does.
    #[must_use]
    pub fn new(target: Size, stride: usize, shape: InputShape, scale_back: ScaleBack) -> Self {
        let up = |side: usize| side.max(1).next_multiple_of(stride.max(1));
        Self { target: Size::new(up(target.width), up(target.height)), stride, shape, scale_back }
    }
}

/// The placement of one picture in the network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Letterbox {
    /// Size of the picture.
    pub original: Size,
    /// Size that it is scaled to.
    pub resized: Size,
    /// Size of the network's input.
    pub input: Size,
    /// Padding on the left.
    pub left: usize,
    /// Padding on top.
    pub top: usize,
    scale_back: ScaleBack,
}

impl Letterbox {
    /// Places a picture of at least one pixel.
    #[must_use]
    pub fn new(original: Size, fit: &Fit) -> Self {
        let (width, height) = (original.width as f64, original.height as f64);
        let ratio = (fit.target.height as f64 / height).min(fit.target.width as f64 / width);
        // Python rounds halves to the even neighbour.
        let scaled = |side: f64, limit: usize| ((side * ratio).round_ties_even() as usize).clamp(1, limit);
        let resized = Size::new(scaled(width, fit.target.width), scaled(height, fit.target.height));
        let gap = |target: usize, side: usize| match fit.shape {
            InputShape::Rectangular => (target - side) % fit.stride,
            InputShape::Full => target - side,
        };
        let (gap_x, gap_y) = (gap(fit.target.width, resized.width), gap(fit.target.height, resized.height));
        Self {
            original,
            resized,
            input: Size::new(resized.width + gap_x, resized.height + gap_y),
            // An odd remainder goes right and to the bottom.
            left: gap_x / 2,
            top: gap_y / 2,
            scale_back: fit.scale_back,
        }
    }

    /// A point of the network's input in pixels of the picture. Points in the padding come out outside the picture.
    #[must_use]
    pub fn to_original(&self, x: f32, y: f32) -> (f32, f32) {
        let axis = |value: f32, scale: f64, pad: f64| ((f64::from(value) - pad) / scale) as f32;
        let along = |part: usize, whole: usize| part as f64 / whole as f64;
        let (input, original, resized) = (self.input, self.original, self.resized);
        match self.scale_back {
            ScaleBack::Official => {
                let gain = along(input.height, original.height).min(along(input.width, original.width));
                let pad = |input: usize, original: usize| (input as f64 - original as f64 * gain) / 2.0;
                (axis(x, gain, pad(input.width, original.width)), axis(y, gain, pad(input.height, original.height)))
            }
            ScaleBack::Ultralytics => (
                axis(x, along(resized.width, original.width), self.left as f64),
                axis(y, along(resized.height, original.height), self.top as f64),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fit(shape: InputShape) -> Fit {
        Fit::new(Size::square(640), 32, shape, ScaleBack::Official)
    }

    #[test]
    fn placements_equal_the_official_ones() {
        struct Case {
            original: Size,
            resized: Size,
            rectangular: (usize, usize, Size),
            full: (usize, usize),
        }
        for case in [
            Case {
                original: Size::new(1920, 1080),
                resized: Size::new(640, 360),
                rectangular: (0, 12, Size::new(640, 384)),
                full: (0, 140),
            },
            Case {
                original: Size::new(640, 427),
                resized: Size::new(640, 427),
                rectangular: (0, 10, Size::new(640, 448)),
                full: (0, 106),
            },
            Case {
                original: Size::new(333, 1000),
                resized: Size::new(213, 640),
                rectangular: (5, 0, Size::new(224, 640)),
                full: (213, 0),
            },
            Case {
                original: Size::new(500, 333),
                resized: Size::new(640, 426),
                rectangular: (0, 11, Size::new(640, 448)),
                full: (0, 107),
            },
        ] {
            let rectangular = Letterbox::new(case.original, &fit(InputShape::Rectangular));
            assert_eq!(rectangular.resized, case.resized);
            assert_eq!((rectangular.left, rectangular.top, rectangular.input), case.rectangular);
            let full = Letterbox::new(case.original, &fit(InputShape::Full));
            assert_eq!((full.left, full.top, full.input), (case.full.0, case.full.1, Size::square(640)));
        }
    }

    #[test]
    fn extreme_pictures_keep_at_least_one_pixel() {
        for original in [Size::square(1), Size::new(100_000, 1), Size::new(1, 100_000)] {
            let letterbox = Letterbox::new(original, &fit(InputShape::Rectangular));
            assert!(letterbox.resized.area() > 0, "{letterbox:?}");
            assert!(letterbox.input.width.is_multiple_of(32) && letterbox.input.height.is_multiple_of(32));
        }
    }

    /// 4948x333 at 480: the height is rounded from 32.3 to 32, and the official code takes the factor for both axes from
    /// that. Its boxes are then 23 pixels off on the left; parity with it means to be off as well.
    #[test]
    fn the_official_way_back_is_kept_with_its_flaw() {
        let fit = Fit::new(Size::square(480), 32, InputShape::Rectangular, ScaleBack::Official);
        let letterbox = Letterbox::new(Size::new(4948, 333), &fit);
        assert_eq!((letterbox.input, letterbox.left), (Size::new(480, 32), 0));
        let (x, _) = letterbox.to_original(0.0, 0.0);
        assert!((x + 23.5).abs() < 0.5, "{x}");
        let exact = Letterbox { scale_back: ScaleBack::Ultralytics, ..letterbox };
        assert_eq!(exact.to_original(0.0, 0.0), (0.0, 0.0));
    }

    proptest! {
        #[test]
        fn coming_back_inverts_going_in(
            width in 1usize..5000, height in 1usize..5000,
            target in 1usize..40, full: bool,
            x in 0.0f32..1.0, y in 0.0f32..1.0,
        ) {
            let shape = if full { InputShape::Full } else { InputShape::Rectangular };
            let fit = Fit::new(Size::square(target * 32), 32, shape, ScaleBack::Ultralytics);
            let letterbox = Letterbox::new(Size::new(width, height), &fit);
            let (x, y) = (x * width as f32, y * height as f32);
            let input_x = x * letterbox.resized.width as f32 / width as f32 + letterbox.left as f32;
            let input_y = y * letterbox.resized.height as f32 / height as f32 + letterbox.top as f32;
            let (back_x, back_y) = letterbox.to_original(input_x, input_y);
            let scale = width.max(height) as f32;
            prop_assert!((back_x - x).abs() < 1e-3 * scale && (back_y - y).abs() < 1e-3 * scale);
        }
    }
}

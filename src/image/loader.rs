//! How the training codes load images when they evaluate: otherwise than when they detect. Images of like proportions share
//! a batch and its input size, with half a stride of padding on each axis at least, which makes an input of 640 one of 672.

use super::{InputShape, Letterbox, Resampling};
use crate::Size;

/// One of the two tools that users come from, whose choices differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preset {
    /// The official code: `detect.py` has confidence threshold 0.25, NMS IoU threshold 0.45, 1000 detections. `val.py` cuts
    /// sides to whole pixels, images shrink by area and grow bilinearly, and boxes come back by the scale of the height.
    #[default]
    Yolov9,
    /// Ultralytics 8.4: `predict` has confidence threshold 0.25, NMS IoU threshold 0.7, 300 detections. `val` rounds sides
    /// up, and scales images bilinearly.
    Ultralytics,
}

/// Least padding of a batch, in strides.
const PADDING: f64 = 0.5;

impl Preset {
    /// Images in a batch by default. It decides about input sizes: a larger one brings more proportions together.
    #[must_use]
    pub fn batch_size(self) -> usize {
        match self {
            Self::Yolov9 => 32,
            Self::Ultralytics => 16,
        }
    }

    /// Where each image of a dataset goes, with their longer sides scaled to `side`. Rectangular inputs depend on which
    /// images share a batch; equal proportions keep the order of the images.
    ///
    /// # Panics
    /// If an image has no pixel, or `side`, `stride` or `batch` is zero.
    #[must_use]
    pub fn letterboxes(
        self,
        images: &[Size],
        side: usize,
        stride: usize,
        shape: InputShape,
        batch: usize,
    ) -> Vec<Letterbox> {
        let inputs = match shape {
            InputShape::Square => vec![Size::square(side.next_multiple_of(stride)); images.len()],
            InputShape::Rectangular => batch_inputs(images, side, stride, batch),
        };
        images.iter().zip(inputs).map(|(image, input)| self.letterbox(*image, side, input)).collect()
    }

    fn letterbox(self, image: Size, side: usize, input: Size) -> Letterbox {
        let ratio = side as f64 / image.width.max(image.height) as f64;
        let scaled = |length: usize| {
            let exact = length as f64 * ratio;
            match self {
                _ if ratio == 1.0 => length,
                Self::Yolov9 => (exact as usize).max(1),
                Self::Ultralytics => (exact.ceil() as usize).min(side),
            }
        };
        let resized = Size::new(scaled(image.width), scaled(image.height));
        match self {
            Self::Yolov9 if ratio < 1.0 => Letterbox::placed(image, resized, input, Resampling::Area).by_height(),
            Self::Yolov9 => Letterbox::placed(image, resized, input, Resampling::Bilinear).by_height(),
            Self::Ultralytics => Letterbox::placed(image, resized, input, Resampling::Bilinear),
        }
    }
}

/// The input size of each image's batch, by the proportions in it.
fn batch_inputs(images: &[Size], side: usize, stride: usize, batch: usize) -> Vec<Size> {
    let proportions: Vec<f64> = images.iter().map(|image| image.height as f64 / image.width as f64).collect();
    let mut order: Vec<usize> = (0..images.len()).collect();
    order.sort_by(|a, b| proportions[*a].total_cmp(&proportions[*b]));
    let mut inputs = vec![Size::square(0); images.len()];
    for members in order.chunks(batch) {
        let (flattest, tallest) = (proportions[members[0]], proportions[members[members.len() - 1]]);
        let (height, width) = match () {
            () if tallest < 1.0 => (tallest, 1.0),
            () if flattest > 1.0 => (1.0, 1.0 / flattest),
            () => (1.0, 1.0),
        };
        let padded = |share: f64| (share * side as f64 / stride as f64 + PADDING).ceil() as usize * stride;
        members.iter().for_each(|image| inputs[*image] = Size::new(padded(width), padded(height)));
    }
    inputs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn images_of_like_proportions_share_an_input() {
        let images = [Size::new(640, 480), Size::new(480, 640), Size::new(1000, 500), Size::new(400, 800)];
        let inputs = |shape, batch| -> Vec<Size> {
            let letterboxes = Preset::Ultralytics.letterboxes(&images, 640, 32, shape, batch);
            letterboxes.iter().map(|letterbox| letterbox.input).collect()
        };
        let (wide, tall) = (Size::new(672, 512), Size::new(512, 672));
        assert_eq!(inputs(InputShape::Rectangular, 2), [wide, tall, wide, tall]);
        assert_eq!(inputs(InputShape::Rectangular, 4), [Size::square(672); 4]);
        assert_eq!(inputs(InputShape::Square, 1), [Size::square(640); 4]);
    }

    #[test]
    fn each_code_rounds_in_its_own_way() {
        let image = Size::new(1000, 333);
        let of = |loader: Preset| loader.letterboxes(&[image], 640, 32, InputShape::Rectangular, 1)[0];
        let (official, ultralytics) = (of(Preset::Yolov9), of(Preset::Ultralytics));
        assert_eq!((official.resized, official.interpolation), (Size::new(640, 213), Resampling::Area));
        assert_eq!((ultralytics.resized, ultralytics.interpolation), (Size::new(640, 214), Resampling::Bilinear));
        // (256 - 213) / 2 is 21.5: the official code comes back by that, though the image begins at 21.
        assert_eq!((official.input, official.top), (Size::new(672, 256), 21));
        assert_eq!(official.to_original(16.0, 21.5), (0.0, 0.0));
        assert_eq!(ultralytics.to_original(16.0, 21.0), (0.0, 0.0));
    }

    proptest! {
        #[test]
        fn every_image_has_room_in_its_input(
            sizes in prop::collection::vec((1usize..5000, 1usize..5000), 1..40),
            side in 1usize..40, batch in 1usize..20, official: bool, square: bool,
        ) {
            let images: Vec<Size> = sizes.into_iter().map(|(width, height)| Size::new(width, height)).collect();
            let loader = if official { Preset::Yolov9 } else { Preset::Ultralytics };
            let shape = if square { InputShape::Square } else { InputShape::Rectangular };
            for letterbox in loader.letterboxes(&images, side * 32, 32, shape, batch) {
                prop_assert!(letterbox.resized.area() > 0);
                prop_assert!(letterbox.input.width.is_multiple_of(32) && letterbox.input.height.is_multiple_of(32));
            }
        }
    }
}

//! What a detector gives.

use std::sync::Arc;

use crate::Size;
use crate::detect::{BoxXyxy, DetectOutput, Detection, Timing};
#[cfg(feature = "draw")]
use crate::image::Image;

/// What was detected in an image, by falling confidence. Iterating over a reference gives each object with the name of
/// its class.
#[derive(Debug, Clone)]
pub struct Detections {
    pub(super) output: DetectOutput,
    pub(super) class_names: Arc<[String]>,
}

/// One object of [`Detections`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct DetectedObject<'a> {
    /// Name of its class.
    pub class_name: &'a str,
    /// Class id.
    pub class: usize,
    /// Probability of the class, 0 to 1.
    pub confidence: f32,
    /// In pixels of the image.
    pub bbox: BoxXyxy,
}

impl Detections {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.output.detections.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.output.detections.is_empty()
    }

    /// Each object.
    pub fn iter(&self) -> impl Iterator<Item = DetectedObject<'_>> {
        self.into_iter()
    }

    /// Without names.
    #[must_use]
    pub fn as_slice(&self) -> &[Detection] {
        &self.output.detections
    }

    /// Size of the image.
    #[must_use]
    pub fn image_size(&self) -> Size {
        self.output.image
    }

    /// Size of the network's input.
    #[must_use]
    pub fn input_size(&self) -> Size {
        self.output.input
    }

    /// How long the stages took.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.output.timing
    }

    /// Draws the boxes with their labels on an image.
    #[cfg(feature = "draw")]
    pub fn annotate(&self, image: &mut Image, options: &crate::output::AnnotateOptions) {
        let result = crate::output::ImageResult::new("", &self.output, &self.class_names);
        crate::output::annotate(&mut image.pixels, &result, options);
    }
}

/// Over the objects of [`Detections`].
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    detections: std::slice::Iter<'a, Detection>,
    class_names: &'a [String],
}

impl<'a> Iterator for Iter<'a> {
    type Item = DetectedObject<'a>;

    fn next(&mut self) -> Option<DetectedObject<'a>> {
        let Detection { bbox, class, confidence } = *self.detections.next()?;
        let class_name = self.class_names.get(class).map_or("", String::as_str);
        Some(DetectedObject { class_name, class, confidence, bbox })
    }
}

impl<'a> IntoIterator for &'a Detections {
    type Item = DetectedObject<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        Iter { detections: self.output.detections.iter(), class_names: &self.class_names }
    }
}

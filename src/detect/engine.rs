//! Letterbox, network, decoding, NMS and the way back to pixels of the image, in one.

use std::time::{Duration, Instant};

use ndarray::{Array4, ArrayView4, Axis};
use thiserror::Error;

use super::{Backend, BackendError, BoxXyxy, Detection, DetectorOptions, HeadOutput, PostprocessOptions, decode, nms};
use crate::Size;
use crate::image::{Letterbox, LetterboxOptions, Pixels, to_tensor};

/// Why inference failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DetectError {
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The images of a batch do not have one input size.
    #[error("a batch has inputs of {first} and {other}; expected one size")]
    Sizes {
        /// Of the first image.
        first: Size,
        /// Of another one.
        other: Size,
    },
}

/// How long the stages of one image took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Letterbox and tensor.
    pub preprocess: Duration,
    /// The network.
    pub inference: Duration,
    /// Decoding, NMS, box rescaling.
    pub postprocess: Duration,
}

/// The result of one image.
#[derive(Debug, Clone)]
pub struct DetectOutput {
    /// By falling confidence, in pixels of the image.
    pub detections: Vec<Detection>,
    /// Size of the image.
    pub image: Size,
    /// Size of the network's input.
    pub input: Size,
    /// How long it took.
    pub timing: Timing,
}

/// A network with its options, on decoded pixels: the part of a [`Detector`](crate::Detector) that any [`Backend`] can
/// have.
#[derive(Debug)]
pub struct Engine<B> {
    backend: B,
    options: DetectorOptions,
}

impl<B: Backend> Engine<B> {
    /// An engine.
    pub fn new(backend: B, options: DetectorOptions) -> Self {
        Self { backend, options }
    }

    /// What the user may choose.
    pub fn options(&self) -> &DetectorOptions {
        &self.options
    }

    /// What runs the network.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Runs inference on one image.
    ///
    /// # Errors
    /// When the backend fails.
    pub fn detect<'a>(&mut self, image: impl Into<Pixels<'a>>) -> Result<DetectOutput, DetectError> {
        self.detect_prepared(&Prepared::new(image, &self.options.letterbox))
    }

    /// As [`Engine::detect`], for an image that was prepared (on another thread, perhaps) with the engine's
    /// [`LetterboxOptions`].
    ///
    /// # Errors
    /// When the backend fails.
    pub fn detect_prepared(&mut self, prepared: &Prepared) -> Result<DetectOutput, DetectError> {
        Ok(self.detect_batch(&[prepared])?.remove(0))
    }

    /// As [`Engine::detect_prepared`], for several images in one run of the network, `[B, 3, H, W]`. Its time is shared
    /// out equally.
    ///
    /// # Errors
    /// When the backend fails, or the inputs differ in size.
    pub fn detect_batch(&mut self, batch: &[&Prepared]) -> Result<Vec<DetectOutput>, DetectError> {
        let (outputs, inference) = self.infer(batch)?;
        let options = &self.options.postprocess;
        Ok(outputs.iter().zip(batch).map(|(output, prepared)| finish(output, prepared, options, inference)).collect())
    }

    /// As [`Engine::detect_prepared`], with each of several options from one run of the network.
    ///
    /// # Errors
    /// When the backend fails.
    pub fn detect_with<const N: usize>(
        &mut self,
        prepared: &Prepared,
        options: &[PostprocessOptions; N],
    ) -> Result<[DetectOutput; N], DetectError> {
        let (outputs, inference) = self.infer(&[prepared])?;
        Ok(options.each_ref().map(|options| finish(&outputs[0], prepared, options, inference)))
    }

    /// The output for each image, and the time for each.
    fn infer(&mut self, batch: &[&Prepared]) -> Result<(Vec<HeadOutput>, Duration), DetectError> {
        let Some(first) = batch.first().map(|prepared| prepared.size()) else { return Ok(Default::default()) };
        if let Some(other) = batch.iter().map(|prepared| prepared.size()).find(|size| *size != first) {
            return Err(DetectError::Sizes { first, other });
        }
        let start = Instant::now();
        let outputs = match batch {
            [one] => self.backend.run(one.tensor())?,
            several => {
                let views: Vec<_> = several.iter().map(|prepared| prepared.tensor()).collect();
                let input = ndarray::concatenate(Axis(0), &views).expect("all are [1, 3, H, W] of one size");
                self.backend.run(input.view())?
            }
        };
        if outputs.len() != batch.len() {
            return Err(DetectError::Backend(
                format!("{} outputs for a batch of {}", outputs.len(), batch.len()).into(),
            ));
        }
        Ok((outputs, start.elapsed() / batch.len() as u32))
    }
}

fn finish(output: &HeadOutput, prepared: &Prepared, options: &PostprocessOptions, inference: Duration) -> DetectOutput {
    let start = Instant::now();
    let letterbox = &prepared.letterbox;
    let mut candidates = decode(output, options.confidence_threshold, options.multi_label);
    if let Some(classes) = &options.classes {
        candidates.retain(|candidate| classes.contains(&candidate.class));
    }
    let mut detections = match output {
        // The file has its own NMS; a second one would only make it stricter.
        HeadOutput::Suppressed(_) => {
            candidates.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
            candidates.truncate(options.nms.max_detections);
            candidates
        }
        _ => nms(candidates, &options.nms),
    };
    for detection in &mut detections {
        let (x1, y1) = letterbox.to_original(detection.bbox.x1, detection.bbox.y1);
        let (x2, y2) = letterbox.to_original(detection.bbox.x2, detection.bbox.y2);
        detection.bbox = BoxXyxy { x1, y1, x2, y2 }.clip(letterbox.original);
    }
    let timing = Timing { preprocess: prepared.duration, inference, postprocess: start.elapsed() };
    DetectOutput { detections, image: letterbox.original, input: letterbox.input, timing }
}

/// An image as the network reads it.
#[derive(Debug, Clone)]
pub struct Prepared {
    letterbox: Letterbox,
    tensor: Array4<f32>,
    /// How long it took.
    duration: Duration,
}

impl Prepared {
    /// Scales and pads an image.
    #[must_use]
    pub fn new<'a>(image: impl Into<Pixels<'a>>, options: &LetterboxOptions) -> Self {
        let image = image.into();
        Self::placed(image, Letterbox::new(image.size(), options))
    }

    /// Scales and pads an image as a [`Preset`](super::Preset)'s tool places it, say.
    ///
    /// # Panics
    /// If the letterbox is for an image of another size.
    #[must_use]
    pub fn placed<'a>(image: impl Into<Pixels<'a>>, letterbox: Letterbox) -> Self {
        let start = Instant::now();
        Self { letterbox, tensor: to_tensor(image, &letterbox), duration: start.elapsed() }
    }

    /// Where the image lies in the network's input.
    #[must_use]
    pub fn letterbox(&self) -> &Letterbox {
        &self.letterbox
    }

    /// What the network reads, `[1, 3, H, W]`.
    #[must_use]
    pub fn tensor(&self) -> ArrayView4<'_, f32> {
        self.tensor.view()
    }

    /// Size of the network's input.
    #[must_use]
    pub fn size(&self) -> Size {
        self.letterbox.input
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;
    use ndarray::Array3;

    use super::*;
    use crate::architecture::REG_MAX;
    use crate::detect::{LevelOutput, Preset};
    use crate::image::InputShape;

    /// Sees an object of class 1, two strides wide and high, centred on every anchor point that is bright red; notes the
    /// shapes of its inputs.
    #[derive(Default)]
    struct RedBackend {
        shapes: Vec<Vec<usize>>,
    }

    impl Backend for RedBackend {
        fn run(&mut self, input: ArrayView4<'_, f32>) -> Result<Vec<HeadOutput>, BackendError> {
            self.shapes.push(input.shape().to_vec());
            Ok(input
                .outer_iter()
                .map(|image| {
                    let (_, height, width) = image.dim();
                    let mut boxes = Array3::from_elem((4 * REG_MAX, height / 8, width / 8), -100.0);
                    (0..4).for_each(|side| boxes.index_axis_mut(Axis(0), side * REG_MAX + 1).fill(100.0));
                    let classes = Array3::from_shape_fn((2, height / 8, width / 8), |(class, row, column)| {
                        let pixel = |channel| image[[channel, row * 8 + 4, column * 8 + 4]];
                        if class == 1 && pixel(0) > 0.9 && pixel(1) < 0.1 { 5.0 } else { -5.0 }
                    });
                    HeadOutput::Levels(vec![LevelOutput { stride: 8, boxes, classes }])
                })
                .collect())
        }
    }

    fn engine() -> Engine<RedBackend> {
        let preset = Preset::Yolov9;
        let letterbox = LetterboxOptions::new(Size::square(64), 8, InputShape::Rectangular, preset.box_rescaling());
        Engine::new(RedBackend::default(), DetectorOptions::new(letterbox, preset.postprocess()))
    }

    /// 256x128 with a red square of 32 pixels from (64, 32): one anchor point after scaling by a quarter.
    fn image() -> RgbImage {
        RgbImage::from_fn(256, 128, |x, y| {
            let inside = (64..96).contains(&x) && (32..64).contains(&y);
            image::Rgb(if inside { [255, 0, 0] } else { [0, 0, 255] })
        })
    }

    #[test]
    fn a_box_comes_back_in_pixels_of_the_image() {
        let found = engine().detect(&image()).unwrap();
        assert_eq!((found.input, found.image), (Size::new(64, 32), Size::new(256, 128)));
        let [detection] = found.detections.as_slice() else { panic!("{:?}", found.detections) };
        let bbox = BoxXyxy { x1: 48.0, y1: 16.0, x2: 112.0, y2: 80.0 };
        assert_eq!((detection.class, detection.bbox), (1, bbox));
    }

    #[test]
    fn a_batch_is_one_run_of_images_of_one_size() {
        let mut engine = engine();
        let letterbox = engine.options().letterbox;
        let (empty, wide) = (RgbImage::new(256, 128), RgbImage::new(128, 128));
        let [red, black, other] = [image(), empty, wide].map(|image| Prepared::new(&image, &letterbox));
        let found = engine.detect_batch(&[&red, &black, &red]).unwrap();
        assert_eq!(found.iter().map(|found| found.detections.len()).collect::<Vec<_>>(), [1, 0, 1]);
        assert_eq!(engine.backend.shapes, [[3, 3, 32, 64]]);
        let error = engine.detect_batch(&[&red, &other]).unwrap_err().to_string();
        assert_eq!(error, "a batch has inputs of 64x32 and 64x64; expected one size");
    }
}

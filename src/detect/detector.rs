//! Picture in, detections out.

use std::time::{Duration, Instant};

use image::RgbImage;
use ndarray::{Array4, Axis};
use thiserror::Error;

use super::{BoxXyxy, Candidate, Detection, Settings, Thresholds, decode, decode_all, suppress};
use crate::Size;
use crate::picture::{Fit, Letterbox, Picture, to_tensor};
use crate::runtime::{HeadOutput, Model, RuntimeError};

/// Why a picture could not be searched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DetectError {
    /// The model failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// How long the parts of one detection took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Letterbox and tensor.
    pub preprocess: Duration,
    /// The network.
    pub inference: Duration,
    /// Decoding, suppression, scaling back.
    pub postprocess: Duration,
}

/// What was found in one picture.
#[derive(Debug, Clone)]
pub struct Found {
    /// By falling score.
    pub detections: Vec<Detection>,
    /// Size of the network's input.
    pub input: Size,
    /// How long it took.
    pub timing: Timing,
}

/// A model with its settings.
#[derive(Debug)]
pub struct Detector<M> {
    model: M,
    settings: Settings,
}

impl<M: Model> Detector<M> {
    /// A detector.
    pub fn new(model: M, settings: Settings) -> Self {
        Self { model, settings }
    }

    /// What the user may choose.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Finds the objects of one picture.
    ///
    /// # Errors
    /// When the model fails.
    pub fn detect(&mut self, picture: &RgbImage) -> Result<Found, DetectError> {
        self.detect_prepared(&Prepared::new(picture, &self.settings.fit))
    }

    /// As [`Detector::detect`], for a picture that was prepared (on another thread, perhaps) with the detector's
    /// [`Fit`].
    ///
    /// # Errors
    /// When the model fails.
    pub fn detect_prepared(&mut self, prepared: &Prepared) -> Result<Found, DetectError> {
        Ok(self.detect_batch(std::slice::from_ref(prepared))?.remove(0))
    }

    /// As [`Detector::detect_prepared`], for several pictures whose inputs have one size. The time of the network is
    /// shared out equally.
    ///
    /// # Errors
    /// When the model fails.
    ///
    /// # Panics
    /// If the inputs differ in size.
    pub fn detect_batch(&mut self, batch: &[Prepared]) -> Result<Vec<Found>, DetectError> {
        let start = Instant::now();
        let outputs = match batch {
            [one] => vec![self.model.run(one.tensor.view())?],
            several => {
                let views: Vec<_> = several.iter().map(|prepared| prepared.tensor.view()).collect();
                let input = ndarray::concatenate(Axis(0), &views).expect("inputs of a batch have one size");
                self.model.run_batch(input.view())?
            }
        };
        let inference = start.elapsed() / outputs.len().max(1) as u32;
        let thresholds = &self.settings.thresholds;
        Ok(outputs.iter().zip(batch).map(|(output, prepared)| found(output, prepared, thresholds, inference)).collect())
    }

    /// As [`Detector::detect_prepared`], by each of several thresholds from one run of the network.
    ///
    /// # Errors
    /// When the model fails.
    pub fn detect_with(&mut self, prepared: &Prepared, thresholds: &[Thresholds]) -> Result<Vec<Found>, DetectError> {
        let start = Instant::now();
        let output = self.model.run(prepared.tensor.view())?;
        let inference = start.elapsed();
        Ok(thresholds.iter().map(|thresholds| found(&output, prepared, thresholds, inference)).collect())
    }
}

fn found(output: &HeadOutput, prepared: &Prepared, thresholds: &Thresholds, inference: Duration) -> Found {
    let start = Instant::now();
    let letterbox = &prepared.letterbox;
    let mut candidates = match thresholds.multi_label {
        true => decode_all(output, thresholds.confidence),
        false => decode(output, thresholds.confidence),
    };
    if let Some(classes) = &thresholds.classes {
        candidates.retain(|candidate| classes.contains(&candidate.class));
    }
    let kept = match output {
        // The file has its own overlap; suppressing again would only make it stricter.
        HeadOutput::Suppressed(_) => {
            candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
            candidates.truncate(thresholds.max_detections);
            candidates
        }
        _ => suppress(candidates, thresholds),
    };
    let detections = kept.iter().map(|candidate| to_picture(candidate, letterbox)).collect();
    let timing = Timing { preprocess: prepared.duration, inference, postprocess: start.elapsed() };
    Found { detections, input: letterbox.input, timing }
}

/// A picture as the network reads it.
#[derive(Debug, Clone)]
pub struct Prepared {
    letterbox: Letterbox,
    tensor: Array4<f32>,
    /// How long it took.
    duration: Duration,
}

impl Prepared {
    /// Scales and pads a picture.
    #[must_use]
    pub fn new(picture: &RgbImage, fit: &Fit) -> Self {
        Self::scaled(picture, Size::new(picture.width() as usize, picture.height() as usize), fit)
    }

    /// As [`Prepared::new`], for a picture that may have been decoded at a part of its size. Boxes are in pixels of the
    /// whole picture.
    #[must_use]
    pub fn of(picture: &Picture, fit: &Fit) -> Self {
        Self::scaled(&picture.pixels, picture.size(), fit)
    }

    fn scaled(pixels: &RgbImage, size: Size, fit: &Fit) -> Self {
        let start = Instant::now();
        let letterbox = Letterbox::new(size, fit);
        Self { letterbox, tensor: to_tensor(pixels, &letterbox), duration: start.elapsed() }
    }

    /// What the network reads.
    #[must_use]
    pub fn tensor(&self) -> ndarray::ArrayView4<'_, f32> {
        self.tensor.view()
    }

    /// Size of the network's input.
    #[must_use]
    pub fn size(&self) -> Size {
        self.letterbox.input
    }
}

fn to_picture(candidate: &Candidate, letterbox: &Letterbox) -> Detection {
    let (x1, y1) = letterbox.to_original(candidate.bbox.x1, candidate.bbox.y1);
    let (x2, y2) = letterbox.to_original(candidate.bbox.x2, candidate.bbox.y2);
    let bbox = BoxXyxy { x1, y1, x2, y2 }.clip(letterbox.original);
    Detection { bbox, class: candidate.class, score: candidate.score }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, ArrayView4};

    use super::*;
    use crate::detect::Preset;
    use crate::graph::BINS;
    use crate::picture::{Fit, InputShape};
    use crate::runtime::LevelOutput;

    /// Sees an object of class 1, two strides wide and high, centred on every cell whose centre is bright red.
    struct RedModel;

    impl Model for RedModel {
        fn run(&mut self, input: ArrayView4<'_, f32>) -> Result<HeadOutput, RuntimeError> {
            let (_, _, height, width) = input.dim();
            let mut boxes = Array3::from_elem((4 * BINS, height / 8, width / 8), -100.0);
            (0..4).for_each(|side| boxes.index_axis_mut(ndarray::Axis(0), side * BINS + 1).fill(100.0));
            let classes = Array3::from_shape_fn((2, height / 8, width / 8), |(class, row, column)| {
                let pixel = |channel| input[[0, channel, row * 8 + 4, column * 8 + 4]];
                if class == 1 && pixel(0) > 0.9 && pixel(1) < 0.1 { 5.0 } else { -5.0 }
            });
            Ok(HeadOutput::Levels(vec![LevelOutput { stride: 8, boxes, classes }]))
        }
    }

    fn detector(classes: Option<Vec<usize>>) -> Detector<RedModel> {
        let preset = Preset::Yolov9;
        let fit = Fit::new(Size::square(64), 8, InputShape::Rectangular, preset.scale_back());
        let settings = Settings { fit, thresholds: super::super::Thresholds { classes, ..preset.thresholds() } };
        Detector::new(RedModel, settings)
    }

    /// 256x128 with a red square of 32 pixels from (64, 32): one cell after scaling by a quarter.
    fn picture() -> RgbImage {
        RgbImage::from_fn(256, 128, |x, y| {
            let inside = (64..96).contains(&x) && (32..64).contains(&y);
            image::Rgb(if inside { [255, 0, 0] } else { [0, 0, 255] })
        })
    }

    #[test]
    fn a_box_comes_back_in_pixels_of_the_picture() {
        let found = detector(None).detect(&picture()).unwrap();
        assert_eq!(found.input, Size::new(64, 32));
        let [detection] = found.detections.as_slice() else { panic!("{:?}", found.detections) };
        let bbox = BoxXyxy { x1: 48.0, y1: 16.0, x2: 112.0, y2: 80.0 };
        assert_eq!((detection.class, detection.bbox), (1, bbox));
    }

    #[test]
    fn other_classes_can_be_filtered_out() {
        assert_eq!(detector(Some(vec![0])).detect(&picture()).unwrap().detections, []);
        assert_eq!(detector(Some(vec![1])).detect(&picture()).unwrap().detections.len(), 1);
    }
}

//! The library in one type: open a model, detect objects.

mod builder;
mod detections;

use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

pub use builder::DetectorBuilder;
pub use detections::{DetectedObject, Detections};

use crate::detect::{DetectError, DetectOutput, DetectorOptions, Engine, Prepared};
use crate::image::{Image, Pixels};
use crate::model::{Model, ModelError};
use crate::runtime::{Device, OrtBackend, Precision, Runtime, RuntimeError, SessionOptions};

/// Why a detector cannot be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DetectorError {
    /// The model cannot be opened.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// ONNX Runtime cannot be had, or does not accept the network.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// A model that detects objects in images.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut detector = yolo9::Detector::builder("best.pt").confidence_threshold(0.4).threads(2).build()?;
/// let image = yolo9::Image::open("img.jpg")?;
/// println!("{} objects", detector.detect(&image)?.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Detector {
    engine: Engine<OrtBackend>,
    class_names: Arc<[String]>,
}

impl Detector {
    /// Opens a model of any kind with default options: a checkpoint (`.pt`, `.safetensors`) that carries its configuration,
    /// an exported `.onnx` file, or what [`WeightsLocation`](crate::model::WeightsLocation) can be besides. ONNX Runtime is found, or fetched once.
    ///
    /// # Errors
    /// [`DetectorError`] names the file and what is wrong with it.
    pub fn open(weights: impl AsRef<Path>) -> Result<Self, DetectorError> {
        Self::builder(weights).build()
    }

    /// Options for a detector of that model.
    #[must_use]
    pub fn builder(weights: impl AsRef<Path>) -> DetectorBuilder {
        DetectorBuilder::new(weights.as_ref())
    }

    /// A detector of a model that was opened before.
    ///
    /// # Errors
    /// [`RuntimeError::Load`] when ONNX Runtime does not accept it.
    pub fn from_model(
        model: Model,
        options: DetectorOptions,
        runtime: &Runtime,
        session: &SessionOptions,
    ) -> Result<Self, RuntimeError> {
        Ok(Self::several(model, &options, runtime, session, 1)?.remove(0))
    }

    fn several(
        model: Model,
        options: &DetectorOptions,
        runtime: &Runtime,
        session: &SessionOptions,
        count: usize,
    ) -> Result<Vec<Self>, RuntimeError> {
        let class_names: Arc<[String]> = model.class_names().into();
        let detector =
            |backend| Self { engine: Engine::new(backend, options.clone()), class_names: Arc::clone(&class_names) };
        Ok(model.into_sessions(runtime, session, count)?.into_iter().map(detector).collect())
    }

    /// One name per class, by class id.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Its letterbox and thresholds.
    #[must_use]
    pub fn options(&self) -> &DetectorOptions {
        self.engine.options()
    }

    /// Detects the objects of an image.
    ///
    /// # Errors
    /// [`DetectError`] when ONNX Runtime fails.
    pub fn detect(&mut self, image: &Image) -> Result<Detections, DetectError> {
        self.detect_prepared(&self.prepare(&image.pixels))
    }

    /// Scales and pads an image for [`Detector::detect_prepared`]: on another thread, perhaps, for any detector with the
    /// same options.
    #[must_use]
    pub fn prepare<'a>(&self, image: impl Into<Pixels<'a>>) -> Prepared {
        Prepared::new(image, &self.engine.options().letterbox)
    }

    /// As [`Detector::detect`], for an image that was prepared.
    ///
    /// # Errors
    /// As [`Detector::detect`].
    pub fn detect_prepared(&mut self, prepared: &Prepared) -> Result<Detections, DetectError> {
        let output = self.engine.detect_prepared(prepared)?;
        Ok(Detections { output, class_names: Arc::clone(&self.class_names) })
    }

    /// As [`Detector::detect`], for several images. Those whose inputs have one size go through the network together,
    /// which is worth its memory on a GPU, and seldom on a CPU.
    ///
    /// # Errors
    /// As [`Detector::detect`].
    pub fn detect_batch(&mut self, images: &[Image]) -> Result<Vec<Detections>, DetectError> {
        let prepared: Vec<Prepared> = images.iter().map(|image| self.prepare(&image.pixels)).collect();
        self.detect_all_prepared(&prepared)
    }

    /// As [`Detector::detect_batch`], for images that were prepared.
    ///
    /// # Errors
    /// As [`Detector::detect`].
    pub fn detect_all_prepared(&mut self, prepared: &[Prepared]) -> Result<Vec<Detections>, DetectError> {
        let mut found: Vec<Option<DetectOutput>> = prepared.iter().map(|_| None).collect();
        while let Some(first) = found.iter().position(Option::is_none) {
            let size = prepared[first].size();
            let alike = |n: &usize| found[*n].is_none() && prepared[*n].size() == size;
            let batch: Vec<usize> = (first..prepared.len()).filter(alike).collect();
            let inputs: Vec<&Prepared> = batch.iter().map(|n| &prepared[*n]).collect();
            for (n, output) in batch.into_iter().zip(self.engine.detect_batch(&inputs)?) {
                found[n] = Some(output);
            }
        }
        let detections = |output| Detections { output, class_names: Arc::clone(&self.class_names) };
        Ok(found.into_iter().flatten().map(detections).collect())
    }

    /// Where inference runs.
    #[must_use]
    pub fn device(&self) -> Device {
        self.engine.backend().device()
    }

    /// The numbers of its convolutions.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.engine.backend().precision()
    }

    /// Shape of the last input that went to ONNX Runtime, `[batch, 3, height, width]`; empty before the first.
    #[must_use]
    pub fn last_input_shape(&self) -> &[usize] {
        self.engine.backend().last_input_shape()
    }
}

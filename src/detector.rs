//! The library in one type: open a model, detect objects.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::Size;
use crate::config::{ConfigError, ModelConfig};
use crate::detect::{BoxXyxy, DetectError, DetectOutput, Detection, DetectorOptions, Engine, Prepared, Preset, Timing};
use crate::image::{Image, InputShape};
use crate::model::{ClassNames, Model, ModelError, ModelFile};
use crate::runtime::library::LibraryOptions;
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

impl From<ConfigError> for DetectorError {
    fn from(error: ConfigError) -> Self {
        Self::Model(error.into())
    }
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
    /// Opens a model file of any kind with default options: a checkpoint (`.pt`, `.safetensors`) that carries its
    /// configuration, or an exported `.onnx` file. ONNX Runtime is found, or fetched once.
    ///
    /// # Errors
    /// [`DetectorError`] names the file and what is wrong with it.
    pub fn open(weights: impl AsRef<Path>) -> Result<Self, DetectorError> {
        Self::builder(weights).build()
    }

    /// Options for a detector of that model file.
    #[must_use]
    pub fn builder(weights: impl AsRef<Path>) -> DetectorBuilder {
        DetectorBuilder {
            weights: weights.as_ref().to_path_buf(),
            config: None,
            class_names: None,
            input_size: None,
            shape: InputShape::Rectangular,
            preset: Preset::default(),
            confidence_threshold: None,
            iou_threshold: None,
            max_detections: None,
            class_agnostic: false,
            classes: None,
            session: SessionOptions::default(),
            library: LibraryOptions::default(),
        }
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
        let class_names = model.class_names().into();
        let backend = model.into_sessions(runtime, session, 1)?.remove(0);
        Ok(Self { engine: Engine::new(backend, options), class_names })
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
        let output = self.engine.detect(&image.pixels)?;
        Ok(Detections { output, class_names: Arc::clone(&self.class_names) })
    }

    /// As [`Detector::detect`], for several images. Those whose inputs have one size go through the network together,
    /// which is worth its memory on a GPU, and seldom on a CPU.
    ///
    /// # Errors
    /// As [`Detector::detect`].
    pub fn detect_batch(&mut self, images: &[Image]) -> Result<Vec<Detections>, DetectError> {
        let letterbox = self.engine.options().letterbox;
        let prepared: Vec<Prepared> = images.iter().map(|image| Prepared::new(&image.pixels, &letterbox)).collect();
        let mut found: Vec<Option<DetectOutput>> = images.iter().map(|_| None).collect();
        while let Some(first) = found.iter().position(Option::is_none) {
            let size = prepared[first].size();
            let alike = |n: &usize| found[*n].is_none() && prepared[*n].size() == size;
            let batch: Vec<usize> = (first..images.len()).filter(alike).collect();
            let inputs: Vec<&Prepared> = batch.iter().map(|n| &prepared[*n]).collect();
            for (n, output) in batch.into_iter().zip(self.engine.detect_batch(&inputs)?) {
                found[n] = Some(output);
            }
        }
        let detections = |output| Detections { output, class_names: Arc::clone(&self.class_names) };
        Ok(found.into_iter().flatten().map(detections).collect())
    }

    /// Shape of the last input that went to ONNX Runtime, `[batch, 3, height, width]`; empty before the first.
    #[must_use]
    pub fn last_input_shape(&self) -> &[usize] {
        self.engine.backend().last_input_shape()
    }
}

/// What was detected in an image, by falling confidence. Iterating over a reference gives each object with the name of
/// its class.
#[derive(Debug, Clone)]
pub struct Detections {
    output: DetectOutput,
    class_names: Arc<[String]>,
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

/// Options for a [`Detector`]. What is not set has the default of the official `detect.py`.
#[derive(Debug, Clone)]
pub struct DetectorBuilder {
    weights: PathBuf,
    config: Option<PathBuf>,
    class_names: Option<ClassNames>,
    input_size: Option<Size>,
    shape: InputShape,
    preset: Preset,
    confidence_threshold: Option<f32>,
    iou_threshold: Option<f32>,
    max_detections: Option<usize>,
    class_agnostic: bool,
    classes: Option<Vec<usize>>,
    session: SessionOptions,
    library: LibraryOptions,
}

impl DetectorBuilder {
    /// A YAML configuration, if not that of the checkpoint.
    #[must_use]
    pub fn config(mut self, path: impl AsRef<Path>) -> Self {
        self.config = Some(path.as_ref().to_path_buf());
        self
    }

    /// Class names by id, if not those of the file.
    #[must_use]
    pub fn class_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        self.class_names = Some(ClassNames { names, source: "given class names".into() });
        self
    }

    /// Size of the network's input; rounded up to multiples of the stride. Default: 640x640, or that of the export.
    #[must_use]
    pub fn input_size(mut self, size: Size) -> Self {
        self.input_size = Some(size);
        self
    }

    /// Whether images are padded to the whole input or to the smallest rectangle (the default).
    #[must_use]
    pub fn input_shape(mut self, shape: InputShape) -> Self {
        self.shape = shape;
        self
    }

    /// Defaults for the thresholds, and how boxes are rescaled.
    #[must_use]
    pub fn preset(mut self, preset: Preset) -> Self {
        self.preset = preset;
        self
    }

    /// Confidences must be above this, 0 to 1.
    #[must_use]
    pub fn confidence_threshold(mut self, threshold: f32) -> Self {
        self.confidence_threshold = Some(threshold);
        self
    }

    /// NMS IoU threshold, 0 to 1.
    #[must_use]
    pub fn iou_threshold(mut self, threshold: f32) -> Self {
        self.iou_threshold = Some(threshold);
        self
    }

    /// Maximum detections per image.
    #[must_use]
    pub fn max_detections(mut self, count: usize) -> Self {
        self.max_detections = Some(count);
        self
    }

    /// Whether boxes of different classes suppress each other.
    #[must_use]
    pub fn class_agnostic(mut self, agnostic: bool) -> Self {
        self.class_agnostic = agnostic;
        self
    }

    /// Only these class ids.
    #[must_use]
    pub fn classes(mut self, ids: impl IntoIterator<Item = usize>) -> Self {
        self.classes = Some(ids.into_iter().collect());
        self
    }

    /// Threads that inference may use. Default: all that the system grants.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.session.threads = threads;
        self
    }

    /// Where inference runs. Default: the CPU. What the device needs is fetched.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.session.device = device;
        self
    }

    /// The numbers of convolutions. Default: those of the model, f32 or int8 of a quantised file.
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.session.precision = Some(precision);
        self
    }

    /// All options of the session.
    #[must_use]
    pub fn session(mut self, options: SessionOptions) -> Self {
        self.session = options;
        self
    }

    /// The ONNX Runtime library to load, instead of the one that is found or fetched. One process has one library: the
    /// first detector decides.
    #[must_use]
    pub fn onnxruntime(mut self, path: impl AsRef<Path>) -> Self {
        self.library.path = Some(path.as_ref().to_path_buf());
        self
    }

    /// Whether ONNX Runtime may be fetched (not when true).
    #[must_use]
    pub fn offline(mut self, offline: bool) -> Self {
        self.library.offline = offline;
        self
    }

    /// Opens the model and loads ONNX Runtime.
    ///
    /// # Errors
    /// [`DetectorError`] names what is wrong.
    pub fn build(self) -> Result<Detector, DetectorError> {
        let config = self.config.as_deref().map(ModelConfig::from_file).transpose()?;
        let file = ModelFile::open(&self.weights).map_err(ModelError::from)?;
        let model = Model::new(&self.weights.display().to_string(), file, config.as_ref(), self.class_names)?;
        let letterbox = model.letterbox(self.input_size, self.shape, self.preset.box_rescaling())?;
        let mut postprocess = self.preset.postprocess();
        postprocess.confidence_threshold = self.confidence_threshold.unwrap_or(postprocess.confidence_threshold);
        postprocess.nms.iou_threshold = self.iou_threshold.unwrap_or(postprocess.nms.iou_threshold);
        postprocess.nms.max_detections = self.max_detections.unwrap_or(postprocess.nms.max_detections);
        postprocess.nms.class_agnostic = self.class_agnostic;
        postprocess.classes = self.classes;
        let package = self.session.device.package().unwrap_or(self.library.package);
        let runtime = Runtime::load(&self.library.package(package))?;
        Ok(Detector::from_model(model, DetectorOptions::new(letterbox, postprocess), &runtime, &self.session)?)
    }
}

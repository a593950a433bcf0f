//! Options for a detector.

use std::path::{Path, PathBuf};

use super::{Detector, DetectorError};
use crate::Size;
use crate::config::ModelConfig;
use crate::detect::{DetectorOptions, Preset};
use crate::image::InputShape;
use crate::model::{ClassNames, Model, ModelError, WeightsLocation, class_ids};
use crate::runtime::library::LibraryOptions;
use crate::runtime::{Device, Precision, Runtime, SessionOptions};
use crate::setters::setters;

/// Options for a [`Detector`]. What is not set has the default of the official `detect.py`.
#[derive(Debug, Clone)]
pub struct DetectorBuilder {
    weights: PathBuf,
    config: Option<PathBuf>,
    class_names: Option<ClassNames>,
    input_size: Option<Size>,
    input_shape: InputShape,
    preset: Preset,
    confidence_threshold: Option<f32>,
    iou_threshold: Option<f32>,
    max_detections: Option<usize>,
    class_agnostic: bool,
    classes: Option<Vec<String>>,
    session: SessionOptions,
    library: LibraryOptions,
}

setters!(DetectorBuilder {
    /// Size of the network's input; rounded up to multiples of the stride. Default: 640x640, or that of the export.
    input_size: Size,
    /// Whether images are padded to the whole input or to the smallest rectangle (the default).
    input_shape: InputShape,
    /// Defaults for the thresholds, and how boxes are rescaled.
    preset: Preset,
    /// Confidences must be above this, 0 to 1.
    confidence_threshold: f32,
    /// NMS IoU threshold, 0 to 1.
    iou_threshold: f32,
    /// Maximum detections per image.
    max_detections: usize,
    /// Whether boxes of different classes suppress each other.
    class_agnostic: bool,
    /// All options of the session.
    session: SessionOptions,
});

impl DetectorBuilder {
    pub(super) fn new(weights: &Path) -> Self {
        Self {
            weights: weights.to_path_buf(),
            config: None,
            class_names: None,
            input_size: None,
            input_shape: InputShape::Rectangular,
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

    /// Only these classes, by name (in any case) or id.
    #[must_use]
    pub fn classes(mut self, classes: impl IntoIterator<Item = impl ToString>) -> Self {
        self.classes = Some(classes.into_iter().map(|class| class.to_string()).collect());
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

    /// The ONNX Runtime library to load, instead of the one that is found or fetched. One process has one library: the
    /// first detector decides.
    #[must_use]
    pub fn onnxruntime(mut self, path: impl AsRef<Path>) -> Self {
        self.library.path = Some(path.as_ref().to_path_buf());
        self
    }

    /// Whether ONNX Runtime and released weights may be fetched (not when true).
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
        Ok(self.build_several(1)?.remove(0))
    }

    /// As [`DetectorBuilder::build`], that many detectors of one model: each can run on a thread of its own with the
    /// [`threads`](Self::threads) that were set, and has the weights in memory.
    ///
    /// # Errors
    /// As [`DetectorBuilder::build`].
    pub fn build_several(self, count: usize) -> Result<Vec<Detector>, DetectorError> {
        let config = self.config.as_deref().map(ModelConfig::from_file).transpose().map_err(ModelError::from)?;
        let file = WeightsLocation::find(&self.weights)?.open(self.library.offline)?;
        let model = Model::new(&self.weights.display().to_string(), file, config.as_ref(), self.class_names)?;
        let letterbox = model.letterbox(self.input_size, self.input_shape, self.preset.box_rescaling())?;
        let mut postprocess = self.preset.postprocess();
        postprocess.confidence_threshold = self.confidence_threshold.unwrap_or(postprocess.confidence_threshold);
        postprocess.nms.iou_threshold = self.iou_threshold.unwrap_or(postprocess.nms.iou_threshold);
        postprocess.nms.max_detections = self.max_detections.unwrap_or(postprocess.nms.max_detections);
        postprocess.nms.class_agnostic = self.class_agnostic;
        let classes = self.classes.as_deref().map(|wanted| class_ids(wanted, model.class_names())).transpose();
        postprocess.classes = classes.map_err(ModelError::from)?;
        let package = self.session.device.package().unwrap_or(self.library.package);
        let runtime = Runtime::load(&self.library.package(package))?;
        let options = DetectorOptions::new(letterbox, postprocess);
        Ok(Detector::several(model, &options, &runtime, &self.session, count)?)
    }
}

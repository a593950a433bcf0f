//! One model, used by any number of threads.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use yolo9::detect::{DetectError, Prepared, Preset};
use yolo9::image::{ImageError, InputShape};
use yolo9::runtime::{Device, Precision, SessionOptions};
use yolo9::{Detections, Size};

use crate::error::{exception, image_exception};
use crate::input::{Input, Source};

/// Keywords of `yolo9_rs.Detector`, all of them there.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Options {
    config: Option<PathBuf>,
    names: Option<Vec<String>>,
    /// Height and width.
    imgsz: Option<(usize, usize)>,
    square: bool,
    conf: Option<f32>,
    iou: Option<f32>,
    max_det: Option<usize>,
    agnostic: bool,
    /// By name or id.
    classes: Option<Vec<String>>,
    preset: String,
    device: String,
    precision: Option<String>,
    threads: Option<usize>,
    sessions: usize,
    onnxruntime: Option<PathBuf>,
    offline: bool,
}

/// What the command line allows.
const MAX_SIDE: usize = 16_384;
/// Each has a copy of the weights.
const MAX_SESSIONS: usize = 256;
const MAX_THREADS: usize = 1024;

/// Boxes `[N, 4]`, confidences, class ids; height and width of the image and of the network's input; seconds of the stages.
type Found<'py> = (
    Bound<'py, PyArray2<f32>>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray1<i64>>,
    (usize, usize),
    (usize, usize),
    (f64, f64, f64),
);

/// Why an image has no detections.
enum Failure {
    Image(ImageError),
    Inference(DetectError),
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

impl From<DetectError> for Failure {
    fn from(error: DetectError) -> Self {
        Self::Inference(error)
    }
}

/// Sessions of one model, of which a call takes one for as long as inference lasts.
#[pyclass(frozen, module = "yolo9_rs._native")]
#[derive(Debug)]
pub(crate) struct Detector {
    free: Mutex<Vec<yolo9::Detector>>,
    returned: Condvar,
    /// What does not need a session.
    about: About,
}

#[derive(Debug)]
struct About {
    letterbox: yolo9::image::LetterboxOptions,
    class_names: Vec<String>,
    device: Device,
    precision: Precision,
    sessions: usize,
    /// In which it was opened.
    process: u32,
}

impl Drop for Detector {
    /// In a fork the threads of ONNX Runtime are gone, and ending them would wait for them: there nothing is given back.
    fn drop(&mut self) {
        if std::process::id() != self.about.process {
            std::mem::forget(std::mem::take(self.free.get_mut().unwrap_or_else(PoisonError::into_inner)));
        }
    }
}

/// A session that goes back where it was taken from, whatever happens.
struct Taken<'a> {
    detector: Option<yolo9::Detector>,
    pool: &'a Detector,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.pool.free.lock().unwrap_or_else(PoisonError::into_inner).extend(self.detector.take());
        self.pool.returned.notify_one();
    }
}

impl Detector {
    fn take(&self) -> Taken<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.returned.wait_while(free, |free| free.is_empty()).unwrap_or_else(PoisonError::into_inner);
        Taken { detector: free.pop(), pool: self }
    }

    fn run<T>(&self, action: impl FnOnce(&mut yolo9::Detector) -> T) -> T {
        let mut taken = self.take();
        action(taken.detector.as_mut().expect("there until it is dropped"))
    }

    fn prepare(&self, source: Source<'_>) -> Result<Prepared, ImageError> {
        Ok(Prepared::new(source.decode()?.pixels(), &self.about.letterbox))
    }

    /// Threads of ONNX Runtime do not survive a fork: the copy would wait for them for ever.
    fn check_process(&self) -> PyResult<()> {
        let here = std::process::id();
        if here == self.about.process {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(format!(
            "this detector was opened in process {}, of which process {here} is a fork, where it cannot run; open one in \
             each process, or start them with multiprocessing's method \"spawn\"",
            self.about.process
        )))
    }
}

#[pymethods]
impl Detector {
    #[new]
    fn new(py: Python<'_>, weights: PathBuf, options: Options) -> PyResult<Self> {
        py.detach(|| open(&weights, options))
    }

    fn detect<'py>(&self, py: Python<'py>, image: Input<'py>) -> PyResult<Found<'py>> {
        self.check_process()?;
        let source = image.source()?;
        let detections = py.detach(|| -> Result<_, Failure> {
            let prepared = self.prepare(source)?;
            Ok(self.run(|detector| detector.detect_prepared(&prepared))?)
        });
        detections.map_err(|failure| failure.exception(&source)).and_then(|detections| found(py, &detections))
    }

    /// In one run for each size of input.
    fn detect_batch<'py>(&self, py: Python<'py>, images: Vec<Input<'py>>) -> PyResult<Vec<Found<'py>>> {
        self.check_process()?;
        let sources = images.iter().map(Input::source).collect::<PyResult<Vec<_>>>()?;
        let prepared = py.detach(|| self.prepare_all(&sources));
        let each = prepared.into_iter().zip(&sources);
        let prepared = each.map(|(prepared, source)| prepared.map_err(|error| source.exception(&error)));
        let prepared = prepared.collect::<PyResult<Vec<_>>>()?;
        let all = py.detach(|| self.run(|detector| detector.detect_all_prepared(&prepared)));
        all.map_err(|error| image_exception(None, &error))?.iter().map(|detections| found(py, detections)).collect()
    }

    #[getter]
    fn names(&self) -> Vec<String> {
        self.about.class_names.clone()
    }

    /// Height and width.
    #[getter]
    fn imgsz(&self) -> (usize, usize) {
        let Size { width, height } = self.about.letterbox.target;
        (height, width)
    }

    #[getter]
    fn device(&self) -> String {
        self.about.device.to_string()
    }

    #[getter]
    fn precision(&self) -> String {
        self.about.precision.to_string()
    }

    #[getter]
    fn sessions(&self) -> usize {
        self.about.sessions
    }
}

impl Detector {
    /// On as many threads as the system grants.
    fn prepare_all(&self, sources: &[Source<'_>]) -> Vec<Result<Prepared, ImageError>> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let share = sources.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let of_share = |part: &[Source<'_>]| part.iter().map(|source| self.prepare(*source)).collect::<Vec<_>>();
            let parts: Vec<_> = sources.chunks(share).map(|part| scope.spawn(move || of_share(part))).collect();
            parts.into_iter().flat_map(|part| part.join().expect("decoding does not panic")).collect()
        })
    }
}

impl Failure {
    fn exception(&self, source: &Source<'_>) -> PyErr {
        match self {
            Failure::Image(error) => source.exception(error),
            Failure::Inference(error) => image_exception(source.name().as_deref(), error),
        }
    }
}

fn found<'py>(py: Python<'py>, detections: &Detections) -> PyResult<Found<'py>> {
    let all = detections.as_slice();
    let corners = |bbox: &yolo9::detect::BoxXyxy| [bbox.x1, bbox.y1, bbox.x2, bbox.y2];
    let boxes: Vec<f32> = all.iter().flat_map(|detection| corners(&detection.bbox)).collect();
    let confidences: Vec<f32> = all.iter().map(|detection| detection.confidence).collect();
    let classes: Vec<i64> = all.iter().map(|detection| detection.class as i64).collect();
    let sides = |size: Size| (size.height, size.width);
    let timing = detections.timing();
    let [preprocess, inference, postprocess] =
        [timing.preprocess, timing.inference, timing.postprocess].map(|stage| Duration::as_secs_f64(&stage));
    Ok((
        boxes.into_pyarray(py).reshape([all.len(), 4])?,
        confidences.into_pyarray(py),
        classes.into_pyarray(py),
        sides(detections.image_size()),
        sides(detections.input_size()),
        (preprocess, inference, postprocess),
    ))
}

/// A device by name; `auto` is what this machine seems to have.
pub(crate) fn device(name: &str, precision: Option<Precision>) -> PyResult<Device> {
    if name.eq_ignore_ascii_case("auto") {
        return Ok(Device::likely(precision.unwrap_or_default()));
    }
    name.parse().map_err(|error| PyValueError::new_err(format!("device: {error}, or auto")))
}

/// A precision by name.
pub(crate) fn precision(name: &str) -> PyResult<Precision> {
    let known = Precision::ALL.into_iter().find(|precision| precision.to_string() == name);
    known.ok_or_else(|| PyValueError::new_err(format!("precision: `{name}`; expected f32, bf16, f16 or int8")))
}

fn bounded<T: PartialOrd + std::fmt::Display>(name: &str, value: T, least: T, most: T) -> PyResult<T> {
    if value >= least && value <= most {
        return Ok(value);
    }
    Err(PyValueError::new_err(format!("{name}: {value}; expected {least} to {most}")))
}

fn open(weights: &std::path::Path, options: Options) -> PyResult<Detector> {
    let preset = match options.preset.as_str() {
        "yolov9" => Preset::Yolov9,
        "ultralytics" => Preset::Ultralytics,
        other => return Err(PyValueError::new_err(format!("preset: `{other}`; expected yolov9 or ultralytics"))),
    };
    let precision = options.precision.as_deref().map(precision).transpose()?;
    let mut session = SessionOptions::default();
    session.device = device(&options.device, precision)?;
    session.fallback = options.device.eq_ignore_ascii_case("auto");
    session.precision = precision;
    let sessions = bounded("sessions", options.sessions, 1, MAX_SESSIONS)?;
    let threads = bounded("threads", options.threads.unwrap_or(session.threads), 1, MAX_THREADS)?;
    session.threads = (threads / sessions).max(1);
    // Threads that spin take the core from those of other sessions.
    session.spinning = sessions == 1;

    let shape = if options.square { InputShape::Square } else { InputShape::Rectangular };
    let mut builder = yolo9::Detector::builder(weights)
        .preset(preset)
        .input_shape(shape)
        .class_agnostic(options.agnostic)
        .offline(options.offline)
        .session(session);
    if let Some(config) = options.config {
        builder = builder.config(config);
    }
    if let Some(names) = options.names {
        builder = builder.class_names(names);
    }
    if let Some((height, width)) = options.imgsz {
        let side = |side| bounded("imgsz", side, 1, MAX_SIDE);
        builder = builder.input_size(Size::new(side(width)?, side(height)?));
    }
    if let Some(conf) = options.conf {
        builder = builder.confidence_threshold(bounded("conf", conf, 0.0, 1.0)?);
    }
    if let Some(iou) = options.iou {
        builder = builder.iou_threshold(bounded("iou", iou, 0.0, 1.0)?);
    }
    if let Some(max_det) = options.max_det {
        builder = builder.max_detections(bounded("max_det", max_det, 1, usize::MAX)?);
    }
    if let Some(classes) = options.classes {
        builder = builder.classes(classes);
    }
    if let Some(path) = options.onnxruntime {
        builder = builder.onnxruntime(path);
    }
    let detectors = builder.build_several(sessions).map_err(|error| exception(&error))?;
    let about = About {
        letterbox: detectors[0].options().letterbox,
        class_names: detectors[0].class_names().to_vec(),
        device: detectors[0].device(),
        precision: detectors[0].precision(),
        sessions,
        process: std::process::id(),
    };
    Ok(Detector { free: Mutex::new(detectors), returned: Condvar::new(), about })
}

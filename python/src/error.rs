//! Errors of the library as exceptions of the package, by kind.

use std::error::Error;

use pyo3::PyErr;
use yolo9::config::ConfigError;
use yolo9::model::ModelError;
use yolo9::onnx::OnnxProblem;
use yolo9::runtime::RuntimeError;
use yolo9::{DetectorError, ErrorKind};

/// The classes of `yolo9_rs/_errors.py`.
mod exceptions {
    use pyo3::import_exception;

    import_exception!(yolo9_rs._errors, CheckpointError);
    import_exception!(yolo9_rs._errors, ConfigError);
    import_exception!(yolo9_rs._errors, DatasetError);
    import_exception!(yolo9_rs._errors, DeviceError);
    import_exception!(yolo9_rs._errors, DownloadError);
    import_exception!(yolo9_rs._errors, ImageError);
    import_exception!(yolo9_rs._errors, ModelError);
    import_exception!(yolo9_rs._errors, OnnxRuntimeError);
    import_exception!(yolo9_rs._errors, WeightsError);
    import_exception!(yolo9_rs._errors, Yolo9Error);
}

/// The exception for an error, with what a caller can do about it.
pub(crate) fn exception(error: &(dyn Error + 'static)) -> PyErr {
    let remedy = remedy(error).map(|remedy| format!("; {remedy}")).unwrap_or_default();
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        // Some messages have their cause in them.
        if !message.ends_with(&reason) {
            message = format!("{message}: {reason}");
        }
        cause = error.source();
    }
    of_kind(ErrorKind::of(error), format!("{message}{remedy}"))
}

/// The exception for something that could not be done with an image, which is called `name`.
pub(crate) fn image_exception(name: Option<&str>, error: &(dyn Error + 'static)) -> PyErr {
    let name = name.map(|name| format!("{name}: ")).unwrap_or_default();
    of_kind(ErrorKind::of(error), format!("{name}{error}"))
}

fn of_kind(kind: ErrorKind, message: String) -> PyErr {
    match kind {
        ErrorKind::Checkpoint => exceptions::CheckpointError::new_err(message),
        ErrorKind::Config => exceptions::ConfigError::new_err(message),
        ErrorKind::Weights => exceptions::WeightsError::new_err(message),
        ErrorKind::Model => exceptions::ModelError::new_err(message),
        ErrorKind::Image => exceptions::ImageError::new_err(message),
        ErrorKind::Device => exceptions::DeviceError::new_err(message),
        ErrorKind::Runtime => exceptions::OnnxRuntimeError::new_err(message),
        ErrorKind::Download => exceptions::DownloadError::new_err(message),
        ErrorKind::Dataset => exceptions::DatasetError::new_err(message),
        _ => exceptions::Yolo9Error::new_err(message),
    }
}

fn remedy(error: &(dyn Error + 'static)) -> Option<&'static str> {
    match error.downcast_ref::<DetectorError>()? {
        DetectorError::Model(error) => match error {
            ModelError::Unknown { nearest: None, .. } => Some("`yolo9 models` lists the released ones"),
            ModelError::NoConfig { .. } => {
                Some("name its config with config= (`yolo9 configs` lists the built-in ones)")
            }
            ModelError::Exported(error) if matches!(error.problem, OnnxProblem::Classes) => {
                Some("give their names with names=")
            }
            ModelError::ConfigOfExported { .. } => Some("leave out config="),
            ModelError::InputSize { .. } => Some("leave out imgsz="),
            ModelError::Names { .. } => Some("correct names="),
            ModelError::Config(ConfigError::UnknownModule { nearest: None, .. }) => {
                Some("`yolo9 configs --modules` lists the known ones")
            }
            _ => None,
        },
        DetectorError::Runtime(error) => match error {
            RuntimeError::Offline { .. } => {
                Some("`pip install onnxruntime`, or give the path of the library with onnxruntime=")
            }
            RuntimeError::Device { .. } => Some("take another device= (`yolo9 doctor` lists what works here)"),
            RuntimeError::NotQuantised { .. } => {
                Some("yolo9_rs.quantize makes a file of it that was; leave out precision=")
            }
            RuntimeError::FixedPrecision { .. } => Some("leave out precision="),
            _ => None,
        },
        _ => None,
    }
}

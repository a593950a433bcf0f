//! What an error is about, for those who handle kinds of errors and not messages: exceptions of other languages, fields of
//! log lines.

use std::error::Error;

use crate::architecture::ArchitectureError;
use crate::checkpoint::CheckpointError;
use crate::config::ConfigError;
use crate::detect::DetectError;
use crate::detector::DetectorError;
use crate::evaluate::DatasetError;
use crate::image::ImageError;
use crate::model::ModelError;
use crate::onnx::OnnxFileError;
use crate::runtime::RuntimeError;
use crate::weights::WeightsError;

/// What an error is about; in small letters where it is written, as log lines have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file of weights cannot be read.
    Checkpoint,
    /// A configuration is wrong, or missing.
    Config,
    /// Weights do not fit their network.
    Weights,
    /// Something else about a model: an exported file, its names, its input.
    Model,
    /// An image cannot be read.
    Image,
    /// A device cannot be used, or not in that precision.
    Device,
    /// ONNX Runtime cannot be had, or failed.
    Runtime,
    /// Released weights cannot be had.
    Download,
    /// A labelled dataset cannot be read.
    Dataset,
    /// None of these.
    Other,
}

impl ErrorKind {
    /// Of an error, or of the first of its sources that is an error of this library.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(kind) = of_one(error) {
                return kind;
            }
            cause = error.source();
        }
        Self::Other
    }
}

/// Errors that pass on others as they are do not have them as sources: those are looked into here.
fn of_one(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    let of_detector = |error: &DetectorError| match error {
        DetectorError::Model(error) => of_model(error),
        DetectorError::Runtime(error) => of_runtime(error),
    };
    let found = error.downcast_ref().map(of_detector).or_else(|| error.downcast_ref().map(of_model));
    if let Some(kind) = found.or_else(|| error.downcast_ref().map(of_runtime)) {
        return Some(kind);
    }
    let kinds = [
        #[cfg(feature = "download")]
        (error.is::<crate::hub::HubError>(), ErrorKind::Download),
        (error.is::<CheckpointError>(), ErrorKind::Checkpoint),
        (error.is::<ConfigError>() || error.is::<ArchitectureError>(), ErrorKind::Config),
        (error.is::<WeightsError>(), ErrorKind::Weights),
        (error.is::<OnnxFileError>(), ErrorKind::Model),
        (error.is::<ImageError>(), ErrorKind::Image),
        (error.is::<DetectError>(), ErrorKind::Runtime),
        (error.is::<DatasetError>(), ErrorKind::Dataset),
    ];
    kinds.into_iter().find_map(|(is, kind)| is.then_some(kind))
}

fn of_model(error: &ModelError) -> ErrorKind {
    match error {
        ModelError::Unknown { .. } | ModelError::Checkpoint(_) => ErrorKind::Checkpoint,
        ModelError::NoConfig { .. } | ModelError::Config(_) => ErrorKind::Config,
        ModelError::Weights(_) => ErrorKind::Weights,
        #[cfg(feature = "download")]
        ModelError::Release(_) => ErrorKind::Download,
        ModelError::Exported(_)
        | ModelError::Class(_)
        | ModelError::Names { .. }
        | ModelError::ConfigOfExported { .. }
        | ModelError::InputSize { .. } => ErrorKind::Model,
    }
}

fn of_runtime(error: &RuntimeError) -> ErrorKind {
    match error {
        RuntimeError::Device { .. } | RuntimeError::NotQuantised { .. } | RuntimeError::FixedPrecision { .. } => {
            ErrorKind::Device
        }
        _ => ErrorKind::Runtime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Detector;

    #[test]
    fn errors_know_what_they_are_about() {
        let error = Detector::open("nothing.pt").unwrap_err();
        assert_eq!(ErrorKind::of(&error), ErrorKind::Checkpoint);
        let error = Detector::builder("codes-dysample").config("nothing.yaml").build().unwrap_err();
        assert_eq!(ErrorKind::of(&error), ErrorKind::Config);
        assert_eq!(ErrorKind::of(&ImageError::Empty), ErrorKind::Image);
        assert_eq!(ErrorKind::of(&std::fmt::Error), ErrorKind::Other);
    }
}

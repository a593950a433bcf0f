//! Ways in which running a model can fail.

use std::path::PathBuf;

use thiserror::Error;

use super::device::{Device, DeviceProblem, Precision};
use super::library::{MIN_MINOR, file_name};
use crate::cache::NoCacheFolder;

/// Why ONNX Runtime cannot be had, or failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// A library that the user named does not work.
    #[error("ONNX Runtime library {path} (from {origin}) cannot be used: {reason}")]
    Named {
        /// The file.
        path: PathBuf,
        /// The flag or variable that named it.
        origin: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No usable library, and fetching is forbidden.
    #[error(
        "no ONNX Runtime library found ({package}), and fetching is switched off; looked {looked} for {file} \
         1.{MIN_MINOR} or later",
        file = file_name()
    )]
    Offline {
        /// The package that has what is needed.
        package: &'static str,
        /// Where it was looked for, with what was wrong there.
        looked: String,
    },
    /// Fetching failed.
    #[error("{package} {version} could not be fetched: {reason}")]
    Fetch {
        /// The package.
        package: &'static str,
        /// Its pinned version.
        version: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// There is no cache folder.
    #[error(transparent)]
    NoCache(#[from] NoCacheFolder),
    /// A file of the cache folder cannot be written or read.
    #[error("cache folder {path}: {reason}; make it writable, or choose another one with YOLO9_CACHE")]
    Cache {
        /// The folder or file.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// A device cannot be used.
    #[error("device {device} cannot be used: {problem}")]
    Device {
        /// The device.
        device: Device,
        /// Why.
        problem: DeviceProblem,
    },
    /// int8 of a network that was not quantised.
    #[error("{model} cannot be run in int8: it was not quantised")]
    NotQuantised {
        /// The network, or its file.
        model: String,
        /// Whether it is an ONNX file.
        exported: bool,
    },
    /// The network is in a file that has other numbers.
    #[error("{model} cannot be run in {asked}: the file fixes its numbers, which are {own}")]
    FixedPrecision {
        /// The file.
        model: String,
        /// What it has.
        own: Precision,
        /// What was asked for.
        asked: Precision,
    },
    /// ONNX Runtime does not accept the model.
    #[error("ONNX Runtime does not accept the model {model}: {reason}")]
    Load {
        /// The model's name.
        model: String,
        /// Its message.
        reason: String,
    },
    /// ONNX Runtime failed while running.
    #[error("ONNX Runtime failed on inputs of shape {shapes:?}: {reason}")]
    Run {
        /// Shapes of the inputs.
        shapes: Vec<Vec<usize>>,
        /// Its message.
        reason: String,
    },
    /// The times of nodes cannot be had.
    #[error("ONNX Runtime gives no profile: {0}")]
    Profile(String),
    /// A graph does not give what it should.
    #[error("output {name} of the graph: {reason}")]
    Output {
        /// The output.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

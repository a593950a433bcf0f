//! Runs networks on ONNX Runtime, which no other module names.
//!
//! The library itself is found or fetched by [`library`] and loaded once per process by [`Runtime`]; [`OrtBackend`] is a
//! network in a session, on a [`Device`].

mod assignment;
mod backend;
mod device;
mod environment;
mod error;
pub mod library;
mod operator;
mod outputs;
pub mod processor;
mod profile;
mod providers;
mod session;

pub use backend::OrtBackend;
pub use device::{Device, DeviceParseError, DeviceProblem, OpenVinoPart, Precision};
pub use environment::Runtime;
pub use error::RuntimeError;
pub use profile::{NodeTime, read_profile};
pub use session::{DySampleBackend, OrtSession, SessionOptions, SessionOutputs};

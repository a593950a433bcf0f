//! YOLOv9 detection without Python.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap fails the test"))]

pub mod architecture;
pub mod checkpoint;
pub mod config;
pub mod detect;
pub mod dysample;
pub mod embedded;
pub mod graph;
mod network;
pub mod onnx;
pub mod output;
pub mod picture;
pub mod runtime;
mod size;
pub mod weights;

pub use network::{Network, NetworkError};
pub use size::Size;

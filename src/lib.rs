//! YOLOv9 detection without Python.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod architecture;
pub mod config;
pub mod dysample;
pub mod onnx;
mod size;

pub use size::Size;

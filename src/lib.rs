//! YOLOv9 detection without Python: YAML configs and PyTorch checkpoints in, boxes out, on ONNX Runtime.
//!
//! ```text
//!  YAML ─► config ─► architecture ─┐
//!                                  ├─► weights ─► graph ─► runtime ─► detect ─► output, evaluate, compare
//!  .pt ──► checkpoint ─────────────┘   (fused)    (ONNX)   (ORT)        │
//!  .onnx ► onnx::OnnxFile ────────────────────────────────►─┘           │
//!  image ► picture ─────────────────────────────────────────────────────┘
//! ```
//!
//! [`Network::assemble`] is everything up to the graph; [`runtime::OrtModel`] runs it; [`detect::Detector`] finds objects
//! in pictures.
//!
//! ```no_run
//! use yolo9::detect::{Detector, Preset, Settings};
//! use yolo9::picture::{ImageLimits, Fit, InputShape, Picture};
//! use yolo9::runtime::library::LibraryOptions;
//! use yolo9::runtime::{OrtModel, Runtime, SessionOptions};
//! use yolo9::{Network, Size, checkpoint::Checkpoint};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network = Network::assemble(&Checkpoint::open("best.pt".as_ref())?, None)?;
//! let preset = Preset::Yolov9;
//! let stride = network.architecture.stride();
//! let fit = Fit::new(Size::square(640), stride, InputShape::Rectangular, preset.scale_back());
//! let settings = Settings { fit, thresholds: preset.thresholds() };
//!
//! let runtime = Runtime::load(&LibraryOptions::default())?;
//! let model = OrtModel::new(&runtime, network.onnx, &SessionOptions::default())?;
//! let picture = Picture::open("img.jpg".as_ref(), &ImageLimits::default())?;
//! for found in Detector::new(model, settings).detect(&picture.pixels)?.detections {
//!     println!("{} {:.2} {:?}", network.class_names[found.class], found.score, found.bbox);
//! }
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap fails the test"))]

pub mod architecture;
mod cache;
pub mod checkpoint;
pub mod compare;
pub mod config;
pub mod detect;
pub mod dysample;
pub mod embedded;
pub mod evaluate;
pub mod graph;
#[cfg(feature = "download")]
pub mod hub;
mod network;
pub mod onnx;
pub mod output;
pub mod picture;
pub mod runtime;
mod size;
pub mod untrusted;
pub mod weights;

pub use cache::{NoCacheFolder, cache_folder, hexadecimal, offline_by_variable};
pub use network::{ModelFile, ModelFileError, Network, NetworkError, config_of, placeholder_names};
pub use size::Size;

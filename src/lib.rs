//! YOLOv9 detection without Python: YAML configs and PyTorch checkpoints in, boxes out, on ONNX Runtime.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut detector = yolo9::Detector::open("best.pt")?;
//! for d in &detector.detect(&yolo9::Image::open("img.jpg")?)? {
//!     println!("{} {:.2} {:?}", d.class_name, d.confidence, d.bbox);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Detector::builder`] has the rest: another config, class names, input size, thresholds, threads. Behind it stand the
//! stages, each public for those who need one alone:
//!
//! ```text
//!  YAML ─► config ─► architecture ─┐
//!                                  ├─► weights ─► graph ─► model ─► runtime ─► detect ─► output, evaluate, compare
//!  .pt ──► checkpoint ─────────────┘   (fused)    (ONNX)    │       (ORT)        │
//!  .onnx ► onnx::OnnxFile ──────────────────────────────►───┘                    │
//!  image ► image (letterbox, tensor) ────────────────────────────────────────────┘
//! ```
//!
//! | feature | what it adds |
//! |---|---|
//! | `draw` | boxes on images, crops, galleries, plots ([`output`]) |
//! | `download` | released weights by name (`hub`) |
//! | `train` | training (`train`) |
//! | `cli` | the program `yolo9`; includes `draw` and `download` |
//!
//! None of them is needed to detect.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap fails the test"))]

pub mod architecture;
mod cache;
pub mod checkpoint;
pub mod compare;
pub mod config;
pub mod detect;
mod detector;
pub mod dysample;
pub mod embedded;
mod error_kind;
pub mod evaluate;
pub mod graph;
#[cfg(feature = "download")]
pub mod hub;
pub mod image;
pub mod model;
pub mod onnx;
pub mod output;
pub mod quantise;
pub mod runtime;
mod setters;
mod size;
#[cfg(feature = "train")]
pub mod train;
pub mod untrusted;
pub mod weights;

pub use cache::{NoCacheFolder, cache_folder, hexadecimal, offline_by_variable};
pub use detector::{DetectedObject, Detections, Detector, DetectorBuilder, DetectorError};
pub use error_kind::ErrorKind;
pub use image::Image;
pub use model::Model;
pub use size::Size;

//! From an image to detections in pixels of it.
//!
//! [`Engine`] puts letterbox, network, decoding, NMS and box rescaling together. The network is whatever implements
//! [`Backend`]; [`decode()`] computes boxes for the anchor points above the confidence threshold alone; [`nms()`] removes
//! duplicates.

mod backend;
mod bbox;
mod decode;
mod engine;
mod nms;
mod options;

pub use backend::{Backend, BackendError, HeadOutput, LevelOutput};
pub use bbox::BoxXyxy;
pub(crate) use bbox::best_pairs;
pub use decode::{decode, decode_anchor};
pub use engine::{DetectError, DetectOutput, Engine, Prepared, Timing};
pub use nms::nms;
pub use options::{DetectorOptions, NmsOptions, PostprocessOptions, Preset};

/// One detected object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// In pixels of the image, clipped to it; before box rescaling, of the network's input.
    pub bbox: BoxXyxy,
    /// Class id.
    pub class: usize,
    /// Probability of the class, 0 to 1.
    pub confidence: f32,
}

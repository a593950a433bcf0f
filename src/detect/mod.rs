//! From raw head maps to detections in pixels of the picture.
//!
//! [`decode()`] finds the cells above the threshold and computes boxes for them alone; [`suppress`] removes duplicates;
//! [`Detector`] puts letterbox, model, decoding, suppression and the way back together.

mod bbox;
mod decode;
mod detector;
mod nms;
mod settings;

pub use bbox::BoxXyxy;
pub use decode::{Candidate, decode, decode_all, decode_cell};
pub use detector::{DetectError, Detector, Found, Prepared, Timing};
pub use nms::suppress;
pub use settings::{Preset, Settings, Thresholds};

/// One detected object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// In pixels of the picture, clipped to it.
    pub bbox: BoxXyxy,
    /// Class id.
    pub class: usize,
    /// Confidence, 0 to 1.
    pub score: f32,
}

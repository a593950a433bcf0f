//! Pictures: decoding, letterboxing and its inverse, and the tensor that a network reads.

mod decode;
mod letterbox;
mod tensor;

pub use decode::{DEFAULT_MAX_PIXELS, EXTENSIONS, Picture, PictureError};
pub use letterbox::{Fit, InputShape, Letterbox, ScaleBack};
pub use tensor::to_tensor;

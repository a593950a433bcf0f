//! Pictures: decoding, letterboxing and its inverse, and the tensor that a network reads.

mod decode;
mod letterbox;
mod resize;
mod tensor;

pub use decode::{DEFAULT_MAX_PIXELS, EXTENSIONS, Picture, PictureError};
pub use letterbox::{Fit, InputShape, Letterbox, ScaleBack};
pub use resize::resize_bilinear;
pub use tensor::to_tensor;

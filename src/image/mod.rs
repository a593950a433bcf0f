//! Images: decoding, letterboxing and its inverse, and the tensor that a network reads.

mod decode;
mod jpeg;
mod letterbox;
mod limits;
mod resize;
mod tensor;

pub use decode::{EXTENSIONS, Image, ImageError, Undecoded};
pub use letterbox::{BoxRescaling, InputShape, Letterbox, LetterboxOptions};
pub use limits::ImageLimits;
pub use resize::resize_bilinear;
pub use tensor::to_tensor;

//! Images: decoding, letterboxing and its inverse, and the tensor that a network reads.

mod area;
mod decode;
mod jpeg;
mod letterbox;
mod limits;
mod loader;
mod pixels;
mod resize;
mod tensor;

pub use area::resize_area;
pub use decode::{EXTENSIONS, Image, ImageError, Undecoded, is_image_name};
pub use letterbox::{BoxRescaling, InputShape, Letterbox, LetterboxOptions};
pub use limits::ImageLimits;
pub use loader::Preset;
pub use pixels::Pixels;
pub use resize::{Resampling, resize_bilinear};
pub use tensor::to_tensor;

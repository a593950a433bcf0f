//! DySample: upsampling by sampling the low-resolution map at learned positions.
//!
//! Liu, Lu, Fu, Cao: *Learning to Upsample by Learning to Sample*, ICCV 2023 (arXiv 2308.15085).
//!
//! With scale `s`, `g` groups and an input `x` of `[N, C, H, W]`, the module predicts for every output pixel and group
//! an offset from the input by a 1x1 convolution and samples `x` there bilinearly, clamped to the map. [`Definition`]
//! holds what a YAML row says; [`offset_kernels`] folds the module's parameters so that one convolution gives the
//! offsets in pixels of the low-resolution map; [`onnx_function`] states the sampling itself in standard ONNX
//! operators as the body of the node `yolo9:DySample(x, offset; scale, groups)`.

mod definition;
mod function;
mod offsets;

pub use definition::{Definition, Style};
pub use function::{DOMAIN, NAME, onnx_function};
pub use offsets::{OffsetKernels, OffsetParameters, init_pos, offset_kernels};

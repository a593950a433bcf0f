//! DySample: upsampling by sampling the low-resolution map at learned positions.
//!
//! Liu, Lu, Fu, Cao: *Learning to Upsample by Learning to Sample*, ICCV 2023 (arXiv 2308.15085).
//!
//! Let `x` be the input of `C` channels and `H×W` positions, `s` the scale, and `g` the number of groups that the channels
//! are divided into. For each group `k`, position `(h, w)` and output pixel `(i, j)` of the `s×s` that replace it,
//! the module predicts an offset, and samples all channels of the group there:
//!
//! ```text
//! offset[k,i,j](h,w)     = 0.25 · linear(x)[k,i,j](h,w) + init[i,j]                          without dyscope
//! offset[k,i,j](h,w)     = 0.5 · sigmoid(scope(x)) · linear(x) [k,i,j](h,w) + init[i,j]      with dyscope
//! init[i,j]              = ((j, i) - (s-1)/2) / s                                            bilinear upsampling
//! y[c](s·h + i, s·w + j) = x[c] at (column w, row h) + offset[k,i,j](h,w)                    c in group k
//! ```
//!
//! where "at" is bilinear interpolation between the centres of positions, clamped to the map. Style `lp` predicts the
//! offsets of all positions by a 1x1 convolution of `x`; style `pl` shuffles `x` to the high resolution first (`C/s²`
//! channels), and predicts one offset per pixel there.
//!
//! | here | what |
//! |---|---|
//! | [`Definition`] | what a layer of a YAML config says |
//! | [`offset_kernels`] | the module's parameters folded, so that one convolution gives `offset`, for both styles |
//! | [`mod@reference`] | the sampling step, specified: scalar and slow |
//! | [`upsample()`], [`Upsampling`] | the sampling step, fast: the kernels of [`Kernel`] give the bits of the reference |
//! | [`onnx_function`], [`inlined`] | the sampling step for other runtimes, in standard ONNX operators |
//! | [`lift()`] | parameters with which the module does what nearest or bilinear upsampling does |

mod definition;
mod function;
mod geometry;
mod lift;
mod offsets;
pub mod reference;
mod simd;
mod upsample;

pub use definition::{Definition, DySampleStyle};
pub use function::{DOMAIN, NAME, inlined, onnx_function};
pub use geometry::{Geometry, GeometryError};
pub use lift::{Lift, lift};
pub use offsets::{OffsetKernels, OffsetParameters, init_pos, offset_kernels};
pub use simd::Kernel;
pub use upsample::{ScratchPool, Tensors, Upsampling, upsample};

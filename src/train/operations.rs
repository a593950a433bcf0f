//! Each primitive operation on tensors that record gradients: the third reading of the steps, beside shapes and the ONNX
//! graph.

use burn_tensor::module::{conv2d, interpolate, max_pool2d};
use burn_tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions, MaxPoolOptions};
use burn_tensor::{Tensor, TensorData};

use super::kernels::{self, sample};
use crate::architecture::{Convolution, Interpolation};
use crate::dysample::{Definition, DySampleStyle, init_pos};

pub(super) fn convolve(
    x: Tensor<4>,
    convolution: &Convolution,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
) -> Tensor<4> {
    let y = kernels::convolve(x, weight, convolution);
    match bias {
        Some(bias) => y + bias.reshape([1, convolution.output, 1, 1]),
        None => y,
    }
}

pub(super) fn max_pool(x: Tensor<4>, kernel: usize, stride: usize, padding: usize) -> Tensor<4> {
    max_pool2d(x, MaxPoolOptions::new([kernel; 2]).with_stride([stride; 2]).with_padding([padding; 2]))
}

pub(super) fn resize(x: Tensor<4>, size: [usize; 2], interpolation: Interpolation) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    if [height, width] == size {
        return x;
    }
    let mode = match interpolation {
        Interpolation::Nearest => InterpolateMode::Nearest,
        Interpolation::Bilinear => InterpolateMode::Bilinear,
    };
    interpolate(x, InterpolateOptions::new(mode).with_align_corners(false).with_output_size(size))
}

/// Every map resized (nearest) to the size of the last, then summed.
pub(super) fn fuse_nearest(mut maps: Vec<Tensor<4>>) -> Tensor<4> {
    let target = maps.pop().expect("a CBFuse has a target");
    let [_, _, height, width] = target.dims();
    maps.into_iter().map(|map| resize(map, [height, width], Interpolation::Nearest)).fold(target, |sum, map| sum + map)
}

/// Parameters of a DySample module as tensors.
#[derive(Debug, Clone)]
pub struct OffsetTensors {
    /// Of the offset convolution.
    pub weight: Tensor<4>,
    /// Of the offset convolution.
    pub bias: Tensor<1>,
    /// Of the scope convolution; its bias, where the module has one.
    pub scope: Option<(Tensor<4>, Option<Tensor<1>>)>,
}

/// The formulas of [`crate::dysample`], with constants and shuffles left in their places so that gradients reach the stored
/// parameters: `x` `[N, C, H, W]` to `[N, C, scale·H, scale·W]`.
///
/// # Panics
/// If the shapes are not those of the definition.
#[must_use]
pub fn dysample(x: Tensor<4>, definition: &Definition, parameters: OffsetTensors) -> Tensor<4> {
    let Definition { scale, groups, style, .. } = *definition;
    let guide = match style {
        DySampleStyle::Lp => x.clone(),
        DySampleStyle::Pl => pixel_shuffle(x.clone(), scale),
    };
    let pointwise = |weight, bias| conv2d(guide.clone(), weight, bias, ConvOptions::new([1, 1], [0, 0], [1, 1], 1));
    let moved = pointwise(parameters.weight, Some(parameters.bias));
    let moved = match parameters.scope {
        Some((weight, bias)) => burn_tensor::activation::sigmoid(pointwise(weight, bias)) * moved * 0.5,
        None => moved * 0.25,
    };
    let moved = match style {
        DySampleStyle::Lp => moved,
        DySampleStyle::Pl => pixel_unshuffle(moved, scale),
    };
    let start = TensorData::new(init_pos(definition), [1, definition.offset_channels(), 1, 1]);
    let start = Tensor::<4>::from_data(start, (&moved.device(), moved.dtype()));
    sample(x, moved + start, scale, groups)
}

/// `[N, C·s², H, W]` to `[N, C, s·H, s·W]`, channel `c·s² + i·s + j` to pixel `(i, j)`.
fn pixel_shuffle(x: Tensor<4>, scale: usize) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let inner = channels / (scale * scale);
    x.reshape([batch, inner, scale, scale, height, width]).permute([0, 1, 4, 2, 5, 3]).reshape([
        batch,
        inner,
        height * scale,
        width * scale,
    ])
}

fn pixel_unshuffle(x: Tensor<4>, scale: usize) -> Tensor<4> {
    let [batch, channels, rows, columns] = x.dims();
    let (height, width) = (rows / scale, columns / scale);
    x.reshape([batch, channels, height, scale, width, scale]).permute([0, 1, 3, 5, 2, 4]).reshape([
        batch,
        channels * scale * scale,
        height,
        width,
    ])
}

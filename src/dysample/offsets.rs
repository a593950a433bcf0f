//! From the module's stored parameters to convolutions that give offsets in pixels.
//!
//! The offset channel `q = comp·(g·s²) + k·s² + i·s + j` holds, for group `k` and row `i`, column `j` of the `s×s`
//! output position, the horizontal (`comp` 0) or vertical (1) offset. The module computes
//!
//! ```text
//! offset = 0.25 · conv(x) + init_pos                        without dyscope
//! offset = 0.5 · sigmoid(scope(x)) · conv(x) + init_pos     with dyscope
//! ```
//!
//! Style `pl` applies its convolution after a pixel shuffle and unshuffles the result. The same numbers come out of a
//! convolution on the low-resolution map whose weight for output position `(i, j)` is zero but for the input channels
//! that the shuffle moves to `(i, j)`. So both styles end in one form, and neither shuffle is computed.

use super::{Definition, DySampleStyle};

/// The parameters of a DySample module as a checkpoint stores them, row-major.
#[derive(Debug, Clone)]
pub struct OffsetParameters {
    /// `offset.weight`, of [`Definition::stored_weight_shape`].
    pub weight: Vec<f32>,
    /// `offset.bias`.
    pub bias: Vec<f32>,
    /// `scope.weight` and `scope.bias`, with dyscope.
    pub scope: Option<(Vec<f32>, Vec<f32>)>,
}

/// 1x1 convolutions on the low-resolution map, `[offset_channels, channels]` row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum OffsetKernels {
    /// One convolution gives the offsets in pixels.
    Static {
        /// Weight, with the factor 0.25.
        weight: Vec<f32>,
        /// Bias, with the factor 0.25 and `init_pos`.
        bias: Vec<f32>,
    },
    /// Offsets are `conv(x) · sigmoid(scope(x)) + init_pos`.
    Dynamic {
        /// Weight, with the factor 0.5.
        weight: Vec<f32>,
        /// Bias, with the factor 0.5.
        bias: Vec<f32>,
        /// Weight of the scope.
        scope_weight: Vec<f32>,
        /// Bias of the scope.
        scope_bias: Vec<f32>,
        /// Added last, `[offset_channels]`.
        init_pos: Vec<f32>,
    },
}

/// The sampling points of plain bilinear upsampling, relative to the input pixel and in its units, in channel order.
///
/// Recomputed instead of read from the checkpoint's buffer, which in f16 is inexact for scales such as 3.
#[must_use]
pub fn init_pos(definition: &Definition) -> Vec<f32> {
    let s = definition.scale;
    let centred = |position: usize| (position as f32 - (s as f32 - 1.0) / 2.0) / s as f32;
    let mut values = Vec::with_capacity(definition.offset_channels());
    for component in 0..2 {
        for _group in 0..definition.groups {
            for i in 0..s {
                for j in 0..s {
                    values.push(centred(if component == 0 { j } else { i }));
                }
            }
        }
    }
    values
}

/// Folds constants into the convolutions.
///
/// # Panics
/// If a slice does not have the length that the definition's shapes give.
#[must_use]
pub fn offset_kernels(definition: &Definition, parameters: &OffsetParameters) -> OffsetKernels {
    let stored: usize = definition.stored_weight_shape().iter().product();
    assert_eq!(parameters.weight.len(), stored, "length of offset.weight");
    let factor = if definition.dyscope { 0.5 } else { 0.25 };
    let scaled = |values: &[f32]| values.iter().map(|v| v * factor).collect::<Vec<f32>>();
    let weight = low_resolution_weight(definition, &scaled(&parameters.weight));
    let mut bias = low_resolution_bias(definition, &scaled(&parameters.bias));
    let init = init_pos(definition);
    match &parameters.scope {
        None => {
            bias.iter_mut().zip(&init).for_each(|(bias, init)| *bias += init);
            OffsetKernels::Static { weight, bias }
        }
        Some((scope_weight, scope_bias)) => OffsetKernels::Dynamic {
            weight,
            bias,
            scope_weight: low_resolution_weight(definition, scope_weight),
            scope_bias: low_resolution_bias(definition, scope_bias),
            init_pos: init,
        },
    }
}

fn low_resolution_weight(definition: &Definition, weight: &[f32]) -> Vec<f32> {
    if definition.style == DySampleStyle::Lp {
        return weight.to_vec();
    }
    let positions = definition.scale * definition.scale;
    let shuffled_channels = definition.channels / positions;
    let mut wide = vec![0.0; definition.offset_channels() * definition.channels];
    for (output, row) in weight.chunks_exact(shuffled_channels).enumerate() {
        for position in 0..positions {
            let start = (output * positions + position) * definition.channels;
            for (input, value) in row.iter().enumerate() {
                wide[start + input * positions + position] = *value;
            }
        }
    }
    wide
}

fn low_resolution_bias(definition: &Definition, bias: &[f32]) -> Vec<f32> {
    let copies = match definition.style {
        DySampleStyle::Lp => 1,
        DySampleStyle::Pl => definition.scale * definition.scale,
    };
    bias.iter().flat_map(|value| std::iter::repeat_n(*value, copies)).collect()
}

//! Arithmetic of inference: fewer operations, the same function.

use super::FusedConv;

/// The statistics and parameters of a batch normalisation, each of one value per channel.
#[derive(Debug, Clone)]
pub(super) struct BatchNorm {
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
    pub(super) eps: f64,
}

/// Folds a normalisation into the convolution before it, which has no bias of its own:
/// `s = gamma / sqrt(variance + eps)`, `W' = W·s`, `b' = beta - mean·s`.
pub(super) fn fold(weight: &[f32], norm: &BatchNorm) -> FusedConv {
    let channels = norm.gamma.len();
    let per_channel = weight.len() / channels.max(1);
    let mut kernel = FusedConv { weight: Vec::with_capacity(weight.len()), bias: Vec::with_capacity(channels) };
    for (channel, weights) in weight.chunks_exact(per_channel.max(1)).enumerate() {
        let scale = f64::from(norm.gamma[channel]) / (f64::from(norm.variance[channel]) + norm.eps).sqrt();
        kernel.weight.extend(weights.iter().map(|w| (f64::from(*w) * scale) as f32));
        kernel.bias.push((f64::from(norm.beta[channel]) - f64::from(norm.mean[channel]) * scale) as f32);
    }
    kernel
}

/// Merges a 3x3 and a parallel 1x1 convolution (both folded) into one 3x3: the 1x1 weight is added at the centre.
pub(super) fn merge(mut large: FusedConv, small: &FusedConv) -> FusedConv {
    const CENTRE: usize = 4;
    for (window, point) in large.weight.chunks_exact_mut(9).zip(&small.weight) {
        window[CENTRE] += point;
    }
    for (bias, other) in large.bias.iter_mut().zip(&small.bias) {
        *bias += other;
    }
    large
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// On one position: a kernel of 1x1 is a dot product, and all its taps are folded alike.
        #[test]
        fn folding_equals_normalising(
            weight in prop::collection::vec(-2.0f32..2.0, 6),
            x in prop::collection::vec(-1.0f32..1.0, 3),
            statistics in prop::collection::vec((0.5f32..2.0, -1.0f32..1.0, -1.0f32..1.0, 0.01f32..4.0), 2),
        ) {
            let part = |f: fn(&(f32, f32, f32, f32)) -> f32| statistics.iter().map(f).collect::<Vec<f32>>();
            let norm = BatchNorm { gamma: part(|s| s.0), beta: part(|s| s.1), mean: part(|s| s.2), variance: part(|s| s.3), eps: 1e-3 };
            let folded = fold(&weight, &norm);
            for channel in 0..2 {
                let dot = |weight: &[f32]| weight[channel * 3..][..3].iter().zip(&x).map(|(w, x)| w * x).sum::<f32>();
                let normalised = (dot(&weight) - norm.mean[channel]) / (norm.variance[channel] + 1e-3).sqrt();
                let expected = normalised * norm.gamma[channel] + norm.beta[channel];
                let found = dot(&folded.weight) + folded.bias[channel];
                prop_assert!((found - expected).abs() < 1e-3 * expected.abs().max(1.0));
            }
        }
    }
}

//! Weights for a network that nobody has trained: its time is that of a trained one.

use std::collections::BTreeMap;

use super::{FusedConv, Weights};
use crate::architecture::{Architecture, Convolution, DySampleLayer};
use crate::dysample::{OffsetParameters, offset_kernels};

/// Weights that keep the scale of the maps about the same from layer to layer. The same seed gives the same weights.
///
/// The offsets of DySample spread around the initial positions by a fraction of a position, as trained ones do.
#[must_use]
pub fn random(architecture: &Architecture, seed: u64) -> Weights {
    let mut random = Random(fastrand::Rng::with_seed(seed));
    let (mut kernels, mut offsets) = (BTreeMap::new(), BTreeMap::new());
    for step in architecture.main_steps() {
        if let Some(convolution) = step.operation.fused_convolution() {
            kernels.insert(convolution.path.clone(), random.kernel(&convolution));
        } else if let Some(layer) = step.operation.as_dysample() {
            offsets.insert(layer.path.clone(), offset_kernels(&layer.definition, &random.offsets(layer)));
        }
    }
    Weights { kernels, offsets }
}

struct Random(fastrand::Rng);

impl Random {
    /// Uniform values of that standard deviation.
    fn values(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        (0..count).map(|_| (2.0 * self.0.f32() - 1.0) * deviation * 3.0f32.sqrt()).collect()
    }

    fn kernel(&mut self, convolution: &Convolution) -> FusedConv {
        let shape = convolution.weight_shape();
        let fan_in: usize = shape[1..].iter().product();
        // SiLU halves the variance and more; He's factor of 2 makes up for it.
        let weight = self.values(shape.iter().product(), (2.0 / fan_in as f32).sqrt());
        FusedConv { weight, bias: self.values(shape[0], 0.1) }
    }

    fn offsets(&mut self, layer: &DySampleLayer) -> OffsetParameters {
        let shape = layer.definition.stored_weight_shape();
        let count = shape.iter().product();
        let weight = self.values(count, (1.0 / shape[1] as f32).sqrt());
        let scope = layer.definition.dyscope.then(|| (vec![0.0; count], vec![0.0; shape[0]]));
        OffsetParameters { weight, bias: vec![0.0; shape[0]], scope }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;

    #[test]
    fn every_operation_gets_weights_of_its_shape() {
        let architecture = Architecture::new(&ModelConfig::builtin("yolov9-t-dysample").unwrap()).unwrap();
        let weights = random(&architecture, 1);
        assert_eq!(weights.offsets.len(), 1);
        for step in architecture.main_steps() {
            if let Some(convolution) = step.operation.fused_convolution() {
                let kernel = &weights.kernels[&convolution.path];
                assert_eq!(kernel.weight.len(), convolution.weight_shape().iter().product::<usize>());
                assert!(kernel.weight.iter().all(|weight| weight.is_finite()));
            }
        }
        assert_eq!(weights.kernels, random(&architecture, 1).kernels);
        assert_ne!(weights.kernels, random(&architecture, 2).kernels);
    }
}

//! Parameters and floating point operations.

use super::operation::{Convolution, Operation, Step};
use super::{Architecture, ArchitectureError, Role};
use crate::Size;

/// What a network costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Learned parameters, the 16 constants of each DFL included as the official counts do.
    pub parameters: u64,
    /// Floating point operations of the convolutions for one picture: two for each multiply-accumulate.
    pub flops: u64,
}

impl Cost {
    /// Billions of floating point operations.
    #[must_use]
    pub fn gflops(&self) -> f64 {
        self.flops as f64 / 1e9
    }
}

impl Architecture {
    /// The cost of the network that inference runs: auxiliary branches dropped, normalisation folded, parallel
    /// convolutions merged.
    ///
    /// # Errors
    /// When `input` is not a multiple of the stride and maps of different sizes meet.
    pub fn deployed_cost(&self, input: Size) -> Result<Cost, ArchitectureError> {
        let sizes = self.sizes(input)?;
        let mut cost = Cost { parameters: super::head::REG_MAX as u64, flops: 0 };
        for step in self.main_steps() {
            let area = step.outputs.first().map_or(0, |value| sizes[value.id].area());
            fused(step, area, &mut cost);
        }
        Ok(cost)
    }

    /// Learned parameters as training stores them, auxiliary branches included.
    #[must_use]
    pub fn stored_parameters(&self) -> u64 {
        let learned = self.parameters().into_iter().filter(|parameter| parameter.learned);
        learned.map(|parameter| parameter.shape.iter().map(|n| *n as u64).product::<u64>()).sum()
    }

    /// Number of rows that only training needs.
    #[must_use]
    pub fn auxiliary_layers(&self) -> usize {
        self.layers.iter().filter(|layer| layer.role == Role::Auxiliary).count()
    }
}

fn fused(step: &Step, area: u64, cost: &mut Cost) {
    let mut add = |convolution: &Convolution| {
        let weights: u64 = convolution.weight_shape().iter().map(|n| *n as u64).product();
        cost.parameters += weights + convolution.output as u64;
        cost.flops += 2 * weights * area;
    };
    match &step.operation {
        Operation::Convolution(convolution) => add(convolution),
        Operation::RepConvolution(rep) => add(&rep.merged()),
        Operation::DySample(layer) => {
            let definition = &layer.definition;
            let [output, input, ..] = definition.stored_weight_shape().map(|n| n as u64);
            let convolutions = if definition.dyscope { 2 } else { 1 };
            // Style pl convolves at the high resolution, lp at the low one; s² fewer weights make up for it.
            let low_area = area / (definition.scale * definition.scale) as u64;
            let conv_area = if definition.style == crate::dysample::Style::Pl { area } else { low_area };
            cost.parameters += convolutions * output * input + output;
            cost.flops += 2 * convolutions * output * input * conv_area;
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;

    /// Counts of the official models (80 classes, 640x640): as stored, and fused without the auxiliary branch.
    #[test]
    fn costs_equal_the_official_counts() {
        struct Case(&'static str, u64, u64, f64);
        for Case(name, stored, deployed, gflops) in [
            Case("gelan-t", 2_442_640, 2_407_632, 9.8),
            Case("gelan-s", 7_226_208, 7_105_888, 26.4),
            Case("gelan-m", 20_124_000, 19_978_672, 76.3),
            Case("gelan-c", 25_498_752, 25_288_768, 102.1),
            Case("gelan-e", 58_114_432, 57_345_920, 189.0),
            Case("yolov9-t", 3_717_680, 2_407_632, 9.8),
            Case("yolov9-m", 32_878_432, 19_978_672, 76.3),
            Case("yolov9-c", 51_182_080, 25_288_768, 102.1),
            Case("yolov9-e", 69_529_664, 57_345_920, 189.0),
            Case("yolov9-c-dysample", 51_198_496, 25_305_184, 102.2),
        ] {
            let architecture = Architecture::new(&ModelConfig::builtin(name).unwrap()).unwrap();
            let cost = architecture.deployed_cost(Size::square(640)).unwrap();
            assert_eq!((architecture.stored_parameters(), cost.parameters), (stored, deployed), "{name}");
            assert!((cost.gflops() - gflops).abs() < 0.1, "{name}: {} instead of {gflops}", cost.gflops());
        }
    }
}

//! Feature map sizes, and the strides that follow from them.

use super::operation::{Operation, Value};
use super::{Architecture, ArchitectureError};
use crate::Size;

/// The official code, too, finds the strides with an input of this side.
const PROBE: Size = Size::square(256);

/// Values of all feature maps for that input, and of one of them. The largest published network has 63 million,
/// and one million in one.
const MAX_VALUES: u64 = 1 << 28;
const MAX_VALUES_OF_ONE: u64 = 1 << 24;

pub(super) fn sizes(architecture: &Architecture, input: Size) -> Result<Vec<Size>, ArchitectureError> {
    let mut sizes = vec![input];
    for step in &architecture.steps {
        let inputs: Vec<Size> = step.inputs.iter().map(|value: &Value| sizes[value.id]).collect();
        let output = output_size(&step.operation, &inputs).map_err(|message| {
            let (name, layer) = (&architecture.name, &architecture.layers[step.layer].spec);
            ArchitectureError::of_layer(name, layer, &format!("{message} (for a {input} input)"))
        })?;
        sizes.resize(sizes.len() + step.outputs.len(), output);
    }
    Ok(sizes)
}

/// Refuses a network whose feature maps would take more memory than any published one's, by far.
fn check_values(architecture: &Architecture, sizes: &[Size]) -> Result<(), ArchitectureError> {
    let mut values = 0u64;
    for step in &architecture.steps {
        let of = |value: &Value| (value.channels as u64).saturating_mul(sizes[value.id].area());
        let largest = step.outputs.iter().map(of).max().unwrap_or(0);
        values = step.outputs.iter().fold(values, |sum, value| sum.saturating_add(of(value)));
        let message = if largest > MAX_VALUES_OF_ONE {
            format!(
                "gives a feature map of {largest} values for a {PROBE} input; at most {MAX_VALUES_OF_ONE} are possible"
            )
        } else if values > MAX_VALUES {
            format!("feature maps of more than {MAX_VALUES} values up to here, for a {PROBE} input")
        } else {
            continue;
        };
        let layer = &architecture.layers[step.layer].spec;
        return Err(ArchitectureError::of_layer(&architecture.name, layer, &message));
    }
    Ok(())
}

fn output_size(operation: &Operation, inputs: &[Size]) -> Result<Size, String> {
    let first = *inputs.first().ok_or("reads no input")?;
    match operation {
        Operation::Convolution(c) => window(first, c.dilation * (c.kernel - 1) + 1, c.stride, c.padding),
        Operation::RepConvolution(_) | Operation::Split(_) => Ok(first),
        Operation::AveragePool { kernel, stride } => window(first, *kernel, *stride, 0),
        Operation::MaxPool { kernel, stride, padding } => window(first, *kernel, *stride, *padding),
        Operation::Concat | Operation::Add => match inputs.iter().find(|size| **size != first) {
            None => Ok(first),
            Some(other) => Err(format!("meets maps of different sizes: {first} and {other}")),
        },
        Operation::FuseNearest => Ok(inputs[inputs.len() - 1]),
        Operation::Upsample { scale, .. } => grow(first, *scale),
        Operation::DySample(layer) => grow(first, layer.definition.scale),
    }
}

fn grow(size: Size, scale: usize) -> Result<Size, String> {
    let grown = Size::new(size.width.saturating_mul(scale), size.height.saturating_mul(scale));
    if grown.width.max(grown.height) > 1 << 24 {
        return Err(format!("upsampling reaches {grown}"));
    }
    Ok(grown)
}

fn window(size: Size, kernel: usize, stride: usize, padding: usize) -> Result<Size, String> {
    let along = |length: usize| {
        length.saturating_add(padding.saturating_mul(2)).checked_sub(kernel).map(|room| room / stride + 1)
    };
    match (along(size.width), along(size.height)) {
        (Some(width), Some(height)) => Ok(Size { width, height }),
        _ => Err(format!("a window of {kernel} does not fit into a map of {size}")),
    }
}

impl Architecture {
    /// Gives every level of the head its stride, by following an image through the network.
    pub(super) fn measure_strides(&mut self) -> Result<(), ArchitectureError> {
        let sizes = sizes(self, PROBE)?;
        check_values(self, &sizes)?;
        for branch in &mut self.head.branches {
            for level in &mut branch.levels {
                let size = sizes[level.boxes.id];
                level.stride = PROBE.height / size.height;
                if size != Size::square(PROBE.height / level.stride.max(1)) {
                    let message = format!("a level of {size} anchor points for a {PROBE} input has no whole stride");
                    let layer = &self.layers[self.head.layer].spec;
                    return Err(ArchitectureError::of_layer(&self.name, layer, &message));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BUILTIN_CONFIGS, ModelConfig};

    #[test]
    fn published_networks_are_far_below_the_limits() {
        let (mut steps, mut values, mut largest) = (0, 0, 0);
        for config in BUILTIN_CONFIGS {
            let architecture = Architecture::new(&ModelConfig::builtin(config.name).unwrap()).unwrap();
            let sizes = sizes(&architecture, PROBE).unwrap();
            let maps = architecture.steps.iter().flat_map(|step| &step.outputs);
            let maps: Vec<u64> = maps.map(|value| value.channels as u64 * sizes[value.id].area()).collect();
            steps = steps.max(architecture.steps.len());
            values = values.max(maps.iter().sum());
            largest = largest.max(*maps.iter().max().unwrap());
        }
        println!("{steps} steps, {values} values, {largest} in one map");
        assert!(2 * steps < super::super::builder::MAX_STEPS);
        assert!(2 * values < MAX_VALUES && 2 * largest < MAX_VALUES_OF_ONE);
    }
}

//! Collects the steps of a network while blocks describe themselves.

use super::operation::{Convolution, DySampleLayer, Interpolation, Operation, RepConvolution, Step, Value};
use crate::config::Activation;
use crate::dysample::Definition;

/// A sentence about channels that do not fit; the caller knows the layer.
pub(super) type Built<T = Value> = Result<T, String>;

/// No published network comes near these; bounds for untrusted files. The largest one has 488 operations and 70 million
/// parameters.
pub(super) const MAX_STEPS: usize = 5_000;
const MAX_CHANNELS: usize = 1 << 20;
const MAX_PARAMETERS: u64 = 1 << 28;

pub(super) struct Builder {
    pub(super) steps: Vec<Step>,
    values: usize,
    /// Weights of all convolutions so far.
    parameters: u64,
    /// The layer whose steps are collected.
    pub(super) layer: usize,
    /// Activation of blocks that do not say otherwise.
    pub(super) activation: Activation,
}

/// `ceil(x / divisor) * divisor`: up, not to the nearest.
pub(super) fn make_divisible(x: f64, divisor: usize) -> usize {
    ((x / divisor as f64).ceil() as usize).saturating_mul(divisor)
}

impl Builder {
    pub(super) fn new(activation: Activation) -> Self {
        Self { steps: Vec::new(), values: 1, parameters: 0, layer: 0, activation }
    }

    fn push(&mut self, operation: Operation, inputs: &[Value], channels: &[usize]) -> Built<Vec<Value>> {
        if self.steps.len() >= MAX_STEPS {
            return Err(format!("the network has more than {MAX_STEPS} operations"));
        }
        if let Some(channels) = channels.iter().find(|channels| **channels > MAX_CHANNELS) {
            return Err(format!("gives a map of {channels} channels; at most {MAX_CHANNELS} are possible"));
        }
        let value = |(n, channels): (usize, &usize)| Value { id: self.values + n, channels: *channels };
        let outputs: Vec<Value> = channels.iter().enumerate().map(value).collect();
        self.values += outputs.len();
        self.steps.push(Step { layer: self.layer, operation, inputs: inputs.to_vec(), outputs: outputs.clone() });
        Ok(outputs)
    }

    /// Bounds the memory for weights, before anybody makes or asks for some.
    fn spend(&mut self, weights: [usize; 4]) -> Built<()> {
        let count = weights.iter().fold(1u64, |count, length| count.saturating_mul(*length as u64));
        self.parameters = self.parameters.saturating_add(count);
        if self.parameters > MAX_PARAMETERS {
            return Err(format!("the network has more than {MAX_PARAMETERS} parameters up to here"));
        }
        Ok(())
    }

    fn push_one(&mut self, operation: Operation, inputs: &[Value], channels: usize) -> Built {
        Ok(self.push(operation, inputs, &[channels])?[0])
    }

    /// A `Conv` block of the given kernel and stride with the network's activation.
    pub(super) fn conv(&mut self, x: Value, path: String, output: usize, kernel: usize, stride: usize) -> Built {
        self.convolution(x, Convolution::same(x, path, output, kernel, stride).normalised(self.activation))
    }

    /// Any convolution.
    pub(super) fn convolution(&mut self, x: Value, convolution: Convolution) -> Built {
        check_groups(&convolution)?;
        self.spend(convolution.weight_shape())?;
        let output = convolution.output;
        self.push_one(Operation::Convolution(convolution), &[x], output)
    }

    /// `RepConvN`: kernel 3, stride 1.
    pub(super) fn rep_conv(&mut self, x: Value, path: String, output: usize) -> Built {
        let branch = |name: &str, kernel| {
            Convolution::same(x, format!("{path}.{name}"), output, kernel, 1).normalised(Activation::Identity)
        };
        let (large, small) = (branch("conv1", 3), branch("conv2", 1));
        check_groups(&large)?;
        self.spend(large.weight_shape())?;
        self.spend(small.weight_shape())?;
        let activation = self.activation;
        self.push_one(Operation::RepConvolution(RepConvolution { path, large, small, activation }), &[x], output)
    }

    pub(super) fn average_pool(&mut self, x: Value, kernel: usize, stride: usize) -> Built {
        self.push_one(Operation::AveragePool { kernel, stride }, &[x], x.channels)
    }

    pub(super) fn max_pool(&mut self, x: Value, kernel: usize, stride: usize, padding: usize) -> Built {
        self.push_one(Operation::MaxPool { kernel, stride, padding }, &[x], x.channels)
    }

    pub(super) fn split(&mut self, x: Value, sizes: &[usize]) -> Built<Vec<Value>> {
        self.push(Operation::Split(sizes.to_vec()), &[x], sizes)
    }

    /// Both halves of the channels.
    pub(super) fn halves(&mut self, x: Value) -> Built<[Value; 2]> {
        if !x.channels.is_multiple_of(2) || x.channels == 0 {
            return Err(format!("{} channels cannot be halved", x.channels));
        }
        let half = x.channels / 2;
        let parts = self.split(x, &[half, half])?;
        Ok([parts[0], parts[1]])
    }

    pub(super) fn concat(&mut self, xs: &[Value]) -> Built {
        self.push_one(Operation::Concat, xs, xs.iter().fold(0, |sum, x| sum.saturating_add(x.channels)))
    }

    pub(super) fn add(&mut self, a: Value, b: Value) -> Built {
        self.push_one(Operation::Add, &[a, b], a.channels)
    }

    pub(super) fn fuse_nearest(&mut self, xs: &[Value]) -> Built {
        let target = *xs.last().ok_or("needs at least one input")?;
        if let Some(other) = xs.iter().find(|x| x.channels != target.channels) {
            return Err(format!("sums maps of {} and {} channels", other.channels, target.channels));
        }
        self.push_one(Operation::FuseNearest, xs, target.channels)
    }

    pub(super) fn upsample(&mut self, x: Value, scale: usize, interpolation: Interpolation) -> Built {
        self.push_one(Operation::Upsample { scale, interpolation }, &[x], x.channels)
    }

    pub(super) fn dysample(&mut self, x: Value, path: String, definition: Definition) -> Built {
        self.spend(definition.stored_weight_shape())?;
        self.push_one(Operation::DySample(DySampleLayer { path, definition }), &[x], x.channels)
    }
}

impl Convolution {
    /// A bare conv2d with bias, whose padding keeps the size at stride 1.
    pub(super) fn same(x: Value, path: String, output: usize, kernel: usize, stride: usize) -> Self {
        Self {
            path,
            input: x.channels,
            output,
            kernel,
            stride,
            padding: kernel / 2,
            dilation: 1,
            groups: 1,
            normalised: false,
            activation: Activation::Identity,
        }
    }

    pub(super) fn grouped(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    pub(super) fn normalised(self, activation: Activation) -> Self {
        Self { normalised: true, activation, ..self }
    }
}

fn check_groups(convolution: &Convolution) -> Built<()> {
    let Convolution { path, input, output, groups, .. } = convolution;
    if *input == 0 || *output == 0 {
        return Err(format!("{path}: a convolution from {input} to {output} channels"));
    }
    if *groups == 0 || !input.is_multiple_of(*groups) || !output.is_multiple_of(*groups) {
        return Err(format!("{path}: {input} input and {output} output channels cannot be split into {groups} groups"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisible_rounds_up() {
        assert_eq!([(180.0, 8), (184.0, 8), (1.0, 8), (15.0, 4)].map(|(x, d)| make_divisible(x, d)), [184, 184, 8, 16]);
    }
}

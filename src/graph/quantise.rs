//! Convolutions on 8-bit integers, as pairs of `QuantizeLinear` and `DequantizeLinear` around them, which runtimes merge
//! with the convolution between them.
//!
//! A real number is `scale · (q - zero point)`. Activations are u8 with a zero point of their own, weights i8 without one and
//! with a scale per output channel (Krishnamoorthi, arXiv 1806.08342), biases i32 on the product of both scales.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::OnnxModel;
use super::lower::path_of_node;
use crate::architecture::{Architecture, Convolution};
use crate::config::Activation;
use crate::onnx::{Attribute, Element, GraphProto, NodeProto, TensorProto, raw_tensor};

/// The smallest and the largest value of a feature map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActivationRange {
    /// The smallest.
    pub low: f32,
    /// The largest.
    pub high: f32,
}

/// A convolution that can be quantised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantisableConvolution {
    /// The name of its node: the path of the module, such as `model.4.cv1.conv`, or of a part of it.
    pub node: String,
    /// Layer of the config.
    pub layer: usize,
    /// What it reads.
    pub input: String,
    /// What it gives, before the activation.
    pub output: String,
    /// Whether SiLU follows: what lies below -8 before it, is nearly 0 after it.
    silu: bool,
}

/// What is computed in integers, and on which scales.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantisation {
    /// Of everything that one of the convolutions reads or gives, by the value's name.
    pub ranges: BTreeMap<String, ActivationRange>,
    /// The convolutions, by the names of their nodes.
    pub convolutions: BTreeSet<String>,
    /// Bits of a weight, 7 or 8. Processors with AVX2 and no VNNI add two products of 8 bits in 16, which 8-bit weights
    /// overflow.
    pub weight_bits: u32,
}

/// SiLU of less is between -0.003 and 0.
const SILU_LOW: f32 = -8.0;

impl OnnxModel {
    /// The convolutions that can be quantised, in the order of the network: all but the last ones of the head, whose outputs
    /// are coordinates and logits, and those of DySample, whose outputs are coordinates.
    #[must_use]
    pub fn quantisable(&self, architecture: &Architecture) -> Vec<QuantisableConvolution> {
        let Some(graph) = &self.proto.graph else { return Vec::new() };
        let mut steps: HashMap<String, (usize, bool)> = HashMap::new();
        for step in architecture.main_steps() {
            if let Some(Convolution { path, activation, .. }) = step.operation.fused_convolution() {
                steps.insert(path, (step.layer, activation == Activation::Silu));
            }
        }
        let convolutions = graph.node.iter().filter_map(|node| {
            let name = node.name.as_deref()?;
            let (layer, silu) = *steps.get(path_of_node(name))?;
            let (input, output) = (node.input.first()?.clone(), node.output.first()?.clone());
            let is_last = self.head.outputs().any(|last| last == output);
            (!is_last).then_some(QuantisableConvolution { node: name.to_owned(), layer, input, output, silu })
        });
        convolutions.collect()
    }

    /// Puts the convolutions on integers.
    ///
    /// # Panics
    /// If a range is missing, or a convolution is not of this network.
    pub fn quantise(&mut self, quantisation: &Quantisation, convolutions: &[QuantisableConvolution]) {
        let Some(graph) = &mut self.proto.graph else { return };
        // In an order that does not depend on a hash.
        let mut weights: BTreeMap<String, TensorProto> = std::mem::take(&mut graph.initializer)
            .into_iter()
            .map(|tensor| (tensor.name.clone().unwrap_or_default(), tensor))
            .collect();
        let by_node: HashMap<&str, &QuantisableConvolution> =
            convolutions.iter().map(|convolution| (convolution.node.as_str(), convolution)).collect();
        let mut rewrite =
            Rewrite { graph, seen: BTreeSet::new(), weight_limit: (1 << (quantisation.weight_bits - 1)) - 1 };
        for node in std::mem::take(&mut rewrite.graph.node) {
            let convolution = node.name.as_deref().filter(|name| quantisation.convolutions.contains(*name));
            let Some(convolution) = convolution.and_then(|name| by_node.get(name)) else {
                rewrite.graph.node.push(node);
                continue;
            };
            let [input, output] = [&convolution.input, &convolution.output].map(|name| quantisation.ranges[name]);
            let output =
                ActivationRange { low: if convolution.silu { output.low.max(SILU_LOW) } else { output.low }, ..output };
            let parameters = [1, 2].map(|n| weights.remove(&node.input[n]).expect("a convolution has weight and bias"));
            rewrite.convolution(node, Scale::of(input), Scale::of(output), parameters);
        }
        rewrite.graph.initializer.extend(weights.into_values());
    }
}

/// How a real number becomes a byte.
#[derive(Debug, Clone, Copy)]
struct Scale {
    scale: f32,
    zero: u8,
}

impl Scale {
    /// 0 is a number of its own: padding is exact.
    fn of(range: ActivationRange) -> Self {
        let (low, high) = (range.low.min(0.0), range.high.max(0.0));
        let scale = if high > low { (high - low) / 255.0 } else { 1.0 };
        Self { scale, zero: (-low / scale).round().clamp(0.0, 255.0) as u8 }
    }
}

struct Rewrite<'a> {
    graph: &'a mut GraphProto,
    /// Values that have their byte form.
    seen: BTreeSet<String>,
    weight_limit: i32,
}

impl Rewrite<'_> {
    fn convolution(&mut self, mut node: NodeProto, input: Scale, output: Scale, [weight, bias]: [TensorProto; 2]) {
        let value = node.input[0].clone();
        let bytes = format!("{value}.dequantised");
        if self.seen.insert(value.clone()) {
            self.pair([&value, &format!("{value}.u8"), &bytes], input);
        }
        let name = node.name.clone().unwrap_or_default();
        node.input = vec![bytes, format!("{name}.weight.dequantised"), format!("{name}.bias.dequantised")];
        self.parameters(&name, input.scale, &floats(&weight), &weight.dims, &floats(&bias));
        let result = node.output[0].clone();
        let exact = format!("{result}.exact");
        node.output = vec![exact.clone()];
        self.graph.node.push(node);
        self.pair([&exact, &format!("{result}.u8"), &result], output);
    }

    /// `[from, byte form, to]`.
    fn pair(&mut self, [from, bytes, to]: [&str; 3], scale: Scale) {
        let (factor, zero) = (format!("{bytes}.scale"), format!("{bytes}.zero"));
        self.graph.floats(&factor, &[], vec![scale.scale]);
        self.graph.initializer.push(raw_tensor(&zero, Element::Uint8, &[], vec![scale.zero]));
        self.graph.push("QuantizeLinear", &[from, &factor, &zero], bytes, &[]);
        self.graph.push("DequantizeLinear", &[bytes, &factor, &zero], to, &[]);
    }

    fn parameters(&mut self, name: &str, input: f32, weight: &[f32], dims: &[i64], bias: &[f32]) {
        let channels = bias.len();
        let limit = self.weight_limit as f32;
        let scales: Vec<f32> = weight
            .chunks(weight.len() / channels.max(1))
            .map(|channel| channel.iter().fold(0.0f32, |most, value| most.max(value.abs())) / limit)
            // Any scale does for a channel of zeros.
            .map(|scale| if scale > f32::MIN_POSITIVE { scale } else { 1.0 })
            .collect();
        let integers = weight.chunks(weight.len() / channels.max(1)).zip(&scales).flat_map(|(channel, scale)| {
            channel.iter().map(move |value| (value / scale).round().clamp(-limit, limit) as i8 as u8)
        });
        let shape: Vec<usize> = dims.iter().map(|n| *n as usize).collect();
        let bias_scales: Vec<f32> = scales.iter().map(|scale| scale * input).collect();
        let biases =
            bias.iter().zip(&bias_scales).flat_map(|(value, scale)| ((value / scale).round() as i32).to_le_bytes());
        let (integers, biases): (Vec<u8>, Vec<u8>) = (integers.collect(), biases.collect());
        for (part, element, shape, bytes, scales) in [
            ("weight", Element::Int8, shape, integers, scales),
            ("bias", Element::Int32, vec![channels], biases, bias_scales),
        ] {
            let [integer, factor, zero, real] =
                ["integer", "scale", "zero", "dequantised"].map(|kind| format!("{name}.{part}.{kind}"));
            let zeros = vec![0; channels * if element == Element::Int8 { 1 } else { 4 }];
            self.graph.initializer.push(raw_tensor(&integer, element, &shape, bytes));
            self.graph.floats(&factor, &[channels], scales);
            self.graph.initializer.push(raw_tensor(&zero, element, &[channels], zeros));
            let per_channel = [("axis", Attribute::Int(0))];
            self.graph.push("DequantizeLinear", &[&integer, &factor, &zero], &real, &per_channel);
        }
    }
}

fn floats(tensor: &TensorProto) -> Vec<f32> {
    let bytes = tensor.raw_data.as_deref().unwrap_or_default();
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_exact_and_ends_are_reached() {
        let scale = Scale::of(ActivationRange { low: -1.0, high: 4.1 });
        assert!((scale.scale - 0.02).abs() < 1e-6);
        assert_eq!(scale.zero, 50);
        let positive = Scale::of(ActivationRange { low: 0.5, high: 2.55 });
        assert_eq!((positive.zero, positive.scale), (0, 0.01));
        let nothing = Scale::of(ActivationRange { low: 0.0, high: 0.0 });
        assert_eq!((nothing.zero, nothing.scale), (0, 1.0));
    }
}

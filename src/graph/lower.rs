//! Each primitive operation as ONNX nodes.

use super::builder::GraphBuilder;
use crate::architecture::{Convolution, DySampleLayer, Interpolation, Operation, Step, Value};
use crate::config::Activation;
use crate::dysample::{DOMAIN, NAME, OffsetKernels};
use crate::onnx::{Attribute, node};
use crate::weights::FusedConv;

/// The node of one part of a convolution's channels.
fn part_name(path: &str, part: usize) -> String {
    format!("{path}{PART}{part}")
}

/// Between the path of a convolution and the number of a part of it.
const PART: &str = ".part";

/// The path of the module that a node computes, or computes a part of.
pub(super) fn path_of_node(name: &str) -> &str {
    match name.rsplit_once(PART) {
        Some((path, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => path,
        _ => name,
    }
}

impl GraphBuilder {
    pub(super) fn lower(&mut self, step: &Step) {
        let inputs: Vec<String> = step.inputs.iter().map(|value| self.name(*value)).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let output = self.name(step.outputs[0]);
        match &step.operation {
            Operation::Convolution(convolution) => self.convolution(inputs[0], convolution, &output),
            Operation::RepConvolution(rep) => self.convolution(inputs[0], &rep.merged(), &output),
            Operation::AveragePool { kernel, stride } => {
                self.pool("AveragePool", [inputs[0], &output], [*kernel, *stride, 0]);
            }
            Operation::MaxPool { kernel, stride, padding } => {
                self.pool("MaxPool", [inputs[0], &output], [*kernel, *stride, *padding]);
            }
            Operation::Split(sizes) => self.split(inputs[0], sizes, &step.outputs),
            Operation::Concat => self.graph.push("Concat", &inputs, &output, &[("axis", Attribute::Int(1))]),
            Operation::Add => self.graph.push("Add", &inputs, &output, &[]),
            Operation::FuseNearest => self.fuse_nearest(&step.inputs, &output),
            Operation::Upsample { scale, interpolation } => {
                self.resize([inputs[0], &output], *scale as f32, *interpolation);
            }
            Operation::DySample(layer) => self.dysample(inputs[0], layer, &output),
        }
    }

    /// A convolution and the split behind it, as a convolution for each part. ONNX Runtime keeps feature maps in a layout that
    /// `Split` does not know: it would rearrange the map before it, and all that are concatenated with its parts later. Every
    /// number stays the same in f32.
    pub(super) fn convolution_in_parts(&mut self, step: &Step, split: &Step) {
        let (Some(convolution), Operation::Split(sizes)) = (step.operation.fused_convolution(), &split.operation)
        else {
            return;
        };
        let input = self.name(step.inputs[0]);
        let FusedConv { mut weight, mut bias } = self.take_kernel(&convolution.path);
        let per_channel = weight.len() / bias.len().max(1);
        for (n, (size, output)) in sizes.iter().zip(&split.outputs).enumerate() {
            let rest = FusedConv { weight: weight.split_off(size * per_channel), bias: bias.split_off(*size) };
            let part = FusedConv { weight, bias };
            FusedConv { weight, bias } = rest;
            let name = part_name(&convolution.path, n);
            self.convolution_of(&input, (&convolution, &name, part), &self.name(*output));
        }
    }

    fn take_kernel(&mut self, path: &str) -> FusedConv {
        self.weights.kernels.remove(path).expect("bound to this architecture")
    }

    fn convolution(&mut self, input: &str, convolution: &Convolution, output: &str) {
        let kernel = self.take_kernel(&convolution.path);
        self.convolution_of(input, (convolution, &convolution.path, kernel), output);
    }

    /// A convolution of that name, or of some of its output channels.
    fn convolution_of(
        &mut self,
        input: &str,
        (convolution, name, kernel): (&Convolution, &str, FusedConv),
        output: &str,
    ) {
        let [_, channels, height, width] = convolution.weight_shape();
        let [weight, bias] = self.kernel(name, [kernel.bias.len(), channels, height, width], kernel);
        let activated = convolution.activation != Activation::Identity;
        let linear = if activated { format!("{output}.linear") } else { output.to_owned() };
        let side = |n: usize| [n as i64; 2];
        let mut conv = node(
            "Conv",
            &[input, &weight, &bias],
            &[&linear],
            &[
                ("kernel_shape", Attribute::Ints(&side(convolution.kernel))),
                ("strides", Attribute::Ints(&side(convolution.stride))),
                ("pads", Attribute::Ints(&[convolution.padding as i64; 4])),
                ("dilations", Attribute::Ints(&side(convolution.dilation))),
                ("group", Attribute::Int(convolution.groups as i64)),
            ],
        );
        conv.name = Some(name.to_owned());
        self.graph.node.push(conv);
        self.activation(&linear, convolution.activation, output);
    }

    fn activation(&mut self, input: &str, activation: Activation, output: &str) {
        match activation {
            Activation::Identity => {}
            Activation::Silu => {
                let gate = format!("{output}.gate");
                self.graph.push("Sigmoid", &[input], &gate, &[]);
                self.graph.push("Mul", &[input, &gate], output, &[]);
            }
            Activation::Relu => self.graph.push("Relu", &[input], output, &[]),
            Activation::LeakyRelu(slope) => {
                self.graph.push("LeakyRelu", &[input], output, &[("alpha", Attribute::Float(slope))]);
            }
        }
    }

    fn pool(&mut self, operator: &str, wires: [&str; 2], geometry: [usize; 3]) {
        let [kernel, stride, padding] = geometry.map(|n| n as i64);
        let attributes = [
            ("kernel_shape", Attribute::Ints(&[kernel; 2])),
            ("strides", Attribute::Ints(&[stride; 2])),
            ("pads", Attribute::Ints(&[padding; 4])),
        ];
        self.graph.push(operator, &[wires[0]], wires[1], &attributes);
    }

    fn split(&mut self, input: &str, sizes: &[usize], outputs: &[Value]) {
        let names: Vec<String> = outputs.iter().map(|value| self.name(*value)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let lengths = format!("{}.lengths", names[0]);
        self.graph.ints(&lengths, &sizes.iter().map(|n| *n as i64).collect::<Vec<_>>());
        self.graph.node.push(node("Split", &[input, &lengths], &names, &[("axis", Attribute::Int(1))]));
    }

    fn resize(&mut self, wires: [&str; 2], scale: f32, interpolation: Interpolation) {
        let scales = format!("{}.scales", wires[1]);
        self.graph.floats(&scales, &[4], vec![1.0, 1.0, scale, scale]);
        let (mode, coordinates) = match interpolation {
            Interpolation::Nearest => ("nearest", "asymmetric"),
            Interpolation::Bilinear => ("linear", "half_pixel"),
        };
        let attributes = [
            ("mode", Attribute::Text(mode)),
            ("coordinate_transformation_mode", Attribute::Text(coordinates)),
            ("nearest_mode", Attribute::Text("floor")),
        ];
        self.graph.push("Resize", &[wires[0], "", &scales], wires[1], &attributes);
    }

    fn fuse_nearest(&mut self, inputs: &[Value], output: &str) {
        let Some(target) = inputs.last().copied() else { return };
        let mut terms = Vec::with_capacity(inputs.len());
        for (n, value) in inputs.iter().enumerate() {
            let name = self.name(*value);
            let ratio = self.ratio(*value, target);
            if ratio == 1.0 {
                terms.push(name);
                continue;
            }
            let resized = format!("{output}.term{n}");
            self.resize([&name, &resized], ratio, Interpolation::Nearest);
            terms.push(resized);
        }
        let terms: Vec<&str> = terms.iter().map(String::as_str).collect();
        self.graph.push("Sum", &terms, output, &[]);
    }

    /// A 1x1 convolution predicts the offsets in pixels; the operator samples at them.
    fn dysample(&mut self, input: &str, layer: &DySampleLayer, output: &str) {
        let path = &layer.path;
        let offset = format!("{output}.offset");
        match self.weights.offsets.remove(path).expect("bound to this architecture") {
            OffsetKernels::Static { weight, bias } => {
                self.offset_conv([input, &offset], layer, "offset", FusedConv { weight, bias });
            }
            OffsetKernels::Dynamic { weight, bias, scope_weight, scope_bias, init_pos } => {
                let named = |part: &str| format!("{output}.{part}");
                let (direction, scope, reach) = (named("direction"), named("scope"), named("reach"));
                self.offset_conv([input, &direction], layer, "offset", FusedConv { weight, bias });
                self.offset_conv([input, &scope], layer, "scope", FusedConv { weight: scope_weight, bias: scope_bias });
                self.graph.push("Sigmoid", &[&scope], &reach, &[]);
                let scaled = named("scaled");
                self.graph.push("Mul", &[&direction, &reach], &scaled, &[]);
                let constant = format!("{path}.init_pos");
                self.graph.floats(&constant, &[1, init_pos.len(), 1, 1], init_pos);
                self.graph.push("Add", &[&scaled, &constant], &offset, &[]);
            }
        }
        let attributes = [
            ("scale", Attribute::Int(layer.definition.scale as i64)),
            ("groups", Attribute::Int(layer.definition.groups as i64)),
        ];
        let mut operator = node(&format!("{DOMAIN}:{NAME}"), &[input, &offset], &[output], &attributes);
        operator.name = Some(path.clone());
        self.graph.node.push(operator);
    }

    fn offset_conv(&mut self, wires: [&str; 2], layer: &DySampleLayer, part: &str, kernel: FusedConv) {
        let shape = [layer.definition.offset_channels(), layer.definition.channels, 1, 1];
        let [weight, bias] = self.kernel(&format!("{}.{part}", layer.path), shape, kernel);
        self.graph.push("Conv", &[wires[0], &weight, &bias], wires[1], &[]);
    }
}

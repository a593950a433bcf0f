//! The network in training: the same steps that become the ONNX graph, with batch statistics, unfused branches and all
//! heads.

use std::collections::{BTreeMap, HashMap};

use burn_tensor::{Tensor, TensorData};

use super::activation::activate;
use super::kernels::{EPSILON, Normalised, average_pool, normalise};
use super::operations::{OffsetTensors, convolve, dysample, fuse_nearest, max_pool, resize};
use super::parameters::{Parameters, Statistics};
use crate::architecture::{Architecture, Convolution, DySampleLayer, Operation, RepConvolution, Step, Value};
use crate::config::Activation;

/// Share of a batch in the running statistics.
const MOMENTUM: f64 = 0.03;

/// Raw maps of one level.
#[derive(Debug, Clone)]
pub struct LevelMaps {
    /// Input pixels per anchor point.
    pub stride: usize,
    /// Box distributions, `[N, 64, H, W]`.
    pub boxes: Tensor<4>,
    /// Class logits, `[N, nc, H, W]`.
    pub classes: Tensor<4>,
}

/// What a forward pass gives.
#[derive(Debug)]
pub struct Forward {
    /// Maps of each branch of the head, auxiliary ones first, by level.
    pub branches: Vec<Vec<LevelMaps>>,
    measured: Vec<MeasuredStatistics>,
}

/// Statistics of a batch.
#[derive(Debug)]
struct MeasuredStatistics {
    place: usize,
    mean: Tensor<1>,
    variance: Tensor<1>,
    /// Values per channel.
    count: usize,
}

/// One forward pass under way.
struct Pass<'a> {
    parameters: &'a Parameters,
    measured: Vec<MeasuredStatistics>,
    /// Maps that later steps read, by the number of the value.
    maps: BTreeMap<usize, Tensor<4>>,
    /// How often each will be read.
    remaining: HashMap<usize, usize>,
}

/// Runs the network on `images` `[N, C, H, W]`, 0 to 1.
pub fn forward(architecture: &Architecture, parameters: &Parameters, images: Tensor<4>) -> Forward {
    forward_from(architecture, parameters, 0, BTreeMap::from([(0, images)]))
}

/// The maps that step `end` and later ones read, by the number of the value.
pub(super) fn maps_before(
    architecture: &Architecture,
    parameters: &Parameters,
    end: usize,
    images: Tensor<4>,
) -> BTreeMap<usize, Tensor<4>> {
    let mut pass = Pass::new(architecture, parameters, 0, BTreeMap::from([(0, images)]));
    architecture.steps()[..end].iter().for_each(|step| pass.step(step));
    pass.maps
}

/// As [`forward`], from step `start` on.
pub(super) fn forward_from(
    architecture: &Architecture,
    parameters: &Parameters,
    start: usize,
    maps: BTreeMap<usize, Tensor<4>>,
) -> Forward {
    let mut pass = Pass::new(architecture, parameters, start, maps);
    architecture.steps()[start..].iter().for_each(|step| pass.step(step));
    let mut level = |level: &crate::architecture::HeadLevel| LevelMaps {
        stride: level.stride,
        boxes: pass.take(level.boxes),
        classes: pass.take(level.classes),
    };
    let branches = architecture.head().branches.iter().map(|branch| branch.levels.iter().map(&mut level).collect());
    Forward { branches: branches.collect(), measured: pass.measured }
}

/// How often each value is read by steps from `start` on, and by the head.
fn uses(architecture: &Architecture, start: usize) -> HashMap<usize, usize> {
    let mut uses = HashMap::new();
    let read = architecture.steps()[start..].iter().flat_map(|step| &step.inputs);
    let levels = architecture.head().branches.iter().flat_map(|branch| &branch.levels);
    for value in read.chain(levels.flat_map(|level| [&level.boxes, &level.classes])) {
        *uses.entry(value.id).or_default() += 1;
    }
    uses
}

impl<'a> Pass<'a> {
    fn new(
        architecture: &Architecture,
        parameters: &'a Parameters,
        start: usize,
        maps: BTreeMap<usize, Tensor<4>>,
    ) -> Self {
        Self { parameters, measured: Vec::new(), maps, remaining: uses(architecture, start) }
    }

    fn step(&mut self, step: &Step) {
        let inputs = step.inputs.iter().map(|input| self.take(*input)).collect();
        let outputs = self.run(step, inputs);
        self.maps.extend(step.outputs.iter().map(|output| output.id).zip(outputs));
    }

    /// A map for one of its readers; the last one gets it whole.
    fn take(&mut self, value: Value) -> Tensor<4> {
        let left = self.remaining.get_mut(&value.id).expect("every value that is read was counted");
        *left -= 1;
        let map = if *left == 0 { self.maps.remove(&value.id) } else { self.maps.get(&value.id).cloned() };
        map.expect("steps are in the order of their wires")
    }

    fn run(&mut self, step: &Step, mut inputs: Vec<Tensor<4>>) -> Vec<Tensor<4>> {
        if let Operation::Concat = step.operation {
            return vec![Tensor::cat(inputs, 1)];
        }
        if let Operation::FuseNearest = step.operation {
            return vec![fuse_nearest(inputs)];
        }
        let x = inputs.remove(0);
        let output = match &step.operation {
            Operation::Convolution(convolution) => self.convolution(x, convolution),
            Operation::RepConvolution(rep) => self.rep_convolution(x, rep),
            Operation::AveragePool { kernel, stride } => average_pool(x, *kernel, *stride),
            Operation::MaxPool { kernel, stride, padding } => max_pool(x, *kernel, *stride, *padding),
            Operation::Split(sizes) => return x.split_with_sizes(sizes.to_vec(), 1),
            Operation::Add => x + inputs.remove(0),
            Operation::Upsample { scale, interpolation } => {
                let [_, _, height, width] = x.dims();
                resize(x, [height * scale, width * scale], *interpolation)
            }
            Operation::DySample(layer) => self.dysample(x, layer),
            Operation::Concat | Operation::FuseNearest => unreachable!("handled above"),
        };
        vec![output]
    }

    fn convolution(&mut self, x: Tensor<4>, convolution: &Convolution) -> Tensor<4> {
        let weight = self.parameters.shaped(&convolution.weight_name());
        if !convolution.normalised {
            let bias = self.parameters.vector(&format!("{}.bias", convolution.path));
            return activate(convolve(x, convolution, weight, bias), convolution.activation);
        }
        let y = convolve(x, convolution, weight, None);
        self.normalise(y, &format!("{}.bn", convolution.path), convolution.activation)
    }

    fn rep_convolution(&mut self, x: Tensor<4>, rep: &RepConvolution) -> Tensor<4> {
        let sum = self.convolution(x.clone(), &rep.large) + self.convolution(x, &rep.small);
        activate(sum, rep.activation)
    }

    fn normalise(&mut self, x: Tensor<4>, path: &str, activation: Activation) -> Tensor<4> {
        let part = |name: &str| self.parameters.shaped::<1>(&format!("{path}.{name}"));
        let place = self.parameters.place(path);
        let statistics = &self.parameters.statistics[place];
        if statistics.frozen {
            let (scale, shift) = fixed(part("weight"), part("bias"), statistics);
            return activate(x * scale + shift, activation);
        }
        let [batch, _, height, width] = x.dims();
        let Normalised { output, mean, variance } = normalise(x, part("weight"), part("bias"), activation);
        let (mean, variance) = (mean.without_autodiff(), variance.without_autodiff());
        self.measured.push(MeasuredStatistics { place, mean, variance, count: batch * height * width });
        output
    }

    fn dysample(&self, x: Tensor<4>, layer: &DySampleLayer) -> Tensor<4> {
        let DySampleLayer { path, definition } = layer;
        let scope = definition.dyscope.then(|| {
            let weight = self.parameters.shaped(&format!("{path}.scope.weight"));
            (weight, self.parameters.vector(&format!("{path}.scope.bias")))
        });
        let weight = self.parameters.shaped(&format!("{path}.offset.weight"));
        let bias = self.parameters.shaped(&format!("{path}.offset.bias"));
        dysample(x, definition, OffsetTensors { weight, bias, scope })
    }
}

/// Scale and shift of a normalisation by its running statistics, `[1, C, 1, 1]`.
fn fixed(gamma: Tensor<1>, beta: Tensor<1>, statistics: &Statistics) -> (Tensor<4>, Tensor<4>) {
    let (mean, variance) = (statistics.mean.clone().autodiff(), statistics.variance.clone().autodiff());
    let scale = gamma / (variance + EPSILON).sqrt();
    let shift = beta - mean * scale.clone();
    let shape = [1, scale.dims()[0], 1, 1];
    (scale.reshape(shape), shift.reshape(shape))
}

impl Forward {
    /// Moves the running statistics towards those of the batch.
    pub fn update_statistics(&mut self, parameters: &mut Parameters) {
        for MeasuredStatistics { place, mean, variance, count } in self.measured.drain(..) {
            let statistics = &mut parameters.statistics[place];
            let unbiased = count as f64 / (count.max(2) - 1) as f64;
            let moved = |old: Tensor<1>, new: Tensor<1>| old * (1.0 - MOMENTUM) + new * MOMENTUM;
            statistics.mean = moved(statistics.mean.clone(), mean);
            statistics.variance = moved(statistics.variance.clone(), variance * unbiased);
        }
    }
}

/// The images as the network takes them: `[N, 3, H, W]`, 0 to 1, from bytes.
pub fn images_tensor(parameters: &Parameters, images: &[u8], shape: [usize; 4]) -> Tensor<4> {
    let values: Vec<f32> = images.iter().copied().map(f32::from).collect();
    let options = (&parameters.device.clone().autodiff(), parameters.dtype);
    Tensor::from_data(TensorData::new(values, shape), options) / 255.0
}

//! Convolution and its gradients, without a matrix of patches in memory.
//!
//! An image is padded into planes, one for each phase of the stride, whose rows are so wide that a tap of the kernel is a
//! constant distance: with `p` counting output positions row by row in that width, `y[o][p] = Σ_t w[o][t] · s[tap_t + p]`,
//! where `t` runs over channels and places of the kernel. Positions between the end of a row and the beginning of the next
//! are computed and thrown away. The gradient of the input is the same sum over the padded gradient of the output, and that
//! of the weights the dot products of both: one layout for all three.

use burn_backend::{Shape, TensorMetadata};
use burn_flex::FlexTensor;
use burn_tensor::Tensor;
use burn_tensor::module::conv2d;
use burn_tensor::ops::ConvOptions;
use rayon::prelude::*;

use super::layout::Layout;
use super::tiles::{OUTPUTS, WIDTH, accumulate, dots, packed};
use super::{Real, into_vec, is_double, on_cpu, recorded, tensor_of, values};
use crate::architecture::Convolution;

/// Partial sums of the weights' gradient: a fixed number, so that the result does not depend on the number of threads.
const PARTS: usize = 8;

/// `x` `[N, C, H, W]` convolved with `weight` `[O, C / groups, K, K]`.
pub(in crate::train) fn convolve(x: Tensor<4>, weight: Tensor<4>, of: &Convolution) -> Tensor<4> {
    let (Some((x_values, x_node)), Some((weight_values, weight_node))) = (on_cpu(&x), on_cpu(&weight)) else {
        let Convolution { stride, padding, dilation, groups, .. } = of;
        let options = ConvOptions::new([*stride; 2], [*padding; 2], [*dilation; 2], *groups);
        return conv2d(x, weight, None, options);
    };
    let layout = Layout::new(x.dims(), of);
    drop((x, weight));
    let (nodes, state) = ([x_node, weight_node], (x_values, weight_values, layout));
    match is_double(&state.0) {
        true => recorded(nodes, forward::<f64>(&state), state, backward::<f64>),
        false => recorded(nodes, forward::<f32>(&state), state, backward::<f32>),
    }
}

/// Input, weight, and where everything lies.
type Saved = (FlexTensor, FlexTensor, Layout);

/// Memory of a thread, reused from image to image: what is zero stays zero.
struct Scratch<T> {
    padded: Vec<T>,
    padded_gradient: Vec<T>,
    /// Results in the width of a plane.
    flat: Vec<T>,
}

impl<T: Real> Scratch<T> {
    fn new() -> Self {
        Self { padded: Vec::new(), padded_gradient: Vec::new(), flat: Vec::new() }
    }

    /// A group of an image in padded planes, without a copy where they are the same.
    fn source<'a>(&'a mut self, x: &'a [T], layout: &Layout) -> &'a [T] {
        if layout.is_plain() && layout.positions() >= WIDTH {
            return x;
        }
        self.padded.resize(layout.padded_length(), T::zero());
        layout.pad(x, &mut self.padded);
        &self.padded
    }
}

fn forward<T: Real>((x, weight, layout): &Saved) -> FlexTensor {
    let (x, weight) = (values::<T>(x), values::<T>(weight));
    let (inputs, outputs) = (layout.inputs * layout.area(), layout.outputs * layout.out_area());
    let taps = layout.taps();
    let weights: Vec<Vec<[T; OUTPUTS]>> = weight
        .chunks_exact(layout.outputs * taps.len())
        .map(|weight| packed(layout.outputs, taps.len(), |output, tap| weight[output * taps.len() + tap]))
        .collect();
    let mut y = vec![T::zero(); layout.batch * layout.groups * outputs];
    y.par_chunks_exact_mut(outputs).zip(x.par_chunks_exact(inputs)).enumerate().for_each_init(
        Scratch::new,
        |scratch, (number, (y, x))| {
            let weights = &weights[number % layout.groups];
            let mut flat = std::mem::take(&mut scratch.flat);
            let source = scratch.source(x, layout);
            let positions = layout.positions();
            if layout.is_plain() && positions >= WIDTH {
                accumulate(weights, &taps, source, y, (layout.outputs, positions));
            } else {
                flat.resize(layout.outputs * positions.max(WIDTH), T::zero());
                accumulate(weights, &taps, source, &mut flat, (layout.outputs, positions));
                let flats = flat.chunks_exact(positions.max(WIDTH));
                for (y, flat) in y.chunks_exact_mut(layout.out_area()).zip(flats) {
                    let rows = flat.chunks(layout.columns);
                    y.chunks_exact_mut(layout.out_width)
                        .zip(rows)
                        .for_each(|(y, row)| y.copy_from_slice(&row[..y.len()]));
                }
            }
            scratch.flat = flat;
        },
    );
    let channels = layout.groups * layout.outputs;
    tensor_of(y, Shape::new([layout.batch, channels, layout.out_height, layout.out_width]))
}

/// A phase of the input's gradient: taps in the padded gradient of the output, and weights.
struct Phase<T> {
    row: usize,
    column: usize,
    taps: Vec<usize>,
    /// By group.
    weights: Vec<Vec<[T; OUTPUTS]>>,
}

fn phases<T: Real>(weight: &[T], layout: &Layout) -> Vec<Phase<T>> {
    let places = layout.places();
    let kernel = places.len();
    let of_phase = |phase: usize| places.iter().enumerate().filter(move |(_, place)| place.0 == phase);
    let mut phases = Vec::new();
    for row in 0..layout.stride {
        for column in 0..layout.stride {
            // Place in the kernel, and where its tap lies.
            let mut pairs = Vec::new();
            for (y, (_, down)) in of_phase(row) {
                for (x, (_, across)) in of_phase(column) {
                    pairs.push((y * kernel + x, (layout.reach - down) * layout.columns + layout.reach - across));
                }
            }
            let mut taps = Vec::new();
            for output in 0..layout.outputs {
                taps.extend(pairs.iter().map(|(_, tap)| output * layout.gradient_plane() + tap));
            }
            let group_length = layout.outputs * layout.inputs * kernel * kernel;
            let weights = weight.chunks_exact(group_length).map(|weight| {
                packed(layout.inputs, taps.len(), |input, tap| {
                    let (output, place) = (tap / pairs.len(), pairs[tap % pairs.len()].0);
                    weight[(output * layout.inputs + input) * kernel * kernel + place]
                })
            });
            // A kernel that is smaller than the stride does not see all of the input.
            if !taps.is_empty() {
                phases.push(Phase { row, column, weights: weights.collect(), taps });
            }
        }
    }
    phases
}

fn backward<T: Real>(
    (x, weight, layout): &Saved,
    gradient: FlexTensor,
    [wants_x, wants_weight]: [bool; 2],
) -> [Option<FlexTensor>; 2] {
    let (x_shape, weight_shape) = (x.shape(), weight.shape());
    let (x, weight, dy) = (values::<T>(x), values::<T>(weight), into_vec::<T>(gradient));
    let phases = if wants_x { phases(&weight, layout) } else { Vec::new() };
    let taps = layout.taps();
    let (inputs, outputs) = (layout.inputs * layout.area(), layout.outputs * layout.out_area());
    let group_length = layout.outputs * taps.len();
    let mut dx = vec![T::zero(); if wants_x { x.len() } else { 0 }];
    let part_images = layout.batch.div_ceil(PARTS);
    let part = part_images * layout.groups;
    let mut dx_parts: Vec<&mut [T]> = dx.chunks_mut(part * inputs).collect();
    dx_parts.resize_with(layout.batch.div_ceil(part_images), Default::default);
    let partial: Vec<Vec<T>> = dx_parts
        .into_par_iter()
        .zip(x.par_chunks(part * inputs))
        .zip(dy.par_chunks(part * outputs))
        .map(|((dx, x), dy)| {
            let mut scratch = Scratch::new();
            let mut dw = vec![T::zero(); if wants_weight { layout.groups * group_length } else { 0 }];
            let mut dx = dx.chunks_exact_mut(inputs);
            for (number, (x, dy)) in x.chunks_exact(inputs).zip(dy.chunks_exact(outputs)).enumerate() {
                let group = number % layout.groups;
                scratch.padded_gradient.resize(layout.padded_gradient_length(), T::zero());
                layout.pad_gradient(dy, &mut scratch.padded_gradient);
                if let Some(dx) = dx.next() {
                    let Scratch { padded_gradient, flat, .. } = &mut scratch;
                    input_gradient(&phases, group, padded_gradient, (dx, flat), layout);
                }
                if wants_weight {
                    let padded_gradient = std::mem::take(&mut scratch.padded_gradient);
                    let source = scratch.source(x, layout);
                    let dw = &mut dw[group * group_length..][..group_length];
                    weight_gradient(&padded_gradient, (source, &taps), dw, layout);
                    scratch.padded_gradient = padded_gradient;
                }
            }
            dw
        })
        .collect();
    let sum = |mut sum: Vec<T>, part: Vec<T>| {
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum = *sum + part);
        sum
    };
    let dw = partial.into_iter().reduce(sum).filter(|_| wants_weight);
    [wants_x.then(|| tensor_of(dx, x_shape)), dw.map(|dw| tensor_of(dw, weight_shape))]
}

fn input_gradient<T: Real>(
    phases: &[Phase<T>],
    group: usize,
    padded: &[T],
    (dx, flat): (&mut [T], &mut Vec<T>),
    layout: &Layout,
) {
    let (s, padding) = (layout.stride, layout.padding);
    let positions = layout.plane();
    let length = positions.max(WIDTH);
    flat.resize(layout.inputs * length, T::zero());
    for phase in phases {
        accumulate(&phase.weights[group], &phase.taps, padded, flat, (layout.inputs, positions));
        for (dx, flat) in dx.chunks_exact_mut(layout.area()).zip(flat.chunks_exact(length)) {
            // Rows and columns of the padded image that this phase has.
            let first = |phase: usize| (phase + s - padding % s) % s;
            let (first_row, first_column) = (first(phase.row), first(phase.column));
            for (n, line) in dx.chunks_exact_mut(layout.width).skip(first_row).step_by(s).enumerate() {
                let row = (first_row + padding) / s + n;
                let start = row * layout.columns + (first_column + padding) / s;
                let values = &flat[start..(row + 1) * layout.columns];
                if s == 1 {
                    line.copy_from_slice(&values[..line.len()]);
                } else {
                    line.iter_mut().skip(first_column).step_by(s).zip(values).for_each(|(to, value)| *to = *value);
                }
            }
        }
    }
}

fn weight_gradient<T: Real>(padded: &[T], (source, taps): (&[T], &[usize]), dw: &mut [T], layout: &Layout) {
    let starts: Vec<usize> =
        (0..layout.outputs).map(|output| output * layout.gradient_plane() + layout.gradient_start()).collect();
    dots((padded, &starts), (source, taps), layout.positions(), dw);
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_same, random};
    use super::*;
    use crate::config::Activation;

    /// Kernel, stride, padding, dilation and groups, on maps smaller than a tile, and not multiples of one.
    #[test]
    fn results_and_gradients_are_those_of_burn() {
        let cases = [
            (1, 1, 0, 1, 1),
            (3, 1, 1, 1, 1),
            (3, 2, 1, 1, 1),
            (3, 1, 1, 1, 4),
            (3, 1, 2, 2, 1),
            (3, 2, 1, 1, 8),
            (5, 3, 2, 1, 2),
            (1, 2, 0, 1, 1),
            (2, 2, 0, 1, 1),
        ];
        for (kernel, stride, padding, dilation, groups) in cases {
            for (batch, [height, width]) in [(3, [13, 17]), (9, [4, 5]), (2, [40, 33])] {
                let convolution = Convolution {
                    path: String::new(),
                    input: 8,
                    output: 16,
                    kernel,
                    stride,
                    padding,
                    dilation,
                    groups,
                    normalised: true,
                    activation: Activation::Identity,
                };
                let (x, weight) = (random([batch, 8, height, width], 1), random(convolution.weight_shape(), 2));
                let ours = convolve(x.clone(), weight.clone(), &convolution);
                let options = ConvOptions::new([stride; 2], [padding; 2], [dilation; 2], groups);
                let theirs = conv2d(x.clone(), weight.clone(), None, options);
                let name = format!("{kernel}x{kernel}, {stride}, {padding}, {dilation}, {groups} on {height}x{width}");
                assert_same(&name, ours, theirs, &[&x, &weight]);
            }
        }
    }
}

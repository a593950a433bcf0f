//! Batch normalisation and activation in one operation.
//!
//! With `m` values per channel, batch mean `μ` and biased variance `v`: `x̂ = (x − μ) / √(v + ε)`, `z = γ x̂ + β`,
//! `y = act(z)`. Backwards, with `dz = act'(z) dy`: `dβ = Σ dz`, `dγ = Σ dz x̂` and
//! `dx = γ / √(v + ε) · (dz − dβ/m − x̂ dγ/m)` (Ioffe and Szegedy, arXiv 1502.03167, section 3).

use burn_backend::{Shape, TensorMetadata};
use burn_flex::{Flex, FlexTensor};
use burn_tensor::Tensor;
use burn_tensor::module::{BatchNormTrainOutput, batch_norm_train};
use rayon::prelude::*;

use super::{Real, into_vec, is_double, on_cpu, recorded, tensor_of, values, vectorised};
use crate::config::Activation;
use crate::train::activation::activate;

/// Epsilon of every batch normalisation of YOLOv9.
pub(in crate::train) const EPSILON: f64 = 1e-3;

/// What a normalisation gives.
pub(in crate::train) struct Normalised {
    /// `act(γ x̂ + β)`, of the input's shape.
    pub(in crate::train) output: Tensor<4>,
    /// Mean of the batch, per channel; without gradients.
    pub(in crate::train) mean: Tensor<1>,
    /// Biased variance of the batch, per channel; without gradients.
    pub(in crate::train) variance: Tensor<1>,
}

/// `x` normalised with the statistics of its batch, scaled by `gamma`, shifted by `beta` and activated.
pub(in crate::train) fn normalise(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    activation: Activation,
) -> Normalised {
    let (Some(x_parts), Some(gamma_parts), Some(beta_parts)) = (on_cpu(&x), on_cpu(&gamma), on_cpu(&beta)) else {
        let BatchNormTrainOutput { output, mean, variance } = batch_norm_train(x, gamma, beta, EPSILON);
        return Normalised { output: activate(output, activation), mean, variance };
    };
    // The values are in the parts.
    drop((x, gamma, beta));
    let ((x, x_node), (gamma, gamma_node), (beta, beta_node)) = (x_parts, gamma_parts, beta_parts);
    let run = if is_double(&x) { forward::<f64> } else { forward::<f32> };
    let (output, state) = run(x, gamma, beta, activation);
    let statistic = |values: &[f64], like: &FlexTensor| {
        let values = values.to_vec();
        let shape = Shape::new([values.len()]);
        let tensor = match is_double(like) {
            true => tensor_of(values, shape),
            false => tensor_of(values.iter().map(|value| *value as f32).collect(), shape),
        };
        Tensor::<1>::from_primitive::<Flex>(tensor)
    };
    let (mean, variance) = (statistic(&state.mean, &state.x), statistic(&state.variance, &state.x));
    let derivative = if is_double(&state.x) { backward::<f64> } else { backward::<f32> };
    Normalised { output: recorded([x_node, gamma_node, beta_node], output, state, derivative), mean, variance }
}

#[derive(Debug, Clone)]
struct Saved {
    x: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    mean: Vec<f64>,
    variance: Vec<f64>,
    activation: Activation,
}

/// Sizes of `[N, C, H, W]`: channels and positions of one plane.
fn planes(x: &FlexTensor) -> (usize, usize) {
    let shape = x.shape();
    (shape[1], shape[2] * shape[3])
}

fn forward<T: Real>(x: FlexTensor, gamma: FlexTensor, beta: FlexTensor, activation: Activation) -> (FlexTensor, Saved) {
    let (channels, area) = planes(&x);
    let input = values::<T>(&x);
    let count = input.len() / channels;
    let sums = per_channel(input.par_chunks_exact(area).map(|plane| [sum(plane, |value| value), 0.0]), channels);
    let mean: Vec<f64> = sums.iter().map(|[sum, _]| sum / count as f64).collect();
    // A second pass around the mean: the difference of two large sums would lose digits.
    let squares = input.par_chunks_exact(area).enumerate().map(|(plane, values)| {
        let mean = T::of(mean[plane % channels]);
        [sum(values, |value| (value - mean) * (value - mean)), 0.0]
    });
    let variance: Vec<f64> = per_channel(squares, channels).iter().map(|[sum, _]| sum / count as f64).collect();
    let mut output = vec![T::zero(); input.len()];
    let (gammas, betas) = (values::<T>(&gamma), values::<T>(&beta));
    output.par_chunks_exact_mut(area).zip(input.par_chunks_exact(area)).enumerate().for_each(|(plane, (y, x))| {
        let channel = plane % channels;
        let scale = gammas[channel].wide() / (variance[channel] + EPSILON).sqrt();
        let shift = betas[channel].wide() - mean[channel] * scale;
        apply(x, y, T::of(scale), T::of(shift), activation);
    });
    let shape = x.shape();
    drop((input, gammas, betas));
    (tensor_of(output, shape), Saved { x, gamma, beta, mean, variance, activation })
}

fn backward<T: Real>(state: &Saved, gradient: FlexTensor, _: [bool; 3]) -> [Option<FlexTensor>; 3] {
    let (channels, area) = planes(&state.x);
    let shape = state.x.shape();
    let input = values::<T>(&state.x);
    let (gammas, betas) = (values::<T>(&state.gamma), values::<T>(&state.beta));
    let inverse = |channel: usize| 1.0 / (state.variance[channel] + EPSILON).sqrt();
    let mut gradient = into_vec::<T>(gradient);
    let sums =
        gradient.par_chunks_exact_mut(area).zip(input.par_chunks_exact(area)).enumerate().map(|(plane, (dz, x))| {
            let channel = plane % channels;
            let of = [state.mean[channel], inverse(channel), gammas[channel].wide(), betas[channel].wide()];
            activation_gradient(x, dz, of.map(T::of), state.activation)
        });
    let sums = per_channel(sums, channels);
    let count = (input.len() / channels) as f64;
    gradient.par_chunks_exact_mut(area).zip(input.par_chunks_exact(area)).enumerate().for_each(|(plane, (dz, x))| {
        let channel = plane % channels;
        let [beta, gamma] = sums[channel];
        let inverse = inverse(channel);
        let scale = gammas[channel].wide() * inverse;
        // dx = scale · (dz − dβ/m − (x − μ) · inverse · dγ/m) = scale · dz + a · x + b
        let a = -scale * inverse * gamma / count;
        let b = -scale * beta / count - a * state.mean[channel];
        let (scale, a, b) = (T::of(scale), T::of(a), T::of(b));
        vectorised!(dz, |dz| dz.iter_mut().zip(x).for_each(|(dz, x)| *dz = scale * *dz + a * *x + b));
    });
    let vector = |part: usize| {
        let values: Vec<T> = sums.iter().map(|sums| T::of(sums[part])).collect();
        tensor_of(values, Shape::new([channels]))
    };
    [tensor_of(gradient, shape), vector(1), vector(0)].map(Some)
}

/// Sums over the planes of each channel, in the order of the images whatever thread computed them.
fn per_channel(planes: impl IndexedParallelIterator<Item = [f64; 2]>, channels: usize) -> Vec<[f64; 2]> {
    let planes: Vec<[f64; 2]> = planes.collect();
    let mut sums = vec![[0.0; 2]; channels];
    for (plane, [first, second]) in planes.into_iter().enumerate() {
        sums[plane % channels][0] += first;
        sums[plane % channels][1] += second;
    }
    sums
}

/// Lanes of partial sums: what the widest vectors hold, and fewer values in one sum.
const LANES: usize = 16;
/// After that many values for each lane the partial sums go into f64.
const BLOCK: usize = 64;

fn sum<T: Real>(values: &[T], of: impl Fn(T) -> T) -> f64 {
    vectorised!(values, |values: &[T]| {
        let mut total = 0.0;
        for block in values.chunks(LANES * BLOCK) {
            let mut lanes = [T::zero(); LANES];
            let (whole, rest) = block.as_chunks::<LANES>();
            for chunk in whole {
                for lane in 0..LANES {
                    lanes[lane] = lanes[lane] + of(chunk[lane]);
                }
            }
            total += rest.iter().map(|value| of(*value).wide()).sum::<f64>();
            total += lanes.iter().map(|lane| lane.wide()).sum::<f64>();
        }
        total
    })
}

/// The slope below 0 of what is straight on both sides of it; nothing for SiLU.
fn slope_below<T: Real>(activation: Activation) -> Option<T> {
    match activation {
        Activation::Silu => None,
        Activation::Relu => Some(T::zero()),
        Activation::LeakyRelu(slope) => Some(T::of(f64::from(slope))),
        Activation::Identity => Some(T::one()),
    }
}

fn apply<T: Real>(x: &[T], y: &mut [T], scale: T, shift: T, activation: Activation) {
    match slope_below(activation) {
        None => vectorised!(y, |y| y.iter_mut().zip(x).for_each(|(y, x)| {
            let z = *x * scale + shift;
            *y = z * sigmoid(z);
        })),
        Some(slope) => vectorised!(y, |y| y.iter_mut().zip(x).for_each(|(y, x)| {
            let z = *x * scale + shift;
            *y = if z > T::zero() { z } else { z * slope };
        })),
    }
}

#[inline(always)]
fn sigmoid<T: Real>(z: T) -> T {
    T::one() / (T::one() + (-z).exponential())
}

/// Turns the gradient of `y` into that of `z` and gives the sums of `dz` and `dz · x̂`.
fn activation_gradient<T: Real>(x: &[T], dz: &mut [T], of: [T; 4], activation: Activation) -> [f64; 2] {
    match slope_below(activation) {
        None => differentiate(
            x,
            dz,
            of,
            #[inline(always)]
            |z| {
                let s = sigmoid(z);
                s * (T::one() + z * (T::one() - s))
            },
        ),
        Some(slope) => differentiate(
            x,
            dz,
            of,
            #[inline(always)]
            |z| if z > T::zero() { T::one() } else { slope },
        ),
    }
}

fn differentiate<T: Real>(x: &[T], dz: &mut [T], of: [T; 4], slope: impl Fn(T) -> T) -> [f64; 2] {
    let [mean, inverse, gamma, beta] = of;
    vectorised!(dz, |dz: &mut [T]| {
        let mut totals = [0.0; 2];
        for (dz, x) in dz.chunks_mut(LANES * BLOCK).zip(x.chunks(LANES * BLOCK)) {
            let (mut plain, mut weighted) = ([T::zero(); LANES], [T::zero(); LANES]);
            let ((whole_dz, rest_dz), (whole_x, rest_x)) = (dz.as_chunks_mut::<LANES>(), x.as_chunks::<LANES>());
            for (dz, x) in whole_dz.iter_mut().zip(whole_x) {
                for lane in 0..LANES {
                    let normalised = (x[lane] - mean) * inverse;
                    dz[lane] = dz[lane] * slope(gamma * normalised + beta);
                    plain[lane] = plain[lane] + dz[lane];
                    weighted[lane] = weighted[lane] + dz[lane] * normalised;
                }
            }
            for (lane, (dz, x)) in rest_dz.iter_mut().zip(rest_x).enumerate() {
                let normalised = (*x - mean) * inverse;
                *dz = *dz * slope(gamma * normalised + beta);
                plain[lane] = plain[lane] + *dz;
                weighted[lane] = weighted[lane] + *dz * normalised;
            }
            for lane in 0..LANES {
                totals[0] += plain[lane].wide();
                totals[1] += weighted[lane].wide();
            }
        }
        totals
    })
}

//! Mean over a window that moves by one position, as in the down-sampling blocks.

use burn_backend::{Shape, TensorMetadata};
use burn_flex::FlexTensor;
use burn_tensor::Tensor;
use burn_tensor::module::avg_pool2d;
use burn_tensor::ops::AvgPoolOptions;
use rayon::prelude::*;

use super::{Real, into_vec, is_double, on_cpu, recorded, tensor_of, values, vectorised};

/// The mean of `x` over squares of `kernel` positions, without padding.
pub(in crate::train) fn average_pool(x: Tensor<4>, kernel: usize, stride: usize) -> Tensor<4> {
    let on_cpu = if stride == 1 { on_cpu(&x) } else { None };
    let Some((x_values, x_node)) = on_cpu else {
        return avg_pool2d(x, AvgPoolOptions::new([kernel; 2]).with_stride([stride; 2]));
    };
    drop(x);
    let state = (x_values.shape(), kernel);
    match is_double(&x_values) {
        true => recorded([x_node], forward::<f64>(&x_values, kernel), state, backward::<f64>),
        false => recorded([x_node], forward::<f32>(&x_values, kernel), state, backward::<f32>),
    }
}

/// Rows of the small map beside those rows of the large one that a place of the window meets, from its column on.
fn pairs(kernel: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..kernel).flat_map(move |row| (0..kernel).map(move |column| (row, column)))
}

fn forward<T: Real>(x: &FlexTensor, kernel: usize) -> FlexTensor {
    let shape = x.shape();
    let (height, width) = (shape[2], shape[3]);
    let (rows, columns) = (height + 1 - kernel, width + 1 - kernel);
    let x = values::<T>(x);
    let mut y = vec![T::zero(); shape[0] * shape[1] * rows * columns];
    let share = T::of(1.0 / (kernel * kernel) as f64);
    y.par_chunks_exact_mut(rows * columns).zip(x.par_chunks_exact(height * width)).for_each(|(y, x)| {
        vectorised!(y, |y: &mut [T]| {
            for (row, y) in y.chunks_exact_mut(columns).enumerate() {
                for (down, across) in pairs(kernel) {
                    let x = &x[(row + down) * width + across..][..columns];
                    y.iter_mut().zip(x).for_each(|(y, x)| *y = *y + *x);
                }
                y.iter_mut().for_each(|y| *y = *y * share);
            }
        });
    });
    tensor_of(y, Shape::new([shape[0], shape[1], rows, columns]))
}

fn backward<T: Real>((shape, kernel): &(Shape, usize), gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
    let kernel = *kernel;
    let (height, width) = (shape[2], shape[3]);
    let (rows, columns) = (height + 1 - kernel, width + 1 - kernel);
    let dy = into_vec::<T>(gradient);
    let mut dx = vec![T::zero(); shape.num_elements()];
    let share = T::of(1.0 / (kernel * kernel) as f64);
    dx.par_chunks_exact_mut(height * width).zip(dy.par_chunks_exact(rows * columns)).for_each(|(dx, dy)| {
        vectorised!(dx, |dx: &mut [T]| {
            for (row, dy) in dy.chunks_exact(columns).enumerate() {
                for (down, across) in pairs(kernel) {
                    let dx = &mut dx[(row + down) * width + across..][..columns];
                    dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = *dx + *dy * share);
                }
            }
        });
    });
    [Some(tensor_of(dx, shape.clone()))]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_same, random};
    use super::*;

    #[test]
    fn results_and_gradients_are_those_of_burn() {
        for kernel in [2, 3] {
            let x = random([2, 3, 9, 21], 1);
            let theirs = avg_pool2d(x.clone(), AvgPoolOptions::new([kernel; 2]).with_stride([1; 2]));
            let ours = average_pool(x.clone(), kernel, 1);
            assert_same(&format!("{kernel}x{kernel}"), ours, theirs, &[&x]);
        }
    }
}

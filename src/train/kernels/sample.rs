//! DySample's sampling step and its gradient.
//!
//! A point `(px, py) = (column + offset x, row + offset y)` is clamped to the map and lies between four positions. With
//! `fx`, `fy` its distances from the left and upper ones, the value is bilinear in them, and
//! `∂y/∂px = (1 − fy)(v01 − v00) + fy (v11 − v10)`, `∂y/∂py` likewise. A coordinate that was clamped has no gradient, and
//! on a position the derivative is the one to its right, as in PyTorch's `grid_sample`.

use burn_backend::TensorMetadata;
use burn_flex::FlexTensor;
use burn_tensor::ops::{GridSampleOptions, GridSamplePaddingMode, InterpolateMode};
use burn_tensor::{DType, Tensor, TensorData};
use rayon::prelude::*;

use super::{Real, into_vec, is_double, on_cpu, recorded, tensor_of, values};
use crate::dysample::{Geometry, Kernel, ScratchPool, Tensors, Upsampling};

/// `x` `[N, C, H, W]` sampled at `offset` `[N, 2·groups·scale², H, W]`, in pixels of `x`, to `[N, C, scale·H, scale·W]`.
pub(in crate::train) fn sample(x: Tensor<4>, offset: Tensor<4>, scale: usize, groups: usize) -> Tensor<4> {
    let geometry = Geometry::new(&x.dims(), &offset.dims(), scale, groups)
        .expect("the architecture resolved, so shapes belong together");
    let (Some((x_values, x_node)), Some((offset_values, offset_node))) = (on_cpu(&x), on_cpu(&offset)) else {
        return by_grid_sample(x, offset, scale, groups);
    };
    drop((x, offset));
    let (nodes, state) = ([x_node, offset_node], (x_values, offset_values, geometry));
    match is_double(&state.0) {
        true => recorded(nodes, forward(&state), state, backward::<f64>),
        false => recorded(nodes, forward_simd(&state), state, backward::<f32>),
    }
}

/// Map, offsets, and their shapes.
type Saved = (FlexTensor, FlexTensor, Geometry);

/// The kernels that inference uses, so that training sees the same bits.
fn forward_simd((x, offset, geometry): &Saved) -> FlexTensor {
    let mut output = vec![0f32; geometry.output_shape().iter().product()];
    let (x, offset) = (values::<f32>(x), values::<f32>(offset));
    let scratch = ScratchPool::default();
    let tensors = Tensors { x: &x, offset: &offset, y: &mut output };
    let threads = rayon::current_num_threads();
    let upsample = Upsampling::new(Kernel::best(), *geometry, tensors, &scratch, threads);
    (0..upsample.parts()).into_par_iter().for_each(|part| upsample.run(part));
    drop(upsample);
    tensor_of(output, geometry.output_shape().into())
}

fn forward((x, offset, geometry): &Saved) -> FlexTensor {
    let (x, offset) = (values::<f64>(x), values::<f64>(offset));
    let (area, pixels) = (geometry.positions(), geometry.pixels());
    let mut output = vec![0f64; geometry.output_shape().iter().product()];
    output.chunks_exact_mut(pixels * geometry.group_channels()).enumerate().for_each(|(part, output)| {
        let points = points_of(&offset, geometry, part);
        for (channel, output) in output.chunks_exact_mut(pixels).enumerate() {
            let start = (part * geometry.group_channels() + channel) * area;
            let map = &x[start..start + area];
            points.iter().zip(output).for_each(|(point, output)| *output = point.value(map));
        }
    });
    tensor_of(output, geometry.output_shape().into())
}

fn backward<T: Real>((x, offset, geometry): &Saved, gradient: FlexTensor, _: [bool; 2]) -> [Option<FlexTensor>; 2] {
    let (area, pixels, channels) = (geometry.positions(), geometry.pixels(), geometry.group_channels());
    let (x_values, offsets, gradient) = (values::<T>(x), values::<T>(offset), into_vec::<T>(gradient));
    let mut dx = vec![T::zero(); x_values.len()];
    let parts = dx.par_chunks_exact_mut(channels * area).enumerate();
    let point_gradients: Vec<Vec<[T; 2]>> = parts
        .map(|(part, dx)| {
            let points = points_of(&offsets, geometry, part);
            let mut of_points = vec![[T::zero(); 2]; pixels];
            for channel in 0..channels {
                let plane = part * channels + channel;
                let map = &x_values[plane * area..(plane + 1) * area];
                let gradient = &gradient[plane * pixels..(plane + 1) * pixels];
                let dx = &mut dx[channel * area..(channel + 1) * area];
                for ((point, gradient), of_point) in points.iter().zip(gradient).zip(&mut of_points) {
                    point.scatter(dx, *gradient);
                    let [px, py] = point.slopes(map);
                    *of_point = [of_point[0] + *gradient * px, of_point[1] + *gradient * py];
                }
            }
            of_points.iter_mut().zip(&points).for_each(|(of_point, point)| {
                let free = |free: bool| if free { T::one() } else { T::zero() };
                *of_point = [of_point[0] * free(point.free[0]), of_point[1] * free(point.free[1])];
            });
            of_points
        })
        .collect();
    let mut d_offset = vec![T::zero(); offsets.len()];
    for (part, of_points) in point_gradients.iter().enumerate() {
        for_each_point(geometry, part, |pixel, at| {
            d_offset[at[0]] = of_points[pixel][0];
            d_offset[at[1]] = of_points[pixel][1];
        });
    }
    [tensor_of(dx, x.shape()), tensor_of(d_offset, offset.shape())].map(Some)
}

/// Calls with each output pixel of an image and group, and where its two offsets lie.
fn for_each_point(geometry: &Geometry, part: usize, mut with: impl FnMut(usize, [usize; 2])) {
    let [_, _, height, width] = geometry.output_shape();
    for row in 0..height {
        for column in 0..width {
            let at = |component| geometry.offset_at(part, component, [row, column]);
            with(row * width + column, [at(0), at(1)]);
        }
    }
}

/// Where the output pixels of one image and group are sampled.
fn points_of<T: Real>(offsets: &[T], geometry: &Geometry, part: usize) -> Vec<SamplingPoint<T>> {
    let (height, width) = (geometry.height, geometry.width);
    let [_, _, rows, columns] = geometry.output_shape();
    let scale = geometry.scale;
    let mut points = Vec::with_capacity(rows * columns);
    for_each_point(geometry, part, |pixel, at| {
        let (row, column) = (pixel / columns / scale, pixel % columns / scale);
        let x = T::of(column as f64) + offsets[at[0]];
        let y = T::of(row as f64) + offsets[at[1]];
        points.push(SamplingPoint::new([x, y], width, height));
    });
    points
}

#[derive(Clone, Copy)]
struct SamplingPoint<T> {
    /// Positions: upper left, and the steps to the right and downwards.
    upper_left: usize,
    right: usize,
    down: usize,
    fx: T,
    fy: T,
    /// Whether the coordinates were not clamped.
    free: [bool; 2],
}

impl<T: Real> SamplingPoint<T> {
    fn new([x, y]: [T; 2], width: usize, height: usize) -> Self {
        let clamp = |value: T, length: usize| {
            let last = T::of((length - 1) as f64);
            // `max` gives 0 for NaN.
            let inside = value.max(T::zero()).min(last);
            (inside, value > T::zero() && value < last)
        };
        let ((x, x_free), (y, y_free)) = (clamp(x, width), clamp(y, height));
        let (left, top) = (x.floor().wide() as usize, y.floor().wide() as usize);
        Self {
            upper_left: top * width + left,
            right: usize::from(left + 1 < width),
            down: if top + 1 < height { width } else { 0 },
            fx: x - x.floor(),
            fy: y - y.floor(),
            free: [x_free, y_free],
        }
    }

    fn corners(&self, map: &[T]) -> [T; 4] {
        let Self { upper_left, right, down, .. } = *self;
        [map[upper_left], map[upper_left + right], map[upper_left + down], map[upper_left + down + right]]
    }

    fn value(&self, map: &[T]) -> T {
        let ([v00, v01, v10, v11], one) = (self.corners(map), T::one());
        let (fx, fy) = (self.fx, self.fy);
        ((one - fx) * (one - fy) * v00 + fx * (one - fy) * v01) + ((one - fx) * fy * v10 + fx * fy * v11)
    }

    /// Derivatives of the value by both coordinates.
    #[inline(always)]
    fn slopes(&self, map: &[T]) -> [T; 2] {
        let [v00, v01, v10, v11] = self.corners(map);
        let (fx, fy) = (self.fx, self.fy);
        let upper = v01 - v00;
        let left = v10 - v00;
        [upper + fy * (v11 - v10 - upper), left + fx * (v11 - v01 - left)]
    }

    #[inline(always)]
    fn scatter(&self, dx: &mut [T], gradient: T) {
        let (one, Self { upper_left, right, down, fx, fy, .. }) = (T::one(), *self);
        let (upper, lower) = (gradient * (one - fy), gradient * fy);
        let mut add = |at: usize, value: T| dx[at] = dx[at] + value;
        add(upper_left, upper * (one - fx));
        add(upper_left + right, upper * fx);
        add(upper_left + down, lower * (one - fx));
        add(upper_left + down + right, lower * fx);
    }
}

/// The same with burn's `grid_sample_2d`, for devices that have no kernel of ours. Its coordinates go from -1 to 1 over
/// the whole map, the outer edges included.
fn by_grid_sample(x: Tensor<4>, offset: Tensor<4>, scale: usize, groups: usize) -> Tensor<4> {
    let ([batch, channels, height, width], device, dtype) = (x.dims(), x.device(), x.dtype());
    let (rows, columns) = (height * scale, width * scale);
    let pixels = offset.reshape([batch * 2 * groups, scale, scale, height, width]);
    let pixels = pixels.permute([0, 3, 1, 4, 2]).reshape([batch, 2, groups, rows, columns]);
    let component = |n: usize, along_rows: bool, length: usize| {
        let part = pixels.clone().narrow(1, n, 1).reshape([batch * groups, rows, columns]);
        let base: Vec<f32> = (0..rows * columns)
            .map(|pixel| if along_rows { pixel / columns / scale } else { pixel % columns / scale } as f32)
            .collect();
        let base = TensorData::new(base, [1, rows, columns]);
        let base = Tensor::<3>::from_data(base, (&device, dtype));
        (part + base + 0.5) * (2.0 / length as f64) - 1.0
    };
    let grid = Tensor::stack::<4>(vec![component(0, false, width), component(1, true, height)], 3);
    let options = GridSampleOptions::new(InterpolateMode::Bilinear)
        .with_padding_mode(GridSamplePaddingMode::Border)
        .with_align_corners(false);
    let x = x.reshape([batch * groups, channels / groups, height, width]);
    debug_assert!(matches!(dtype, DType::F32 | DType::F64));
    x.grid_sample_2d(grid, options).reshape([batch, channels, rows, columns])
}

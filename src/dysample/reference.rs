//! The specification of the sampling step: slow, and readable at one glance.
//!
//! Every [`Kernel`](super::Kernel) gives exactly the same bits (of a NaN only that it is one), on every machine: all of them compute the same
//! products and sums in the same order, none of them fused.

use ndarray::{Array4, ArrayView2, ArrayView4, s};

use super::{Geometry, GeometryError};

/// As [`upsample()`](super::upsample()), one value after the other.
///
/// # Errors
/// As [`upsample()`](super::upsample()).
pub fn upsample(
    x: ArrayView4<'_, f32>,
    offset: ArrayView4<'_, f32>,
    scale: usize,
    groups: usize,
) -> Result<Array4<f32>, GeometryError> {
    let geometry = Geometry::new(x.shape(), offset.shape(), scale, groups)?;
    let channels_per_group = geometry.channels / groups;
    // [N, 2·G·s²] channels in the order component, group, row and column among the output pixels of a position.
    let offset_channel =
        |component: usize, group: usize, i: usize, j: usize| ((component * groups + group) * scale + i) * scale + j;
    Ok(Array4::from_shape_fn(geometry.output_shape(), |(image, channel, row, column)| {
        let (h, i) = (row / scale, row % scale);
        let (w, j) = (column / scale, column % scale);
        let group = channel / channels_per_group;
        let horizontal = offset[[image, offset_channel(0, group, i, j), h, w]];
        let vertical = offset[[image, offset_channel(1, group, i, j), h, w]];
        bilinear(x.slice(s![image, channel, .., ..]), w as f32 + horizontal, h as f32 + vertical)
    }))
}

/// The map at column `x` and row `y`, where whole numbers are the centres of its positions.
///
/// The point is clamped to the map first. It lies between the positions at the floor and the ceiling of its coordinates:
/// on a position's centre both are that position, whose value, if it is finite, is then the result, bit for bit. (An infinite
/// one gives NaN, as it is multiplied by 0 too.)
fn bilinear(map: ArrayView2<'_, f32>, x: f32, y: f32) -> f32 {
    let (height, width) = map.dim();
    // `max` gives 0 for NaN.
    let x = x.max(0.0).min((width - 1) as f32);
    let y = y.max(0.0).min((height - 1) as f32);
    let (left, right) = (x.floor() as usize, x.ceil() as usize);
    let (top, bottom) = (y.floor() as usize, y.ceil() as usize);
    let (fx, fy) = (x - x.floor(), y - y.floor());
    let upper = (1.0 - fx) * (1.0 - fy) * map[[top, left]] + fx * (1.0 - fy) * map[[top, right]];
    let lower = (1.0 - fx) * fy * map[[bottom, left]] + fx * fy * map[[bottom, right]];
    upper + lower
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn points_are_clamped_to_the_map() {
        let map = array![[1.0f32, 2.0], [3.0, 5.0]];
        let at = |x: f32, y: f32| bilinear(map.view(), x, y);
        assert_eq!(at(0.5, 0.0), 1.5);
        assert_eq!(at(0.5, 0.5), 2.75);
        assert_eq!(at(-7.0, -0.25), 1.0);
        assert_eq!(at(f32::INFINITY, f32::NEG_INFINITY), 2.0);
        assert_eq!(at(1e30, 1e30), 5.0);
        assert_eq!(at(f32::NAN, 1.0), 3.0);
    }

    #[test]
    fn a_point_on_a_position_has_its_bits_whatever_stands_beside_it() {
        let map = array![[-0.0f32, f32::INFINITY], [f32::NAN, f32::MIN_POSITIVE / 2.0]];
        assert_eq!(bilinear(map.view(), 0.0, 0.0).to_bits(), (-0.0f32).to_bits());
        assert_eq!(bilinear(map.view(), 1.0, 1.0), f32::MIN_POSITIVE / 2.0);
        assert!(bilinear(map.view(), 1.0, 0.0).is_nan(), "an infinite position itself");
    }
}

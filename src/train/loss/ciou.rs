//! Complete IoU (Zheng et al., *Enhancing Geometric Factors*, arXiv 2005.03572) and its gradient.
//!
//! `CIoU = IoU − d²/c² − α v` with the distance `d` of the centres, the diagonal `c` of the smallest box around both,
//! `v = 4/π² (atan(w/h) − atan(w'/h'))²` and `α = v / (v − IoU + 1)`, which counts as a constant in the gradient.

use std::ops::{Add, Div, Mul, Sub};

/// Keeps denominators away from 0, as in the official code.
const EPSILON: f64 = 1e-7;

/// A value with its derivatives by the four sides of a box: differentiation in forward mode.
#[derive(Debug, Clone, Copy)]
struct Dual {
    value: f64,
    slopes: [f64; 4],
}

impl Dual {
    /// The variable of that number.
    fn variable(value: f64, number: usize) -> Self {
        let mut slopes = [0.0; 4];
        slopes[number] = 1.0;
        Self { value, slopes }
    }

    fn constant(value: f64) -> Self {
        Self { value, slopes: [0.0; 4] }
    }

    fn atan(self) -> Self {
        let slope = 1.0 / (1.0 + self.value * self.value);
        Self { value: self.value.atan(), slopes: self.slopes.map(|own| own * slope) }
    }

    fn min(self, other: Self) -> Self {
        if other.value < self.value { other } else { self }
    }

    fn max(self, other: Self) -> Self {
        if other.value > self.value { other } else { self }
    }

    fn join(self, other: Self, value: f64, slope: f64, other_slope: f64) -> Self {
        let slopes = std::array::from_fn(|n| self.slopes[n] * slope + other.slopes[n] * other_slope);
        Self { value, slopes }
    }
}

impl Add for Dual {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.join(other, self.value + other.value, 1.0, 1.0)
    }
}

impl Sub for Dual {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.join(other, self.value - other.value, 1.0, -1.0)
    }
}

impl Mul for Dual {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.join(other, self.value * other.value, other.value, self.value)
    }
}

impl Div for Dual {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        let quotient = self.value / other.value;
        self.join(other, quotient, 1.0 / other.value, -quotient / other.value)
    }
}

/// A labelled box and what the formula needs of it. Like the official code, which holds labels in f32 whatever the network
/// computes in, it computes these in f32, so that both can be compared to the last digits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object {
    corners: [f64; 4],
    /// `x1 + x2` and `y1 + y2`.
    sums: [f64; 2],
    area: f64,
    /// `atan(w / h)`.
    angle: f64,
}

impl Object {
    /// From corners `x1, y1, x2, y2`.
    pub(super) fn new(corners: [f64; 4]) -> Self {
        let [x1, y1, x2, y2] = corners.map(|corner| corner as f32);
        let (width, height) = (x2 - x1, y2 - y1 + EPSILON as f32);
        Self {
            corners,
            sums: [f64::from(x1 + x2), f64::from(y1 + y2)],
            area: f64::from(width * height),
            angle: f64::from((width / height).atan()),
        }
    }
}

/// CIoU of a predicted box by its corners `x1, y1, x2, y2` with an object, and its derivatives by these.
#[inline(always)]
pub(super) fn ciou(predicted: [f64; 4], object: &Object) -> (f64, [f64; 4]) {
    let a: [Dual; 4] = std::array::from_fn(|n| Dual::variable(predicted[n], n));
    let (zero, epsilon) = (Dual::constant(0.0), Dual::constant(EPSILON));
    let b = object.corners.map(Dual::constant);
    let (w, h) = (a[2] - a[0], a[3] - a[1] + epsilon);
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(zero);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(zero);
    let intersection = width * height;
    let iou = intersection / (w * h + Dual::constant(object.area) - intersection + epsilon);
    let square = |x: Dual| x * x;
    let around = square(a[2].max(b[2]) - a[0].min(b[0])) + square(a[3].max(b[3]) - a[1].min(b[1])) + epsilon;
    let [across, down] = object.sums.map(Dual::constant);
    let distance = (square(across - a[0] - a[2]) + square(down - a[1] - a[3])) / Dual::constant(4.0);
    let pi = std::f64::consts::PI;
    let v = Dual::constant(4.0 / (pi * pi)) * square(Dual::constant(object.angle) - (w / h).atan());
    let alpha = Dual::constant(v.value / (v.value - iou.value + 1.0 + EPSILON));
    let ciou = iou - (distance / around + v * alpha);
    (ciou.value, ciou.slopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_boxes_have_one_and_distant_ones_less_than_zero() {
        assert!((ciou([0.0, 0.0, 2.0, 3.0], &Object::new([0.0, 0.0, 2.0, 3.0])).0 - 1.0).abs() < 1e-6);
        assert!(ciou([0.0, 0.0, 1.0, 1.0], &Object::new([9.0, 9.0, 10.0, 10.0])).0 < -0.5);
    }
}

//! Axis-aligned boxes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::Size;

/// A box by its left, top, right and bottom edge, in pixels. Which image's pixels, the owner says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxXyxy {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Bottom edge.
    pub y2: f32,
}

impl BoxXyxy {
    /// Width; negative if the edges are swapped.
    #[must_use]
    pub fn width(&self) -> f32 {
        self.x2 - self.x1
    }

    /// Height; negative if the edges are swapped.
    #[must_use]
    pub fn height(&self) -> f32 {
        self.y2 - self.y1
    }

    /// Area; zero for a degenerate box.
    #[must_use]
    pub fn area(&self) -> f32 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    /// Intersection over union, 0 to 1; zero where the union is empty.
    #[must_use]
    pub fn iou(&self, other: &Self) -> f32 {
        let width = self.x2.min(other.x2) - self.x1.max(other.x1);
        let height = self.y2.min(other.y2) - self.y1.max(other.y1);
        let intersection = width.max(0.0) * height.max(0.0);
        let union = self.area() + other.area() - intersection;
        if union > 0.0 { intersection / union } else { 0.0 }
    }

    /// The part inside an image of that size.
    #[must_use]
    pub fn clip(&self, size: Size) -> Self {
        let (width, height) = (size.width as f32, size.height as f32);
        Self {
            x1: self.x1.clamp(0.0, width),
            y1: self.y1.clamp(0.0, height),
            x2: self.x2.clamp(0.0, width),
            y2: self.y2.clamp(0.0, height),
        }
    }

    /// Whether all edges are finite numbers.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        [self.x1, self.y1, self.x2, self.y2].iter().all(|edge| edge.is_finite())
    }
}

/// Pairs of members of two lists with the largest overlaps, each member once; of equal overlaps (numbers from 0 on) the first.
/// As if all pairs were sorted, but without a table of all of them: each member of the first list waits with its best
/// partner, and looks for the next best one when that is gone.
pub(crate) fn best_pairs(
    [first, second]: [usize; 2],
    overlap: impl Fn(usize, usize) -> Option<f64>,
) -> Vec<(usize, usize)> {
    let mut gone = vec![false; second];
    // The larger overlap is greater, then the earlier member of either list; the bits of numbers from 0 on are in their order.
    let best = |a: usize, gone: &[bool]| {
        let free = (0..second).filter(|b| !gone[*b]).filter_map(|b| Some((overlap(a, b)?.to_bits(), b)));
        free.map(|(overlap, b)| (overlap, Reverse(a), Reverse(b))).max()
    };
    let mut waiting: BinaryHeap<_> = (0..first).filter_map(|a| best(a, &gone)).collect();
    let mut pairs = Vec::new();
    while let Some((_, Reverse(a), Reverse(b))) = waiting.pop() {
        if gone[b] {
            waiting.extend(best(a, &gone));
        } else {
            gone[b] = true;
            pairs.push((a, b));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(x1: f32, y1: f32, x2: f32, y2: f32) -> BoxXyxy {
        BoxXyxy { x1, y1, x2, y2 }
    }

    #[test]
    fn iou_of_known_pairs() {
        let unit = boxed(0.0, 0.0, 2.0, 2.0);
        for (a, b, iou) in [
            (unit, unit, 1.0),
            (unit, boxed(1.0, 0.0, 3.0, 2.0), 1.0 / 3.0),
            (unit, boxed(1.0, 1.0, 3.0, 3.0), 1.0 / 7.0),
            (unit, boxed(2.0, 0.0, 4.0, 2.0), 0.0),
            (unit, boxed(5.0, 5.0, 6.0, 6.0), 0.0),
            (boxed(1.0, 1.0, 1.0, 1.0), boxed(1.0, 1.0, 1.0, 1.0), 0.0),
        ] {
            assert!((a.iou(&b) - iou).abs() < 1e-6 && (b.iou(&a) - iou).abs() < 1e-6, "{a:?} {b:?}");
        }
    }

    #[test]
    fn clipping_keeps_what_is_inside() {
        assert_eq!(boxed(-5.0, 1.0, 12.0, 9.0).clip(Size::new(10, 8)), boxed(0.0, 1.0, 10.0, 8.0));
    }
}

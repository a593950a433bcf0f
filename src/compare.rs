//! What two models make of the same image.

use crate::detect::{Detection, best_pairs};

/// Boxes of one class are the same object from this IoU on.
const OBJECT: f32 = 0.5;

/// Below this IoU a box has moved.
pub const MOVED_BELOW: f32 = 0.98;

/// Above this difference a confidence has changed.
pub const RESCORED_ABOVE: f32 = 0.01;

/// What became of an object from one model to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// IoU of at least [`MOVED_BELOW`], confidence within [`RESCORED_ABOVE`].
    Same,
    /// Another place, whatever the confidence.
    Moved,
    /// The same place, another confidence.
    Rescored,
    /// Found by the first model alone.
    OnlyA,
    /// Found by the second model alone.
    OnlyB,
}

impl Change {
    /// All, in the order of tables.
    pub const ALL: [Self; 5] = [Self::Same, Self::Moved, Self::Rescored, Self::OnlyA, Self::OnlyB];

    /// As people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Moved => "moved",
            Self::Rescored => "confidence changed",
            Self::OnlyA => "only A",
            Self::OnlyB => "only B",
        }
    }
}

/// An object as the two models see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    /// What became of it.
    pub change: Change,
    /// By the first model.
    pub a: Option<Detection>,
    /// By the second model.
    pub b: Option<Detection>,
}

impl Compared {
    /// Its class.
    ///
    /// # Panics
    /// Never: an object was found by one of them.
    #[must_use]
    pub fn class(&self) -> usize {
        self.a.or(self.b).expect("found by one of them").class
    }
}

/// Pairs the detections of one image one to one: those of a class with the largest overlap first, from IoU 0.5 on.
#[must_use]
pub fn compare_detections(a: &[Detection], b: &[Detection]) -> Vec<Compared> {
    let overlap = |in_a: usize, in_b: usize| {
        let (of_a, of_b): (&Detection, &Detection) = (&a[in_a], &b[in_b]);
        let iou = of_a.bbox.iou(&of_b.bbox);
        (of_a.class == of_b.class && iou >= OBJECT).then(|| f64::from(iou))
    };
    let pairs = best_pairs([a.len(), b.len()], overlap);
    let of_both = pairs.iter().map(|(in_a, in_b)| {
        let (a, b) = (a[*in_a], b[*in_b]);
        let change = match (a.bbox.iou(&b.bbox) < MOVED_BELOW, (a.confidence - b.confidence).abs() > RESCORED_ABOVE) {
            (true, _) => Change::Moved,
            (false, true) => Change::Rescored,
            (false, false) => Change::Same,
        };
        Compared { change, a: Some(a), b: Some(b) }
    });
    let only_a = (0..a.len()).filter(|n| pairs.iter().all(|(in_a, _)| in_a != n));
    let only_b = (0..b.len()).filter(|n| pairs.iter().all(|(_, in_b)| in_b != n));
    let only_a = only_a.map(|n| Compared { change: Change::OnlyA, a: Some(a[n]), b: None });
    let only_b = only_b.map(|n| Compared { change: Change::OnlyB, a: None, b: Some(b[n]) });
    of_both.chain(only_a).chain(only_b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::BoxXyxy;

    fn detection(x: f32, class: usize, confidence: f32) -> Detection {
        Detection { bbox: BoxXyxy { x1: x, y1: 0.0, x2: x + 100.0, y2: 100.0 }, class, confidence }
    }

    fn changes(a: &[Detection], b: &[Detection]) -> Vec<Change> {
        let mut changes: Vec<Change> = compare_detections(a, b).iter().map(|compared| compared.change).collect();
        changes.sort();
        changes
    }

    #[test]
    fn every_detection_is_in_one_pair_or_alone() {
        let a = [detection(0.0, 0, 0.9), detection(300.0, 0, 0.8), detection(600.0, 1, 0.7), detection(900.0, 0, 0.5)];
        let b =
            [detection(0.0, 0, 0.905), detection(310.0, 0, 0.8), detection(600.0, 0, 0.7), detection(900.0, 0, 0.6)];
        use Change::{Moved, OnlyA, OnlyB, Rescored, Same};
        assert_eq!(changes(&a, &b), [Same, Moved, Rescored, OnlyA, OnlyB]);
        assert!(changes(&a, &a).iter().all(|change| *change == Same));
        assert_eq!(changes(&a, &[]), [OnlyA; 4]);
    }

    #[test]
    fn the_largest_overlaps_are_paired_first() {
        let a = [detection(0.0, 0, 0.9), detection(20.0, 0, 0.8)];
        let b = [detection(20.0, 0, 0.8), detection(5.0, 0, 0.7)];
        let compared = compare_detections(&a, &b);
        assert_eq!((compared[0].a, compared[0].b), (Some(a[1]), Some(b[0])));
        assert_eq!((compared[1].a, compared[1].b, compared[1].class()), (Some(a[0]), Some(b[1]), 0));
    }
}

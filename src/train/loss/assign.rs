//! Task-aligned assignment: which anchor points answer for which object (Feng et al., *TOOD*, arXiv 2108.07755).

use super::Target;
use super::ciou::{Object, ciou};
use super::maps::ImageMaps;
use crate::train::kernels::Real;

/// Points that answer for an object, before conflicts.
const CANDIDATES: usize = 10;
/// Exponents of class score and CIoU in the metric.
const SCORE_POWER: f64 = 0.5;
const OVERLAP_POWER: i32 = 6;
const EPSILON: f64 = 1e-9;

/// A point that answers for an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Positive {
    /// Number of the anchor point, all levels in a row.
    pub point: usize,
    /// Number of the object among those of the image.
    pub target: usize,
    /// The class score that the point should give, 0 to 1.
    pub score: f64,
}

/// A point inside an object.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    point: usize,
    metric: f64,
}

/// Assigns the points of one image: for each object the ten points inside it with the highest
/// `score^0.5 · max(CIoU, 0)^6`; a point of several objects goes to that with the largest CIoU. In order of points.
pub(super) fn assign<T: Real>(targets: &[Target], maps: &ImageMaps<'_, T>) -> Vec<Positive> {
    let objects: Vec<Object> = targets.iter().map(|target| Object::new(target.corners)).collect();
    let overlap = |target: usize, point| ciou(maps.corners(point), &objects[target]).0.max(0.0);
    let metric = |target: usize, point, overlap: f64| {
        maps.score(point, targets[target].class).powf(SCORE_POWER) * overlap.powi(OVERLAP_POWER)
    };
    // Objects by point, in order of points.
    let mut taken: std::collections::BTreeMap<usize, Vec<usize>> = std::collections::BTreeMap::new();
    for (number, target) in targets.iter().enumerate() {
        let inside = (0..maps.points.len()).filter(|point| maps.points[*point].is_inside(target));
        let candidates =
            inside.map(|point| Candidate { point, metric: metric(number, point, overlap(number, point)) }).collect();
        for point in best(candidates) {
            taken.entry(point).or_default().push(number);
        }
    }
    let mut positives = Vec::with_capacity(taken.len());
    for (point, of) in taken {
        let target = match of.as_slice() {
            [only] => *only,
            // Of all objects, not only of those that contain the point.
            _ => largest((0..targets.len()).map(|target| overlap(target, point))),
        };
        let overlap = overlap(target, point);
        positives.push((Positive { point, target, score: metric(target, point, overlap) }, overlap));
    }
    // The best point of an object should give its CIoU, the others their share of it.
    let mut largest_of = vec![(0.0f64, 0.0f64); targets.len()];
    for (positive, overlap) in &positives {
        let (metric, most) = &mut largest_of[positive.target];
        (*metric, *most) = (metric.max(positive.score), most.max(*overlap));
    }
    let normalised = |(positive, _): (Positive, f64)| {
        let (metric, overlap) = largest_of[positive.target];
        Positive { score: positive.score * overlap / (metric + EPSILON), ..positive }
    };
    positives.into_iter().map(normalised).collect()
}

/// The points of the highest metrics. Where fewer than ten are above 0, PyTorch's `topk` fills up with the first points of
/// the image whose metric is 0; those of them that are inside the object become positive too.
fn best(mut candidates: Vec<Candidate>) -> Vec<usize> {
    candidates.sort_by(|a, b| b.metric.total_cmp(&a.metric).then(a.point.cmp(&b.point)));
    let above = candidates.partition_point(|candidate| candidate.metric > 0.0);
    let mut chosen: Vec<usize> = candidates[..above.min(CANDIDATES)].iter().map(|candidate| candidate.point).collect();
    let missing = CANDIDATES - chosen.len();
    let is_above = |point: usize| candidates[..above].iter().any(|candidate| candidate.point == point);
    let fill: Vec<usize> = (0..).filter(|point| !is_above(*point)).take(missing).collect();
    chosen.extend(candidates[above..].iter().map(|candidate| candidate.point).filter(|point| fill.contains(point)));
    chosen
}

/// The number of the first of the largest values.
fn largest(values: impl Iterator<Item = f64>) -> usize {
    let best = |best: (usize, f64), (number, value): (usize, f64)| if value > best.1 { (number, value) } else { best };
    values.enumerate().fold((0, f64::NEG_INFINITY), best).0
}

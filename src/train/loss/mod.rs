//! The loss of YOLOv9 and its gradient at the raw maps.
//!
//! Per branch of the head, with `t` the target score of a positive point and `T = max(Σ t, 1)` over the batch:
//!
//! | term | formula | source |
//! |---|---|---|
//! | box | `Σ t (1 − CIoU) / T` | arXiv 2005.03572 |
//! | class | `Σ BCE(logit, t) / T` over all points and classes | |
//! | DFL | `Σ t · mean of four sides (w_l CE(l) + w_r CE(l + 1)) / T`, `l` the bin below the distance | arXiv 2006.04388 |
//!
//! weighted by gains, auxiliary branches by a quarter. The optimised value is their sum times the number of images. All of
//! it is computed from the raw maps in one pass, on the CPU in f64, with the gradient by formula: assignment needs the
//! numbers there anyway, and only the positive points have a gradient of their boxes.

mod assign;
mod ciou;
mod maps;

pub use assign::Positive;
pub use maps::RawMaps;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::assign::assign;
use self::ciou::{Object, ciou};
use self::maps::{HeadMaps, ImageMaps, Numbers};
use super::hyperparameters::Hyperparameters;
use super::kernels::Real;
use crate::architecture::REG_MAX;

/// Weight of an auxiliary branch.
const AUXILIARY: f64 = 0.25;

/// An object of an image in the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Class id.
    pub class: usize,
    /// `x1, y1, x2, y2` in pixels of the input.
    pub corners: [f64; 4],
}

/// An anchor point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// Centre in pixels of the input.
    centre: [f64; 2],
    stride: f64,
}

impl Point {
    /// Strictly inside, by more than rounding.
    fn is_inside(&self, target: &Target) -> bool {
        let [x, y] = self.centre;
        let [x1, y1, x2, y2] = target.corners;
        (x - x1).min(y - y1).min(x2 - x).min(y2 - y) > 1e-9
    }
}

/// The three terms, weighted, averaged over the batch as described above.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LossItems {
    /// Box term.
    pub bbox: f64,
    /// Class term.
    pub class: f64,
    /// DFL term.
    pub dfl: f64,
}

impl LossItems {
    /// Their sum; times the number of images it is what is optimised.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.bbox + self.class + self.dfl
    }

    pub(super) fn add(&mut self, other: Self, weight: f64) {
        self.bbox += other.bbox * weight;
        self.class += other.class * weight;
        self.dfl += other.dfl * weight;
    }
}

/// The loss of a batch.
#[derive(Debug)]
pub struct Loss {
    /// Its terms.
    pub items: LossItems,
    /// Gradient of the optimised value by each branch's raw maps.
    pub gradients: Vec<RawMaps>,
    /// For each branch and image the positive points.
    pub assigned: Vec<Vec<Vec<Positive>>>,
}

/// The loss of the raw maps of all branches (auxiliary ones first) against the objects of each image.
///
/// # Panics
/// If there are not as many lists of targets as images in the maps.
#[must_use]
pub fn loss(branches: &[RawMaps], targets: &[Vec<Target>], gains: &Hyperparameters) -> Loss {
    let mut loss = Loss { items: LossItems::default(), gradients: Vec::new(), assigned: Vec::new() };
    for (number, maps) in branches.iter().enumerate() {
        let weight = if number + 1 == branches.len() { 1.0 } else { AUXILIARY };
        let (items, gradient, assigned) = match &maps.0 {
            Numbers::Single(maps) => {
                let (items, gradient, assigned) = branch_loss(maps, targets, gains, weight);
                (items, Numbers::Single(gradient), assigned)
            }
            Numbers::Double(maps) => {
                let (items, gradient, assigned) = branch_loss(maps, targets, gains, weight);
                (items, Numbers::Double(gradient), assigned)
            }
        };
        loss.items.add(items, weight);
        loss.gradients.push(RawMaps(gradient));
        loss.assigned.push(assigned);
    }
    loss
}

fn branch_loss<T: Real>(
    maps: &HeadMaps<T>,
    targets: &[Vec<Target>],
    gains: &Hyperparameters,
    weight: f64,
) -> (LossItems, HeadMaps<T>, Vec<Vec<Positive>>) {
    assert_eq!(maps.batch, targets.len(), "one list of targets for each image");
    let points = maps.points();
    let images = (0..maps.batch).into_par_iter();
    let assigned: Vec<Vec<Positive>> =
        images.map(|image| assign(&targets[image], &maps.image(image, &points))).collect();
    let total: f64 = assigned.iter().flatten().map(|positive| positive.score).sum::<f64>().max(1.0);
    let mut gradient = maps.zeros();
    let scale = weight * maps.batch as f64 / total;
    let of_images: Vec<LossItems> = gradient
        .images_mut()
        .into_par_iter()
        .enumerate()
        .map(|(image, mut gradient)| {
            let maps = maps.image(image, &points);
            let class = class_term(&maps, &assigned[image], &targets[image], (&mut gradient, scale * gains.cls));
            let mut items = LossItems { class: class * gains.cls / total, ..LossItems::default() };
            for positive in &assigned[image] {
                let object = &targets[image][positive.target];
                let (bbox, dfl) = box_terms(&maps, positive, object, (&mut gradient, scale, gains));
                items.bbox += bbox * gains.bbox / total;
                items.dfl += dfl * gains.dfl / total;
            }
            items
        })
        .collect();
    let mut items = LossItems::default();
    of_images.into_iter().for_each(|image| items.add(image, 1.0));
    (items, gradient, assigned)
}

/// Binary cross-entropy of all class logits, summed.
fn class_term<T: Real>(
    maps: &ImageMaps<'_, T>,
    positives: &[Positive],
    targets: &[Target],
    (gradient, scale): (&mut maps::ImageGradient<'_, T>, f64),
) -> f64 {
    let mut sum = 0.0;
    for (logits, slopes) in maps.classes.iter().zip(&mut gradient.classes) {
        for (logit, slope) in logits.iter().zip(slopes.iter_mut()) {
            let z = logit.wide();
            // log(1 + e^z) without overflow
            sum += z.max(0.0) + (-z.abs()).exp().ln_1p();
            *slope = T::of(scale / (1.0 + (-z).exp()));
        }
    }
    for positive in positives {
        let (level, at) = maps.class_at(positive.point, targets[positive.target].class);
        sum -= positive.score * maps.classes[level][at].wide();
        let slope = &mut gradient.classes[level][at];
        *slope = *slope - T::of(scale * positive.score);
    }
    sum
}

/// Box and DFL term of a positive point, weighted by its score.
fn box_terms<T: Real>(
    maps: &ImageMaps<'_, T>,
    positive: &Positive,
    object: &Target,
    (gradient, scale, gains): (&mut maps::ImageGradient<'_, T>, f64, &Hyperparameters),
) -> (f64, f64) {
    let point = maps.points[positive.point];
    let in_strides = |corners: [f64; 4]| corners.map(|side| side / point.stride);
    let sides = maps.sides(positive.point);
    let [x, y] = point.centre.map(|centre| centre / point.stride);
    let [left, top, right, bottom] = [0, 1, 2, 3].map(|side| sides[side].distance);
    let object = in_strides(object.corners);
    let predicted = [x - left, y - top, x + right, y + bottom];
    let (ciou, slopes) = ciou(predicted, &Object::new(object));
    // The predicted corners fall with left and top, and rise with right and bottom.
    let signs = [-1.0, -1.0, 1.0, 1.0];
    let distances = [x - object[0], y - object[1], object[2] - x, object[3] - y];
    let mut dfl = 0.0;
    for side in 0..4 {
        let distance = distances[side].clamp(0.0, REG_MAX as f64 - 1.0 - 0.01);
        let lower = distance.floor();
        let weights = [lower + 1.0 - distance, distance - lower];
        let lower = lower as usize;
        let bins = &sides[side].probabilities;
        let logs = sides[side].log_probabilities(lower);
        dfl -= (weights[0] * logs[0] + weights[1] * logs[1]) / 4.0;
        // The loss 1 − CIoU, through the expectation: d distance / d logit_j = p_j (j − distance).
        let by_distance = -slopes[side] * signs[side] * positive.score * scale * gains.bbox;
        let by_bin = positive.score * scale * gains.dfl / 4.0;
        for (bin, probability) in bins.iter().enumerate() {
            let wanted = match bin.checked_sub(lower) {
                Some(0) => weights[0],
                Some(1) => weights[1],
                _ => 0.0,
            };
            let slope =
                by_distance * probability * (bin as f64 - sides[side].distance) + by_bin * (probability - wanted);
            gradient.add_box(maps, (positive.point, side * REG_MAX + bin), slope);
        }
    }
    ((1.0 - ciou) * positive.score, dfl * positive.score)
}

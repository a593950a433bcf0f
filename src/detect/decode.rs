//! Sparse decoding: softmax, expectation and sigmoid only for the anchor points above the confidence threshold.

use ndarray::{ArrayView1, ArrayView2, Axis, s};

use super::{BoxXyxy, Detection, HeadOutput, LevelOutput};
use crate::architecture::REG_MAX;

/// All anchor points whose most probable class (the first one among equals) is above `confidence_threshold`, in the order
/// of levels, rows and columns; with `multi_label`, one detection for each class above it. Of an output that is past NMS
/// already, all such detections. Boxes are in pixels of the network's input.
///
/// Anchor points whose logits or box are not finite numbers are left out.
#[must_use]
pub fn decode(output: &HeadOutput, confidence_threshold: f32, multi_label: bool) -> Vec<Detection> {
    let options = (confidence_threshold, multi_label);
    let mut detections = match output {
        HeadOutput::Levels(levels) => levels.iter().flat_map(|level| of_level(level, options)).collect(),
        HeadOutput::Dense(dense) => of_dense(dense.view(), options),
        HeadOutput::Suppressed(rows) => from_rows(rows.view(), confidence_threshold),
    };
    detections.retain(|detection| detection.bbox.is_finite());
    detections
}

fn of_level(level: &LevelOutput, (threshold, multi_label): (f32, bool)) -> Vec<Detection> {
    let (classes, height, width) = level.classes.dim();
    let logits = level.classes.to_shape((classes, height * width)).expect("the same number of elements");
    // Slightly below the exact threshold, which is applied to the probability itself.
    let least = (threshold / (1.0 - threshold)).ln() - 1e-3;
    let bbox = |anchor: usize| decode_anchor(level, anchor / width, anchor % width);
    detections(logits.view(), least, (threshold, multi_label), sigmoid, bbox)
}

/// `[4 + nc, anchor points]`.
fn of_dense(output: ArrayView2<'_, f32>, (threshold, multi_label): (f32, bool)) -> Vec<Detection> {
    let (boxes, probabilities) = output.split_at(Axis(0), 4.min(output.nrows()));
    let bbox = |anchor: usize| centred([0, 1, 2, 3].map(|row| boxes[[row, anchor]]));
    detections(probabilities, threshold, (threshold, multi_label), |probability| probability, bbox)
}

/// Of each anchor point of `[nc, anchor points]` whose highest value is at least `least`: its best class, or every class,
/// if the probability is above the threshold.
fn detections(
    values: ArrayView2<'_, f32>,
    least: f32,
    (threshold, multi_label): (f32, bool),
    probability: impl Fn(f32) -> f32,
    bbox: impl Fn(usize) -> BoxXyxy,
) -> Vec<Detection> {
    let mut found = Vec::new();
    for (anchor, class) in best_classes(values, least) {
        let classes = if multi_label { 0..values.nrows() } else { class..class + 1 };
        let confidences = classes.map(|class| (class, probability(values[[class, anchor]])));
        let mut passing = confidences.filter(|(_, confidence)| *confidence > threshold).peekable();
        if passing.peek().is_some() {
            let bbox = bbox(anchor);
            found.extend(passing.map(|(class, confidence)| Detection { bbox, class, confidence }));
        }
    }
    found
}

fn centred([x, y, width, height]: [f32; 4]) -> BoxXyxy {
    BoxXyxy { x1: x - width / 2.0, y1: y - height / 2.0, x2: x + width / 2.0, y2: y + height / 2.0 }
}

/// `[detections, 6]`; a confidence of 0 fills up.
fn from_rows(rows: ArrayView2<'_, f32>, threshold: f32) -> Vec<Detection> {
    let detection = |row: ArrayView1<'_, f32>| {
        let bbox = BoxXyxy { x1: row[0], y1: row[1], x2: row[2], y2: row[3] };
        Detection { bbox, class: row[5].max(0.0) as usize, confidence: row[4] }
    };
    rows.outer_iter().filter(|row| row.len() == 6 && row[4] > threshold).map(detection).collect()
}

/// Number and class of each anchor point of `[nc, anchor points]` whose highest value is at least `least`.
fn best_classes(values: ArrayView2<'_, f32>, least: f32) -> impl Iterator<Item = (usize, usize)> {
    let mut best = vec![f32::NEG_INFINITY; values.ncols()];
    let mut class_of = vec![0u32; values.ncols()];
    for (class, values) in values.outer_iter().enumerate() {
        // Rows of one class are contiguous: this loop is the one that touches every value.
        for ((best, class_of), value) in best.iter_mut().zip(&mut class_of).zip(values) {
            if *value > *best {
                *best = *value;
                *class_of = class as u32;
            }
        }
    }
    let passing = best.into_iter().zip(class_of).enumerate().filter(move |(_, (best, _))| *best >= least);
    passing.map(|(anchor, (_, class))| (anchor, class as usize))
}

/// The box of one anchor point in pixels of the input (formula of *Generalized Focal Loss*, arXiv 2006.04388): the
/// distance to each side is the expectation of its distribution, in units of the stride, from the anchor point.
///
/// # Panics
/// If the position is outside the map.
#[must_use]
pub fn decode_anchor(level: &LevelOutput, row: usize, column: usize) -> BoxXyxy {
    let bins = level.boxes.slice(s![.., row, column]);
    let side = |n: usize| expectation(bins.slice(s![n * REG_MAX..(n + 1) * REG_MAX]));
    let (x, y, stride) = (column as f32 + 0.5, row as f32 + 0.5, level.stride as f32);
    BoxXyxy {
        x1: (x - side(0)) * stride,
        y1: (y - side(1)) * stride,
        x2: (x + side(2)) * stride,
        y2: (y + side(3)) * stride,
    }
}

/// Mean of 0, 1, 2, … under the softmax of the logits.
fn expectation(logits: ArrayView1<'_, f32>) -> f32 {
    let largest = logits.fold(f32::NEG_INFINITY, |largest, logit| largest.max(*logit));
    let (mut total, mut weighted) = (0.0, 0.0);
    for (bin, logit) in logits.iter().enumerate() {
        let weight = (logit - largest).exp();
        total += weight;
        weighted += bin as f32 * weight;
    }
    weighted / total
}

/// Probability of a logit.
fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    /// Of the anchor point in row 1, column 2 of `level`.
    const BOX: BoxXyxy = BoxXyxy { x1: 20.0, y1: 4.0, x2: 36.0, y2: 36.0 };

    fn found(level: LevelOutput, threshold: f32) -> Vec<Detection> {
        decode(&HeadOutput::Levels(vec![level]), threshold, false)
    }

    /// A 2x3 map of two classes whose boxes reach 0, 1, 2 and 3 strides to the four sides.
    fn level() -> LevelOutput {
        let mut boxes = Array3::from_elem((4 * REG_MAX, 2, 3), -100.0);
        for side in 0..4 {
            boxes.slice_mut(s![side * REG_MAX + side, .., ..]).fill(100.0);
        }
        LevelOutput { stride: 8, boxes, classes: Array3::from_elem((2, 2, 3), -10.0) }
    }

    #[test]
    fn an_anchor_point_gives_its_best_class_or_every_class_above_the_threshold() {
        let mut level = level();
        level.classes[[0, 1, 2]] = 1.0;
        level.classes[[1, 1, 2]] = 2.0;
        let best = Detection { bbox: BOX, class: 1, confidence: sigmoid(2.0) };
        assert_eq!(found(level.clone(), 0.25), [best]);
        let all = decode(&HeadOutput::Levels(vec![level]), 0.25, true);
        assert_eq!(all, [Detection { class: 0, confidence: sigmoid(1.0), ..best }, best]);
    }

    #[test]
    fn the_threshold_is_exclusive_and_the_first_class_wins_ties() {
        let mut level = level();
        level.classes.slice_mut(s![.., 0, 0]).fill(0.0);
        assert_eq!(found(level.clone(), 0.5), []);
        let found = found(level, 0.499_99);
        assert_eq!(found.iter().map(|c| (c.class, c.confidence)).collect::<Vec<_>>(), [(0, 0.5)]);
    }

    #[test]
    fn numbers_that_are_not_finite_give_nothing() {
        let mut level = level();
        level.classes[[0, 0, 0]] = f32::NAN;
        level.classes[[0, 0, 1]] = 3.0;
        level.boxes[[0, 0, 1]] = f32::INFINITY;
        assert_eq!(found(level, 0.25), []);
    }

    /// The decoded form of exported files gives the same boxes as the maps.
    #[test]
    fn decoded_anchor_points_give_their_boxes() {
        let column = [28.0, 20.0, 16.0, 32.0, 0.1, 0.9];
        let output =
            ndarray::Array2::from_shape_fn((6, 3), |(row, anchor)| if anchor == 1 { column[row] } else { 0.2 });
        let found = decode(&HeadOutput::Dense(output), 0.25, false);
        assert_eq!(found, [Detection { bbox: BOX, class: 1, confidence: 0.9 }]);

        let rows = ndarray::array![[20.0, 4.0, 36.0, 36.0, 0.9, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0, -1.0]];
        assert_eq!(decode(&HeadOutput::Suppressed(rows), 0.25, false), found);
    }
}

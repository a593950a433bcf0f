//! Sparse decoding: softmax, expectation and sigmoid only for the cells above the threshold.

use ndarray::{ArrayView1, ArrayView2, Axis, s};

use super::BoxXyxy;
use crate::graph::BINS;
use crate::runtime::{HeadOutput, LevelOutput};

/// A cell above the threshold, before suppression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// In pixels of the network's input.
    pub bbox: BoxXyxy,
    /// The most probable class; the first one among equals.
    pub class: usize,
    /// Its probability.
    pub score: f32,
}

/// All cells whose most probable class scores more than `confidence`, in the order of levels, rows and columns; of an
/// output that is suppressed already, all such detections.
///
/// Cells whose logits or box are not finite numbers are left out.
#[must_use]
pub fn decode(output: &HeadOutput, confidence: f32) -> Vec<Candidate> {
    let mut candidates = match output {
        HeadOutput::Levels(levels) => from_levels(levels, confidence),
        HeadOutput::Dense(cells) => from_dense(cells.view(), confidence),
        HeadOutput::Suppressed(rows) => from_rows(rows.view(), confidence),
    };
    candidates.retain(|candidate| candidate.bbox.is_finite());
    candidates
}

/// As [`decode()`], but a cell gives a candidate for each class that scores more than `confidence`.
#[must_use]
pub fn decode_all(output: &HeadOutput, confidence: f32) -> Vec<Candidate> {
    let mut candidates = match output {
        HeadOutput::Levels(levels) => levels.iter().flat_map(|level| all_of_level(level, confidence)).collect(),
        HeadOutput::Dense(cells) => all_of_cells(cells.view(), confidence),
        HeadOutput::Suppressed(rows) => from_rows(rows.view(), confidence),
    };
    candidates.retain(|candidate| candidate.bbox.is_finite());
    candidates
}

fn all_of_level(level: &LevelOutput, confidence: f32) -> Vec<Candidate> {
    let (_, _, width) = level.classes.dim();
    let mut candidates = Vec::new();
    for (cell, ..) in best_classes(level, confidence) {
        let (row, column) = (cell / width, cell % width);
        let bbox = decode_cell(level, row, column);
        let scores = level.classes.slice(s![.., row, column]);
        let passing = scores.iter().map(|logit| sigmoid(*logit)).enumerate().filter(|(_, score)| *score > confidence);
        candidates.extend(passing.map(|(class, score)| Candidate { bbox, class, score }));
    }
    candidates
}

fn all_of_cells(output: ArrayView2<'_, f32>, confidence: f32) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for cell in output.columns() {
        let bbox = centred([0, 1, 2, 3].map(|row| cell[row]));
        let passing = cell.iter().skip(4).enumerate().filter(|(_, score)| **score > confidence);
        candidates.extend(passing.map(|(class, score)| Candidate { bbox, class, score: *score }));
    }
    candidates
}

fn centred([x, y, width, height]: [f32; 4]) -> BoxXyxy {
    BoxXyxy { x1: x - width / 2.0, y1: y - height / 2.0, x2: x + width / 2.0, y2: y + height / 2.0 }
}

fn from_levels(levels: &[LevelOutput], confidence: f32) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for level in levels {
        let (_, _, width) = level.classes.dim();
        for (cell, class, logit) in best_classes(level, confidence) {
            let score = sigmoid(logit);
            if score > confidence {
                candidates.push(Candidate { bbox: decode_cell(level, cell / width, cell % width), class, score });
            }
        }
    }
    candidates
}

/// `[4 + nc, cells]`.
fn from_dense(output: ArrayView2<'_, f32>, confidence: f32) -> Vec<Candidate> {
    let (boxes, scores) = output.split_at(Axis(0), 4.min(output.nrows()));
    let mut best = vec![(confidence, None); output.ncols()];
    for (class, scores) in scores.outer_iter().enumerate() {
        for ((highest, of_class), score) in best.iter_mut().zip(scores) {
            if score > highest {
                (*highest, *of_class) = (*score, Some(class));
            }
        }
    }
    let passing = best.into_iter().enumerate().filter_map(|(cell, (score, class))| Some((cell, class?, score)));
    passing
        .map(|(cell, class, score)| {
            let bbox = centred([0, 1, 2, 3].map(|row| boxes[[row, cell]]));
            Candidate { bbox, class, score }
        })
        .collect()
}

/// `[detections, 6]`; a score of 0 fills up.
fn from_rows(rows: ArrayView2<'_, f32>, confidence: f32) -> Vec<Candidate> {
    let candidate = |row: ArrayView1<'_, f32>| {
        let bbox = BoxXyxy { x1: row[0], y1: row[1], x2: row[2], y2: row[3] };
        Candidate { bbox, class: row[5].max(0.0) as usize, score: row[4] }
    };
    rows.outer_iter().filter(|row| row.len() == 6 && row[4] > confidence).map(candidate).collect()
}

/// Cell number, class and logit of the highest logit of each cell that may pass the threshold.
fn best_classes(level: &LevelOutput, confidence: f32) -> Vec<(usize, usize, f32)> {
    let cells = level.classes.len() / level.classes.dim().0.max(1);
    let mut best = vec![f32::NEG_INFINITY; cells];
    let mut class_of = vec![0u32; cells];
    for (class, logits) in level.classes.outer_iter().enumerate() {
        // Rows of one class are contiguous: this loop is the one that touches every logit.
        for ((best, class_of), logit) in best.iter_mut().zip(&mut class_of).zip(logits.iter()) {
            if *logit > *best {
                *best = *logit;
                *class_of = class as u32;
            }
        }
    }
    // Slightly below the exact threshold, which is applied to the score itself.
    let least = (confidence / (1.0 - confidence)).ln() - 1e-3;
    let passing = best.into_iter().zip(class_of).enumerate().filter(|(_, (best, _))| *best >= least);
    passing.map(|(cell, (best, class))| (cell, class as usize, best)).collect()
}

/// The box of one cell in pixels of the input (formula of *Generalized Focal Loss*, arXiv 2006.04388): the distance to
/// each side is the expectation of its distribution, in units of the stride, from the cell's centre.
///
/// # Panics
/// If the cell is outside the map.
#[must_use]
pub fn decode_cell(level: &LevelOutput, row: usize, column: usize) -> BoxXyxy {
    let bins = level.boxes.slice(s![.., row, column]);
    let side = |n: usize| expectation(bins.slice(s![n * BINS..(n + 1) * BINS]));
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

    fn found(level: LevelOutput, confidence: f32) -> Vec<Candidate> {
        decode(&HeadOutput::Levels(vec![level]), confidence)
    }

    /// A 2x3 map of two classes whose boxes reach 0, 1, 2 and 3 strides to the four sides.
    fn level() -> LevelOutput {
        let mut boxes = Array3::from_elem((4 * BINS, 2, 3), -100.0);
        for side in 0..4 {
            boxes.slice_mut(s![side * BINS + side, .., ..]).fill(100.0);
        }
        LevelOutput { stride: 8, boxes, classes: Array3::from_elem((2, 2, 3), -10.0) }
    }

    #[test]
    fn a_cell_above_the_threshold_gives_its_box() {
        let mut level = level();
        level.classes[[1, 1, 2]] = 2.0;
        let found = found(level, 0.25);
        let expected = BoxXyxy { x1: 20.0, y1: 4.0, x2: 36.0, y2: 36.0 };
        assert_eq!(found, [Candidate { bbox: expected, class: 1, score: sigmoid(2.0) }]);
    }

    #[test]
    fn every_class_above_the_threshold_gives_a_candidate_of_its_own() {
        let mut level = level();
        level.classes[[0, 1, 2]] = 1.0;
        level.classes[[1, 1, 2]] = 2.0;
        let best = found(level.clone(), 0.25);
        let all = decode_all(&HeadOutput::Levels(vec![level]), 0.25);
        assert_eq!(all.iter().map(|c| (c.class, c.score)).collect::<Vec<_>>(), [(0, sigmoid(1.0)), (1, sigmoid(2.0))]);
        assert!(best.len() == 1 && all[1] == best[0] && all[0].bbox == best[0].bbox);
    }

    #[test]
    fn the_threshold_is_exclusive_and_the_first_class_wins_ties() {
        let mut level = level();
        level.classes.slice_mut(s![.., 0, 0]).fill(0.0);
        assert_eq!(found(level.clone(), 0.5), []);
        let found = found(level, 0.499_99);
        assert_eq!(found.iter().map(|c| (c.class, c.score)).collect::<Vec<_>>(), [(0, 0.5)]);
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
    fn decoded_cells_give_their_boxes() {
        let column = [28.0, 20.0, 16.0, 32.0, 0.1, 0.9];
        let output = ndarray::Array2::from_shape_fn((6, 3), |(row, cell)| if cell == 1 { column[row] } else { 0.2 });
        let expected = BoxXyxy { x1: 20.0, y1: 4.0, x2: 36.0, y2: 36.0 };
        let found = decode(&HeadOutput::Dense(output), 0.25);
        assert_eq!(found, [Candidate { bbox: expected, class: 1, score: 0.9 }]);

        let rows = ndarray::array![[20.0, 4.0, 36.0, 36.0, 0.9, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0, -1.0]];
        assert_eq!(decode(&HeadOutput::Suppressed(rows), 0.25), found);
    }
}

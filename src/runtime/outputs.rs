//! What a session gave, as the output of a detection head; checked, since a file of somebody else may mean something else
//! by outputs of the same shape.

use ndarray::{Array, Array2, Array4, ArrayView2, Axis, CowArray, Ix2, Ix3, Ix4, IxDyn, RemoveAxis, s};

use super::RuntimeError;
use super::session::SessionOutputs;
use crate::detect::{HeadOutput, LevelOutput};
use crate::graph::{HeadLayout, LevelLayout};
use crate::onnx::OnnxHead;

/// What an input and a number of classes lead to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) anchors: usize,
    pub(super) classes: usize,
}

/// The raw maps of one image of a batch.
pub(super) fn levels(
    outputs: &SessionOutputs<'_>,
    layout: &HeadLayout,
    image: usize,
) -> Result<HeadOutput, RuntimeError> {
    let level = |level: &LevelLayout| {
        let map = |name: &str| part::<Ix4>(outputs, name, image, "[batch, channels, h, w]");
        Ok(LevelOutput { stride: level.stride, boxes: map(&level.boxes)?, classes: map(&level.classes)? })
    };
    layout.levels.iter().map(level).collect::<Result<_, _>>().map(HeadOutput::Levels)
}

/// The detections of one image of a batch.
pub(super) fn decoded(
    outputs: &SessionOutputs<'_>,
    head: &OnnxHead,
    image: usize,
    Expected { anchors, classes }: Expected,
) -> Result<HeadOutput, RuntimeError> {
    let table = |name: &str| part::<Ix3>(outputs, name, image, "[batch, n, m]");
    match head {
        OnnxHead::Dense { output: name, .. } => {
            let output = table(name)?;
            check_dense(name, &output, (4 + classes, anchors))?;
            Ok(HeadOutput::Dense(output))
        }
        OnnxHead::Rows(name) => {
            let rows = table(name)?;
            check_rows(name, &rows, classes)?;
            Ok(HeadOutput::Suppressed(rows))
        }
        OnnxHead::Lists { boxes, scores, classes: ids } => {
            let list =
                |name: &str| part::<Ix2>(outputs, name, image, "[batch, n]").map(|list| list.into_iter().collect());
            let (scores, ids): (Vec<f32>, Vec<f32>) = (list(scores)?, list(ids)?);
            let rows = joined(table(boxes)?.view(), &scores, &ids)?;
            check_rows(boxes, &rows, classes)?;
            Ok(HeadOutput::Suppressed(rows))
        }
    }
}

/// One output of four axes, copied out of the runtime's memory.
pub(super) fn map(outputs: &SessionOutputs<'_>, name: &str) -> Result<Array4<f32>, RuntimeError> {
    let output = outputs.get(name)?;
    let wrong = of_shape(name, &output, "four axes");
    output.into_owned().into_dimensionality::<Ix4>().map_err(|_| wrong)
}

fn of_shape(name: &str, output: &CowArray<'_, f32, IxDyn>, expected: &str) -> RuntimeError {
    RuntimeError::Output {
        name: name.into(),
        reason: format!("it has shape {:?}; expected {expected}", output.shape()),
    }
}

/// One image's part of an output, copied out of the runtime's memory. `D` is the number of axes with the batch.
fn part<D: RemoveAxis>(
    outputs: &SessionOutputs<'_>,
    name: &str,
    image: usize,
    expected: &str,
) -> Result<Array<f32, D::Smaller>, RuntimeError> {
    let output = outputs.get(name)?;
    let wrong = of_shape(name, &output, expected);
    let output = output.into_dimensionality::<D>().ok().filter(|output| image < output.len_of(Axis(0)));
    output.map(|output| output.index_axis(Axis(0), image).to_owned()).ok_or(wrong)
}

/// How far above 1 rounding may bring a probability.
const MOST: f32 = 1.001;

/// And a side below 0, in pixels.
const TINY: f32 = 0.01;

/// An output of three axes may mean something else in another network.
fn check_dense(name: &str, output: &Array2<f32>, expected: (usize, usize)) -> Result<(), RuntimeError> {
    let failed = |reason| Err(RuntimeError::Output { name: name.into(), reason });
    let ((rows, columns), (wanted, anchors)) = (output.dim(), expected);
    if (rows, columns) != expected {
        let classes = wanted.saturating_sub(4);
        return failed(format!(
            "it has shape [batch, {rows}, {columns}]; expected [batch, {wanted}, {anchors}] for {classes} classes and that input"
        ));
    }
    if let Some(score) = output.slice(s![4.., ..]).iter().find(|score| !(0.0..=MOST).contains(*score)) {
        return failed(format!("it has the class probability {score}; expected probabilities"));
    }
    if let Some(side) = output.slice(s![..4, ..]).iter().find(|side| !side.is_finite()) {
        return failed(format!("it has {side} in a box; expected finite centres and sizes"));
    }
    match output.slice(s![2..4, ..]).iter().find(|side| **side < -TINY) {
        Some(side) => failed(format!("it has a box with a side of {side}; expected centre, width and height")),
        None => Ok(()),
    }
}

/// Rows `x1, y1, x2, y2, confidence, class`; those without a confidence fill up.
fn check_rows(name: &str, rows: &Array2<f32>, classes: usize) -> Result<(), RuntimeError> {
    let failed = |reason| Err(RuntimeError::Output { name: name.into(), reason });
    for row in rows.outer_iter() {
        let row = row.to_vec();
        let &[x1, y1, x2, y2, score, class] = row.as_slice() else {
            return failed(format!("its rows have {} numbers; expected 6", row.len()));
        };
        if score <= 0.0 {
            continue;
        }
        if score.is_nan() || score > MOST {
            return failed(format!("it has the confidence {score}; expected a probability"));
        }
        if !(0.0..classes as f32).contains(&class) || class.fract() != 0.0 {
            return failed(format!("it gives the class id {class}; there are {classes} classes"));
        }
        if !(x1 <= x2 && y1 <= y2 && [x1, y1, x2, y2].iter().all(|side| side.is_finite())) {
            return failed(format!("it has the box {:?}; expected x1, y1, x2, y2", &row[..4]));
        }
    }
    Ok(())
}

fn joined(corners: ArrayView2<'_, f32>, scores: &[f32], classes: &[f32]) -> Result<Array2<f32>, RuntimeError> {
    let count = corners.nrows();
    if corners.ncols() != 4 || scores.len() != count || classes.len() != count {
        let reason =
            format!("{} corners, {} scores and {} classes; expected as many", count, scores.len(), classes.len());
        return Err(RuntimeError::Output { name: "boxes".into(), reason });
    }
    Ok(Array2::from_shape_fn((count, 6), |(row, column)| match column {
        4 => scores[row],
        5 => classes[row],
        side => corners[[row, side]],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_that_are_no_detections_are_refused() {
        let good = Array2::from_shape_fn((6, 3), |(row, _)| if row < 4 { 10.0 } else { 0.5 });
        assert!(check_dense("o", &good, (6, 3)).is_ok());
        for (row, value, message) in [
            (2, -3.0, "a box with a side of -3"),
            (3, f32::NAN, "it has NaN in a box"),
            (0, f32::INFINITY, "it has inf in a box"),
            (4, 1.5, "the class probability 1.5"),
            (5, f32::NAN, "the class probability NaN"),
        ] {
            let mut output = good.clone();
            output[[row, 1]] = value;
            let error = check_dense("o", &output, (6, 3)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}

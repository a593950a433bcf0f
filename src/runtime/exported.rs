//! A detector that somebody exported, in an ONNX Runtime session.

use ndarray::{Array2, Array4, ArrayView2, ArrayView4, Axis, CowArray, Ix2, Ix3, IxDyn, s};

use super::session::{OrtSession, Outputs, SessionOptions};
use super::{HeadOutput, Model, Runtime, RuntimeError};
use crate::onnx::{OnnxFile, OnnxHead, OnnxInput};

/// A [`Model`] from an `.onnx` file.
#[derive(Debug)]
pub struct ExportedModel {
    session: OrtSession,
    input: OnnxInput,
    head: OnnxHead,
    strides: Vec<usize>,
    classes: usize,
}

impl ExportedModel {
    /// Hands the file to ONNX Runtime, which optimises it. DySample nodes of ours run on the native operator. No class
    /// id of its results will be beyond `classes`.
    ///
    /// # Errors
    /// [`RuntimeError::Load`] with ONNX Runtime's message, for example that it does not know an operator.
    pub fn new(
        runtime: &Runtime,
        file: &OnnxFile,
        classes: usize,
        options: &SessionOptions,
    ) -> Result<Self, RuntimeError> {
        let session = OrtSession::new(runtime, &file.name, &file.bytes, options)?;
        let (input, head, strides) = (file.input.clone(), file.head.clone(), file.strides.clone());
        Ok(Self { session, input, head, strides, classes })
    }
}

impl ExportedModel {
    /// As [`OrtSession::end_profiling`].
    ///
    /// # Errors
    /// As [`OrtSession::end_profiling`].
    pub fn end_profiling(&mut self) -> Result<std::path::PathBuf, RuntimeError> {
        self.session.end_profiling()
    }
}

impl Model for ExportedModel {
    fn run(&mut self, input: ArrayView4<'_, f32>) -> Result<HeadOutput, RuntimeError> {
        Ok(self.run_batch(input)?.remove(0))
    }

    /// In chunks of the file's batch if that is fixed.
    fn run_batch(&mut self, input: ArrayView4<'_, f32>) -> Result<Vec<HeadOutput>, RuntimeError> {
        let pictures = input.len_of(Axis(0));
        let (_, _, height, width) = input.dim();
        let cells = self.strides.iter().map(|stride| (height / stride) * (width / stride)).sum();
        let at_once = self.input.batch.unwrap_or(pictures).max(1);
        let mut found = Vec::with_capacity(pictures);
        for chunk in input.axis_chunks_iter(Axis(0), at_once) {
            let filled = filled_up(chunk, self.input.batch.unwrap_or(1));
            let outputs = self.session.run(&[filled.view().into_dyn()])?;
            for picture in 0..chunk.len_of(Axis(0)) {
                found.push(output_of(picture, &outputs, &self.head, (cells, self.classes))?);
            }
        }
        Ok(found)
    }
}

/// The output for one picture of a batch.
fn output_of(
    picture: usize,
    outputs: &Outputs<'_>,
    head: &OnnxHead,
    (cells, classes): (usize, usize),
) -> Result<HeadOutput, RuntimeError> {
    match head {
        OnnxHead::Dense { output: name, .. } => {
            let output = three_axes(outputs, name, picture)?;
            check_cells(name, &output, (4 + classes, cells))?;
            Ok(HeadOutput::Dense(output))
        }
        OnnxHead::Rows { output: name } => {
            let rows = three_axes(outputs, name, picture)?;
            check_rows(name, &rows, classes)?;
            Ok(HeadOutput::Suppressed(rows))
        }
        OnnxHead::Lists { boxes, scores, classes: ids } => {
            let corners = three_axes(outputs, boxes, picture)?;
            let [scores, ids] = [scores, ids].map(|name| two_axes(outputs, name, picture));
            let rows = joined(corners.view(), &scores?, &ids?)?;
            check_rows(boxes, &rows, classes)?;
            Ok(HeadOutput::Suppressed(rows))
        }
    }
}

/// A fixed batch of a file filled up with black pictures.
fn filled_up(input: ArrayView4<'_, f32>, batch: usize) -> CowArray<'_, f32, ndarray::Ix4> {
    let (given, channels, height, width) = input.dim();
    if batch <= given {
        return input.into();
    }
    let mut filled = Array4::zeros((batch, channels, height, width));
    filled.slice_mut(s![..given, .., .., ..]).assign(&input);
    filled.into()
}

fn of_shape(name: &str, output: &CowArray<'_, f32, IxDyn>, expected: &str) -> RuntimeError {
    RuntimeError::Output {
        name: name.into(),
        reason: format!("it has shape {:?}; expected {expected}", output.shape()),
    }
}

/// One picture's part of `[B, n, m]`.
fn three_axes(outputs: &Outputs<'_>, name: &str, picture: usize) -> Result<Array2<f32>, RuntimeError> {
    let output = outputs.get(name)?;
    let view = output.view().into_dimensionality::<Ix3>().ok().filter(|view| view.len_of(Axis(0)) > picture);
    let view = view.ok_or_else(|| of_shape(name, &output, "[batch, n, m]"))?;
    Ok(view.index_axis(Axis(0), picture).to_owned())
}

/// One picture's part of `[B, n]`.
fn two_axes(outputs: &Outputs<'_>, name: &str, picture: usize) -> Result<Vec<f32>, RuntimeError> {
    let output = outputs.get(name)?;
    let view = output.view().into_dimensionality::<Ix2>().ok().filter(|view| view.len_of(Axis(0)) > picture);
    let view = view.ok_or_else(|| of_shape(name, &output, "[batch, n]"))?;
    Ok(view.row(picture).to_vec())
}

/// How far above 1 rounding may bring a probability.
const MOST: f32 = 1.001;

/// And a side below 0, in pixels.
const TINY: f32 = 0.01;

/// An output of three axes may mean something else in another network.
fn check_cells(name: &str, output: &Array2<f32>, expected: (usize, usize)) -> Result<(), RuntimeError> {
    let failed = |reason| Err(RuntimeError::Output { name: name.into(), reason });
    let ((rows, columns), (wanted, cells)) = (output.dim(), expected);
    if (rows, columns) != expected {
        let classes = wanted.saturating_sub(4);
        return failed(format!(
            "it has shape [batch, {rows}, {columns}]; expected [batch, {wanted}, {cells}] for {classes} classes and that input"
        ));
    }
    if let Some(score) = output.slice(s![4.., ..]).iter().find(|score| !(0.0..=MOST).contains(*score)) {
        return failed(format!("it has the class score {score}; expected probabilities"));
    }
    if let Some(side) = output.slice(s![..4, ..]).iter().find(|side| !side.is_finite()) {
        return failed(format!("it has {side} in a box; expected finite centres and sizes"));
    }
    match output.slice(s![2..4, ..]).iter().find(|side| **side < -TINY) {
        Some(side) => failed(format!("it has a box with a side of {side}; expected centre, width and height")),
        None => Ok(()),
    }
}

/// Rows `x1, y1, x2, y2, score, class`; those without a score fill up.
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
            return failed(format!("it has the score {score}; expected a probability"));
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
        assert!(check_cells("o", &good, (6, 3)).is_ok());
        for (row, value, message) in [
            (2, -3.0, "a box with a side of -3"),
            (3, f32::NAN, "it has NaN in a box"),
            (0, f32::INFINITY, "it has inf in a box"),
            (4, 1.5, "the class score 1.5"),
            (5, f32::NAN, "the class score NaN"),
        ] {
            let mut output = good.clone();
            output[[row, 1]] = value;
            let error = check_cells("o", &output, (6, 3)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}

//! Boxes on images.

use numpy::{PyArray3, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use yolo9::detect::{BoxXyxy, Detection};
use yolo9::output::{AnnotateOptions, ImageResult, annotate};

use crate::input::{Decoded, Input, array};

/// The image with boxes and labels, as a new array.
#[pyfunction]
#[pyo3(signature = (image, xyxy, confidence, class_id, names, *, line_width, labels, confidences))]
#[expect(clippy::too_many_arguments, reason = "columns of a table, and keywords")]
pub(crate) fn draw<'py>(
    py: Python<'py>,
    image: Input<'py>,
    xyxy: PyReadonlyArray2<'py, f32>,
    confidence: PyReadonlyArray1<'py, f32>,
    class_id: PyReadonlyArray1<'py, i64>,
    names: Vec<String>,
    line_width: Option<u32>,
    labels: bool,
    confidences: bool,
) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let rows = xyxy.as_array();
    let (confidence, class_id) = (confidence.as_array(), class_id.as_array());
    let count = rows.nrows();
    if rows.ncols() != 4 || confidence.len() != count || class_id.len() != count {
        let lengths = format!("{} boxes of {} numbers, {} confidences", count, rows.ncols(), confidence.len());
        return Err(PyValueError::new_err(format!(
            "{lengths} and {} class ids; expected 4 numbers, a confidence and a class id for each box",
            class_id.len()
        )));
    }
    let boxes = rows.outer_iter().zip(confidence).zip(class_id).map(|((row, confidence), class)| {
        let bbox = BoxXyxy { x1: row[0], y1: row[1], x2: row[2], y2: row[3] };
        let class = usize::try_from(*class).map_err(|_| PyValueError::new_err(format!("class id {class}")))?;
        Ok(Detection { bbox, class, confidence: *confidence })
    });
    let detections = boxes.collect::<PyResult<Vec<_>>>()?;
    let source = image.source()?;
    let drawn = py.detach(|| {
        let mut image = source.decode().map(Decoded::into_image)?;
        let size = image.size();
        let result = ImageResult { source: "", size, input: size, detections: &detections, class_names: &names };
        let options =
            AnnotateOptions::default().line_width(line_width).hide_labels(!labels).hide_confidence(!confidences);
        annotate(&mut image.pixels, &result, &options);
        Ok(image)
    });
    array(py, drawn.map_err(|error| source.exception(&error))?)
}

//! Which inputs and outputs are those of a detector.

use super::{Dimension, OnnxHead, OnnxInput, ValueInfoProto};
use crate::untrusted::printable;

/// Columns of a row of suppressed detections: x1, y1, x2, y2, score, class.
const ROW: usize = 6;

/// The kind of number of an input or output, as `TensorProto.DataType`.
const FLOAT: i32 = 1;
const FLOAT16: i32 = 10;

/// A declared input or output.
pub(super) struct Tensor {
    name: String,
    element: i32,
    /// Lengths, where they are fixed.
    shape: Vec<Option<usize>>,
    /// As declared.
    dims: Vec<String>,
}

impl Tensor {
    pub(super) fn new(info: &ValueInfoProto) -> Self {
        let tensor = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        let dims =
            tensor.and_then(|tensor| tensor.shape.as_ref()).map(|shape| shape.dim.as_slice()).unwrap_or_default();
        let length = |dim: &Dimension| dim.dim_value.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        Self {
            name: info.name.clone().unwrap_or_default(),
            element: tensor.and_then(|tensor| tensor.elem_type).unwrap_or(0),
            shape: dims.iter().map(length).collect(),
            dims: dims
                .iter()
                .map(|dim| match (length(dim), dim.dim_param.as_deref()) {
                    (Some(length), _) => length.to_string(),
                    (None, Some(name)) if !name.is_empty() => name.to_owned(),
                    _ => "?".into(),
                })
                .collect(),
        }
    }

    pub(super) fn describe(&self) -> String {
        let element = match self.element {
            FLOAT => "f32",
            FLOAT16 => "f16",
            2 => "u8",
            3 => "i8",
            6 => "i32",
            7 => "i64",
            9 => "bool",
            11 => "f64",
            _ => "?",
        };
        format!("`{}` {element} [{}]", printable(&self.name), printable(&self.dims.join(", ")))
    }
}

/// What a single input of images asks for.
pub(super) fn input(inputs: &[Tensor]) -> Option<OnnxInput> {
    let [Tensor { element: FLOAT | FLOAT16, shape, .. }] = inputs else { return None };
    match shape.as_slice() {
        [batch, None | Some(3), height, width] => Some(OnnxInput { batch: *batch, height: *height, width: *width }),
        _ => None,
    }
}

/// The outputs of a detector and those of the same form beside them, or a hint at what else they are.
pub(super) fn head(
    outputs: &[Tensor],
    input: &OnnxInput,
    strides: &[usize],
) -> Result<(OnnxHead, Vec<String>), &'static str> {
    let named = |name: &str, axes: usize| outputs.iter().any(|o| o.name == name && o.shape.len() == axes);
    if named("boxes", 3) && named("scores", 2) && named("classes", 2) {
        let [boxes, scores, classes] = ["boxes", "scores", "classes"].map(str::to_owned);
        return Ok((OnnxHead::Lists { boxes, scores, classes }, Vec::new()));
    }
    let anchors = input.height.zip(input.width).map(|(h, w)| strides.iter().map(|s| (h / s) * (w / s)).sum::<usize>());
    let maps: Vec<&Tensor> =
        outputs.iter().filter(|o| o.shape.len() == 3 && matches!(o.element, FLOAT | FLOAT16)).collect();
    if let Some(rows) = maps.iter().find(|map| map.shape[2] == Some(ROW) && anchors != Some(ROW)) {
        return Ok((OnnxHead::Rows(rows.name.clone()), Vec::new()));
    }
    let known = |n: Option<usize>, expected: Option<usize>| n.is_none() || expected.is_none() || n == expected;
    let dense: Vec<&&Tensor> =
        maps.iter().filter(|map| known(map.shape[2], anchors) && map.shape[1].is_none_or(|rows| rows > 4)).collect();
    // A model with an auxiliary branch gives that first; its exporter names only that one (`output0`).
    let Some((main, auxiliary)) = dense.split_last() else {
        let transposed =
            |map: &&Tensor| anchors.is_some() && map.shape[1].is_some_and(|rows| known(Some(rows), anchors));
        return Err(match maps.iter().any(transposed) {
            true => "; anchor points come before their values, with an objectness, in exports of YOLOv5 and YOLOv7",
            false if outputs.iter().any(|output| output.shape.len() >= 4) => {
                "; maps before decoding come from MIT YOLO's export: give the checkpoint instead"
            }
            false => "",
        });
    };
    let classes = main.shape[1].map(|rows| rows - 4);
    let unused = auxiliary.iter().map(|map| map.name.clone()).collect();
    Ok((OnnxHead::Dense { output: main.name.clone(), classes }, unused))
}

//! A detection model in an ONNX Runtime session.

use std::collections::BTreeMap;

use ndarray::{Array4, ArrayView4, Axis, Ix4};

use super::session::{OrtSession, Outputs, SessionOptions};
use super::{HeadOutput, LevelOutput, Model, Runtime, RuntimeError};
use crate::graph::{HeadLayout, LevelLayout, OnnxModel};

/// A [`Model`] that ONNX Runtime executes.
#[derive(Debug)]
pub struct OrtModel {
    session: OrtSession,
    head: HeadLayout,
}

impl OrtModel {
    /// Hands the model to ONNX Runtime, which optimises it.
    ///
    /// # Errors
    /// [`RuntimeError::Load`] with ONNX Runtime's message.
    pub fn new(runtime: &Runtime, model: OnnxModel, options: &SessionOptions) -> Result<Self, RuntimeError> {
        let name = model.proto.graph.as_ref().and_then(|graph| graph.name.clone()).unwrap_or_default();
        let head = model.head.clone();
        let bytes = model.to_bytes();
        // The weights exist twice now; ONNX Runtime makes copies of its own.
        drop(model);
        Ok(Self { session: OrtSession::new(runtime, &name, &bytes, options)?, head })
    }

    /// Runs one picture and gives every output of the graph by name, `[1, channels, h, w]`: the head's, and the layers'
    /// after [`OnnxModel::expose_layers`].
    ///
    /// # Errors
    /// As [`Model::run`].
    pub fn run_all(&mut self, input: ArrayView4<'_, f32>) -> Result<BTreeMap<String, Array4<f32>>, RuntimeError> {
        let names: Vec<String> = self.session.output_names().map(str::to_owned).collect();
        let outputs = self.session.run(&[input.into_dyn()])?;
        names.into_iter().map(|name| map(&outputs, &name).map(|map| (name, map))).collect()
    }
}

impl Model for OrtModel {
    fn run(&mut self, input: ArrayView4<'_, f32>) -> Result<HeadOutput, RuntimeError> {
        let outputs = self.session.run(&[input.into_dyn()])?;
        let one = |name: &str| map(&outputs, name).map(|map| map.remove_axis(Axis(0)));
        let level = |level: &LevelLayout| {
            Ok(LevelOutput { stride: level.stride, boxes: one(&level.boxes)?, classes: one(&level.classes)? })
        };
        self.head.levels.iter().map(level).collect::<Result<_, _>>().map(HeadOutput::Levels)
    }
}

/// One output, copied out of the runtime's memory.
fn map(outputs: &Outputs<'_>, name: &str) -> Result<Array4<f32>, RuntimeError> {
    let view = outputs.get(name)?;
    let shape = view.shape().to_vec();
    view.into_owned().into_dimensionality::<Ix4>().map_err(|_| RuntimeError::Output {
        name: name.into(),
        reason: format!("it has shape {shape:?}; expected four axes"),
    })
}

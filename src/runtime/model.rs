//! A detection model in an ONNX Runtime session.

use std::collections::BTreeMap;

use ndarray::{Array3, Array4, ArrayView4, Axis, Ix4};

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
        Ok(Self::several(runtime, model, options, 1)?.remove(0))
    }

    /// As [`OrtModel::new`], that many times: each can run on a thread of its own, and has the weights in memory.
    ///
    /// # Errors
    /// As [`OrtModel::new`].
    ///
    /// # Panics
    /// If `count` is 0.
    pub fn several(
        runtime: &Runtime,
        model: OnnxModel,
        options: &SessionOptions,
        count: usize,
    ) -> Result<Vec<Self>, RuntimeError> {
        assert!(count > 0, "no model asked for");
        let name = model.proto.graph.as_ref().and_then(|graph| graph.name.clone()).unwrap_or_default();
        let head = model.head.clone();
        let bytes = model.to_bytes();
        // The weights exist twice now; ONNX Runtime makes copies of its own.
        drop(model);
        let model = || Ok(Self { session: OrtSession::new(runtime, &name, &bytes, options)?, head: head.clone() });
        // Each optimises the graph anew, on one core.
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..count).map(|_| scope.spawn(model)).collect();
            let first = std::iter::once(model());
            let joined = others.into_iter().map(|other| other.join().expect("building a session does not panic"));
            first.chain(joined).collect()
        })
    }

    /// As [`OrtSession::end_profiling`].
    ///
    /// # Errors
    /// As [`OrtSession::end_profiling`].
    pub fn end_profiling(&mut self) -> Result<std::path::PathBuf, RuntimeError> {
        self.session.end_profiling()
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
        Ok(self.run_batch(input)?.remove(0))
    }

    fn run_batch(&mut self, input: ArrayView4<'_, f32>) -> Result<Vec<HeadOutput>, RuntimeError> {
        let pictures = input.len_of(Axis(0));
        let outputs = self.session.run(&[input.into_dyn()])?;
        let level = |level: &LevelLayout, picture: usize| {
            let of = |name: &str| map_of(picture, &outputs, name);
            Ok(LevelOutput { stride: level.stride, boxes: of(&level.boxes)?, classes: of(&level.classes)? })
        };
        let levels = |picture| self.head.levels.iter().map(|l| level(l, picture)).collect::<Result<_, _>>();
        (0..pictures).map(|picture| levels(picture).map(HeadOutput::Levels)).collect()
    }
}

/// One picture's part of an output, copied out of the runtime's memory.
fn map_of(picture: usize, outputs: &Outputs<'_>, name: &str) -> Result<Array3<f32>, RuntimeError> {
    let output = outputs.get(name)?;
    let view = output.view().into_dimensionality::<Ix4>().ok().filter(|view| view.len_of(Axis(0)) > picture);
    let view = view.ok_or_else(|| of_shape(name, output.shape()))?;
    Ok(view.index_axis(Axis(0), picture).to_owned())
}

fn of_shape(name: &str, shape: &[usize]) -> RuntimeError {
    RuntimeError::Output { name: name.into(), reason: format!("it has shape {shape:?}; expected four axes") }
}

/// One output, copied out of the runtime's memory.
fn map(outputs: &Outputs<'_>, name: &str) -> Result<Array4<f32>, RuntimeError> {
    let view = outputs.get(name)?;
    let shape = view.shape().to_vec();
    view.into_owned().into_dimensionality::<Ix4>().map_err(|_| of_shape(name, &shape))
}

//! A model in an ONNX Runtime session.

use std::collections::BTreeMap;

use ndarray::{Array4, ArrayView4, Axis};
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionOutputs};
use ort::value::TensorRef;

use super::{LevelOutput, Model, Runtime, RuntimeError};
use crate::graph::{HeadLayout, OnnxModel};

/// How a session runs.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Threads that one run may use. The default is what the system grants this process (affinity and cgroup quota).
    pub threads: usize,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get) }
    }
}

/// A [`Model`] that ONNX Runtime executes.
#[derive(Debug)]
pub struct OrtModel {
    session: Session,
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
        let session = session(runtime, &bytes, options)
            .map_err(|error| RuntimeError::Load { model: name, reason: error.to_string() })?;
        Ok(Self { session, head })
    }
}

fn session(runtime: &Runtime, bytes: &[u8], options: &SessionOptions) -> ort::Result<Session> {
    Session::builder(&runtime.environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(options.threads.max(1))?
        .commit_from_memory(bytes)
}

impl OrtModel {
    /// Runs one picture and gives every output of the graph by name, `[1, channels, h, w]`: the head's, and the layers'
    /// after [`OnnxModel::expose_layers`].
    ///
    /// # Errors
    /// As [`Model::run`].
    pub fn run_all(&mut self, input: ArrayView4<'_, f32>) -> Result<BTreeMap<String, Array4<f32>>, RuntimeError> {
        let names: Vec<String> = self.session.outputs().iter().map(|output| output.name().to_owned()).collect();
        let maps = maps(&mut self.session, input, names.iter().map(String::as_str))?;
        Ok(names.into_iter().zip(maps).collect())
    }
}

impl Model for OrtModel {
    fn head(&self) -> &HeadLayout {
        &self.head
    }

    fn run(&mut self, input: ArrayView4<'_, f32>) -> Result<Vec<LevelOutput>, RuntimeError> {
        let names = self.head.levels.iter().flat_map(|level| [level.boxes.as_str(), &level.classes]);
        let mut maps = maps(&mut self.session, input, names)?.into_iter().map(|map| map.remove_axis(Axis(0)));
        let mut levels = Vec::with_capacity(self.head.levels.len());
        while let (Some(boxes), Some(classes)) = (maps.next(), maps.next()) {
            levels.push(LevelOutput { boxes, classes });
        }
        Ok(levels)
    }
}

/// Runs one picture and copies the outputs of those names.
fn maps<'a>(
    session: &mut Session,
    input: ArrayView4<'_, f32>,
    names: impl Iterator<Item = &'a str>,
) -> Result<Vec<Array4<f32>>, RuntimeError> {
    let failed = |error: ort::Error| RuntimeError::Run { shape: input.shape().to_vec(), reason: error.to_string() };
    let contiguous = input.as_standard_layout();
    let data = contiguous.as_slice().unwrap_or_default();
    let tensor = TensorRef::from_array_view((input.shape(), data)).map_err(failed)?;
    let outputs = session.run(ort::inputs![tensor]).map_err(failed)?;
    names.map(|name| map(&outputs, name).map_err(failed)).collect()
}

/// One output, copied out of the runtime's memory.
fn map(outputs: &SessionOutputs<'_>, name: &str) -> ort::Result<Array4<f32>> {
    let value = outputs.get(name).ok_or_else(|| ort::Error::new(format!("no output {name}")))?;
    let (shape, values) = value.try_extract_tensor::<f32>()?;
    let [batch, channels, height, width] = shape[..] else {
        return Err(ort::Error::new(format!("output {name} has shape {shape}; expected four axes")));
    };
    let shape = [batch, channels, height, width].map(|length| length as usize);
    Array4::from_shape_vec(shape, values.to_vec()).map_err(|error| ort::Error::new(error.to_string()))
}

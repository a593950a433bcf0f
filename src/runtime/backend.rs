//! A detection network in an ONNX Runtime session.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ndarray::{Array4, ArrayView4, Axis, CowArray, Ix4, s};

use super::device::{Device, DeviceProblem, Precision};
use super::outputs::{self, Expected};
use super::session::{OrtSession, SessionOptions};
use super::{Runtime, RuntimeError};
use crate::detect::{Backend, BackendError, HeadOutput};
use crate::graph::{ExportError, HeadLayout, OnnxModel};
use crate::onnx::{OnnxFile, OnnxHead};

/// A [`Backend`] that ONNX Runtime executes: a graph that we built, or an `.onnx` file.
#[derive(Debug)]
pub struct OrtBackend {
    session: OrtSession,
    precision: Precision,
    outputs: Outputs,
    /// Images of a run, where the file fixes it.
    batch: Option<usize>,
    /// Shape of the last input that the session got.
    last_input: Vec<usize>,
}

/// Where detections are among the outputs.
#[derive(Debug, Clone)]
enum Outputs {
    /// Raw maps of a graph of ours.
    Levels(HeadLayout),
    /// Decoded ones of an exported file.
    Decoded { head: OnnxHead, strides: Vec<usize>, classes: usize },
}

impl OrtBackend {
    /// Hands a graph to ONNX Runtime, which optimises it.
    ///
    /// # Errors
    /// As [`OrtSession::new`].
    pub fn new(runtime: &Runtime, model: OnnxModel, options: &SessionOptions) -> Result<Self, RuntimeError> {
        Ok(Self::several(runtime, model, options, 1)?.remove(0))
    }

    /// As [`OrtBackend::new`], that many times: each can run on a thread of its own, and has the weights in memory.
    ///
    /// # Errors
    /// As [`OrtBackend::new`].
    pub fn several(
        runtime: &Runtime,
        mut model: OnnxModel,
        options: &SessionOptions,
        count: usize,
    ) -> Result<Vec<Self>, RuntimeError> {
        let (device, precision) = (options.device, options.precision.unwrap_or_default());
        let unusable = |problem| RuntimeError::Device { device, problem };
        let name = model.proto.graph.as_ref().and_then(|graph| graph.name.clone()).unwrap_or_default();
        if precision == Precision::Int8 {
            return Err(RuntimeError::NotQuantised { model: "the network".into(), exported: false });
        }
        if precision == Precision::F16 && device.takes_f16_graphs() {
            let lacks = |error: ExportError| DeviceProblem::Precision { precision, why: error.to_string() };
            model.narrow().map_err(|error| unusable(lacks(error)))?;
        }
        let outputs = Outputs::Levels(model.head.clone());
        let bytes = model.to_bytes();
        // The weights exist twice now; ONNX Runtime makes copies of its own.
        drop(model);
        sessions(runtime, (&name, &bytes), options, (&outputs, None), count)
    }

    /// Hands an `.onnx` file to ONNX Runtime, that many times. DySample nodes of ours run on the native operator. No class
    /// id of its results will be beyond `classes`.
    ///
    /// # Errors
    /// As [`OrtSession::new`]; [`RuntimeError::NotQuantised`] and [`RuntimeError::FixedPrecision`] when the file has other
    /// numbers than those that are asked for.
    pub fn of_file(
        runtime: &Runtime,
        file: &OnnxFile,
        classes: usize,
        options: &SessionOptions,
        count: usize,
    ) -> Result<Vec<Self>, RuntimeError> {
        let own = if file.is_quantised() { Precision::Int8 } else { Precision::F32 };
        let model = file.name.clone();
        let precision = options.precision.unwrap_or(own);
        if precision == Precision::Int8 && own != precision {
            return Err(RuntimeError::NotQuantised { model, exported: true });
        }
        let becomes_f16 = precision == Precision::F16 && options.device.takes_f16_graphs();
        if becomes_f16 || own == Precision::Int8 && precision != own {
            return Err(RuntimeError::FixedPrecision { model, own, asked: precision });
        }
        let options = &options.clone().precision(Some(precision));
        let outputs = Outputs::Decoded { head: file.head.clone(), strides: file.strides.clone(), classes };
        sessions(runtime, (&file.name, &file.bytes), options, (&outputs, file.input.batch), count)
    }

    /// As [`OrtSession::end_profiling`].
    ///
    /// # Errors
    /// As [`OrtSession::end_profiling`].
    pub fn end_profiling(&mut self) -> Result<PathBuf, RuntimeError> {
        self.session.end_profiling()
    }

    /// What computes it: that of the options, or the CPU where it took over.
    #[must_use]
    pub fn device(&self) -> Device {
        self.session.device()
    }

    /// The numbers of its convolutions.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Shape of the last input that went to ONNX Runtime; empty before the first run.
    pub fn last_input_shape(&self) -> &[usize] {
        &self.last_input
    }

    /// Runs one image and gives every output of the graph by name, `[1, channels, h, w]`: the head's, and the layers'
    /// after [`OnnxModel::expose_layers`].
    ///
    /// # Errors
    /// As [`OrtSession::run`].
    pub fn run_all(&mut self, input: ArrayView4<'_, f32>) -> Result<BTreeMap<String, Array4<f32>>, RuntimeError> {
        let names: Vec<String> = self.session.output_names().map(str::to_owned).collect();
        let outputs = self.session.run(&[input.into_dyn()])?;
        names.into_iter().map(|name| outputs::map(&outputs, &name).map(|map| (name, map))).collect()
    }
}

/// Each optimises the graph anew, on one core. If the CPU may take over, the first one decides for all.
fn sessions(
    runtime: &Runtime,
    (name, bytes): (&str, &[u8]),
    options: &SessionOptions,
    (outputs, batch): (&Outputs, Option<usize>),
    count: usize,
) -> Result<Vec<OrtBackend>, RuntimeError> {
    let session = |options: &SessionOptions| {
        let session = OrtSession::new(runtime, name, bytes, options)?;
        let precision = options.precision.unwrap_or_default();
        Ok(OrtBackend { session, precision, outputs: outputs.clone(), batch, last_input: Vec::new() })
    };
    let at_once = |options: &SessionOptions, count: usize| -> Result<Vec<OrtBackend>, RuntimeError> {
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..count).map(|_| scope.spawn(|| session(options))).collect();
            let first = std::iter::once(session(options));
            let joined = others.into_iter().map(|other| other.join().expect("building a session does not panic"));
            first.chain(joined).collect()
        })
    };
    if count < 2 || !options.fallback {
        return at_once(options, count);
    }
    let mut all = at_once(options, 1)?;
    let device = all[0].session.device();
    all.extend(at_once(&options.clone().device(device), count - 1)?);
    Ok(all)
}

impl Backend for OrtBackend {
    /// In chunks of the file's batch if that is fixed.
    fn run(&mut self, input: ArrayView4<'_, f32>) -> Result<Vec<HeadOutput>, BackendError> {
        let (images, _, height, width) = input.dim();
        let at_once = self.batch.unwrap_or(images).max(1);
        let mut found = Vec::with_capacity(images);
        for chunk in input.axis_chunks_iter(Axis(0), at_once) {
            let filled = filled_up(chunk, self.batch.unwrap_or(1));
            self.last_input = filled.shape().to_vec();
            let outputs = self.session.run(&[filled.view().into_dyn()])?;
            for image in 0..chunk.len_of(Axis(0)) {
                found.push(match &self.outputs {
                    Outputs::Levels(layout) => outputs::levels(&outputs, layout, image)?,
                    Outputs::Decoded { head, strides, classes } => {
                        let anchors = strides.iter().map(|stride| (height / stride) * (width / stride)).sum();
                        outputs::decoded(&outputs, head, image, Expected { anchors, classes: *classes })?
                    }
                });
            }
        }
        Ok(found)
    }
}

/// A fixed batch of a file filled up with black images.
fn filled_up(input: ArrayView4<'_, f32>, batch: usize) -> CowArray<'_, f32, Ix4> {
    let (given, channels, height, width) = input.dim();
    if batch <= given {
        return input.into();
    }
    let mut filled = Array4::zeros((batch, channels, height, width));
    filled.slice_mut(s![..given, .., .., ..]).assign(&input);
    filled.into()
}

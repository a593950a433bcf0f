//! A graph in an ONNX Runtime session.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use half::f16;
use ndarray::{ArrayD, ArrayViewD, CowArray, IxDyn};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue, SessionOutputs as OrtOutputs};
use ort::value::{Shape, Tensor, TensorElementType, TensorRef, ValueType};
use prost::Message;

use super::device::{Device, DeviceProblem, Precision};
use super::{Runtime, RuntimeError, operator, providers};
use crate::onnx::{Dim, GraphProto, ModelProto, Opset, import, node, value_info};
use crate::setters::setters;

/// What computes the nodes `yolo9:DySample`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DySampleBackend {
    /// What suits the device: our operator on the CPU, the body elsewhere.
    #[default]
    Auto,
    /// Our operator.
    Native,
    /// The body of standard operators that the model carries for runtimes without our operator.
    Onnx,
}

/// How a session runs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionOptions {
    /// Threads that one run may use. The default is what the system grants this process (affinity and cgroup quota).
    pub threads: usize,
    /// What computes the network.
    pub device: Device,
    /// The numbers of its convolutions; if nothing is said, those of the model: f32, or int8 of a quantised file.
    pub precision: Option<Precision>,
    /// Whether the CPU takes over, with a warning, where the device cannot be used.
    pub fallback: bool,
    /// What computes DySample.
    pub dysample: DySampleBackend,
    /// Whether threads that wait for work use up their core. Makes a run a little shorter, and takes the core from
    /// everything else that could run meanwhile.
    pub spinning: bool,
    /// Where the time of every node goes, if it is measured: the beginning of a file's name. See
    /// [`OrtSession::end_profiling`].
    pub profile: Option<PathBuf>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            threads,
            device: Device::default(),
            precision: None,
            fallback: false,
            dysample: DySampleBackend::default(),
            spinning: true,
            profile: None,
        }
    }
}

setters!(SessionOptions {
    threads: usize,
    device: Device,
    precision: Option<Precision>,
    fallback: bool,
    dysample: DySampleBackend,
    spinning: bool,
    profile: Option<PathBuf>,
});

impl SessionOptions {
    /// Whether our operator computes DySample.
    #[must_use]
    pub fn native_dysample(&self) -> bool {
        match self.dysample {
            // Our operator runs on the CPU: between the parts of a network that another provider took it costs two copies,
            // and in OpenVINO more than it saves.
            DySampleBackend::Auto => self.device == Device::Cpu,
            chosen => chosen == DySampleBackend::Native,
        }
    }
}

/// Any graph of floating point tensors that ONNX Runtime executes.
#[derive(Debug)]
pub struct OrtSession {
    session: Session,
    device: Device,
}

impl OrtSession {
    /// Hands the bytes of an `.onnx` file to ONNX Runtime, which optimises the graph. Errors call it `name`.
    ///
    /// # Errors
    /// [`RuntimeError::Load`] with ONNX Runtime's message; [`RuntimeError::Device`] when the device cannot be used, or
    /// would leave convolutions to the CPU.
    pub fn new(runtime: &Runtime, name: &str, bytes: &[u8], options: &SessionOptions) -> Result<Self, RuntimeError> {
        match on_device(runtime, name, bytes, options) {
            Err(error @ RuntimeError::Device { .. }) if options.fallback && options.device != Device::Cpu => {
                log::warn!("{error}; running on the CPU");
                on_device(runtime, name, bytes, &options.clone().device(Device::Cpu))
            }
            other => other,
        }
    }

    /// What computes it: that of the options, or the CPU where it took over.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// Names of the graph's outputs.
    pub fn output_names(&self) -> impl Iterator<Item = &str> {
        self.session.outputs().iter().map(ort::value::Outlet::name)
    }

    /// Ends what [`SessionOptions::profile`] began, and gives the file: a JSON array of events (Chrome's trace format).
    ///
    /// # Errors
    /// [`RuntimeError::Profile`], also when the session was not told to measure.
    pub fn end_profiling(&mut self) -> Result<PathBuf, RuntimeError> {
        let ended = self.session.end_profiling();
        ended.map(PathBuf::from).map_err(|error| RuntimeError::Profile(error.to_string()))
    }

    /// Runs the graph on its inputs in order.
    ///
    /// # Errors
    /// [`RuntimeError::Run`] with ONNX Runtime's message.
    pub fn run(&mut self, inputs: &[ArrayViewD<'_, f32>]) -> Result<SessionOutputs<'_>, RuntimeError> {
        let shapes: Vec<Vec<usize>> = inputs.iter().map(|input| input.shape().to_vec()).collect();
        let inputs: Vec<_> = inputs.iter().map(|input| input.as_standard_layout()).collect();
        let outputs = run(&mut self.session, &inputs);
        outputs.map(SessionOutputs).map_err(|error| RuntimeError::Run { shapes, reason: error.to_string() })
    }
}

fn on_device(
    runtime: &Runtime,
    name: &str,
    bytes: &[u8],
    options: &SessionOptions,
) -> Result<OrtSession, RuntimeError> {
    let unusable = |problem| RuntimeError::Device { device: options.device, problem };
    providers::check(runtime, options).map_err(unusable)?;
    let failed = |error: ort::Error| RuntimeError::Load { model: name.into(), reason: error.to_string() };
    let builder = builder(runtime, options).map_err(failed)?;
    let refused = |error: ort::Error| unusable(DeviceProblem::Provider(providers::reason(&error)));
    let mut builder = providers::register(builder, options).map_err(refused)?;
    let committed = builder.commit_from_memory(bytes);
    let session =
        committed.map_err(|error| if options.device == Device::Cpu { failed(error) } else { refused(error) })?;
    providers::verify(&session, name, options.device).map_err(unusable)?;
    Ok(OrtSession { session, device: options.device })
}

fn builder(runtime: &Runtime, options: &SessionOptions) -> ort::Result<SessionBuilder> {
    let threads = options.threads.max(1);
    // Other providers have threads of their own.
    let own = if options.device == Device::Cpu { threads } else { 1 };
    let mut builder = Session::builder(&runtime.environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(own)?
        .with_intra_op_spinning(options.spinning)?;
    if let Some(profile) = &options.profile {
        builder = builder.with_profiling(profile)?;
    }
    if options.native_dysample() {
        builder = builder.with_operators(operator::domain(threads)?)?;
        introduce_domain(runtime)?;
    }
    Ok(builder)
}

/// Makes ONNX Runtime know our domain: the first session with operators of a domain adds it to a table of the process,
/// and two that do so at the same time make one of them fail (seen with 1.31: "the domain is already exist").
fn introduce_domain(runtime: &Runtime) -> ort::Result<()> {
    static INTRODUCED: Mutex<bool> = Mutex::new(false);
    let mut introduced = INTRODUCED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*introduced {
        Session::builder(&runtime.environment)?.with_operators(operator::domain(1)?)?.commit_from_memory(&identity())?;
        *introduced = true;
    }
    Ok(())
}

/// The smallest model: a value that goes through.
fn identity() -> Vec<u8> {
    let value = |name| value_info(name, &[Dim::Fixed(1)]);
    let model = ModelProto {
        ir_version: Some(Opset::default().ir_version()),
        graph: Some(GraphProto {
            name: Some("identity".into()),
            node: vec![node("Identity", &["x"], &["y"], &[])],
            input: vec![value("x")],
            output: vec![value("y")],
            ..Default::default()
        }),
        opset_import: vec![import("", Opset::default().number())],
        ..Default::default()
    };
    model.encode_to_vec()
}

fn run<'s>(session: &'s mut Session, inputs: &[ndarray::CowArray<'_, f32, IxDyn>]) -> ort::Result<OrtOutputs<'s>> {
    let mut values: Vec<SessionInputValue<'_>> = Vec::with_capacity(inputs.len());
    for (position, input) in inputs.iter().enumerate() {
        let shape = input.shape();
        let numbers = input.as_slice().unwrap_or_default();
        let half = session.inputs().get(position).is_some_and(|input| is_half(input.dtype()));
        values.push(match half {
            true => {
                let numbers: Vec<f16> = numbers.iter().copied().map(f16::from_f32).collect();
                Tensor::from_array((shape, numbers))?.into()
            }
            false => TensorRef::from_array_view((shape, numbers))?.into(),
        });
    }
    session.run(&values[..])
}

fn is_half(kind: &ValueType) -> bool {
    matches!(kind, ValueType::Tensor { ty: TensorElementType::Float16, .. })
}

/// What a run gave, in ONNX Runtime's memory.
#[derive(Debug)]
pub struct SessionOutputs<'s>(OrtOutputs<'s>);

impl SessionOutputs<'_> {
    /// The output of that name; f16 is widened, and integers (class ids) become f32.
    ///
    /// # Errors
    /// When there is none, or it is a tensor of something else.
    pub fn get(&self, name: &str) -> Result<CowArray<'_, f32, IxDyn>, RuntimeError> {
        let failed = |reason: String| RuntimeError::Output { name: name.into(), reason };
        let value = self.0.get(name).ok_or_else(|| failed("there is none of that name".into()))?;
        let lengths = |shape: &Shape| shape.iter().map(|length| *length as usize).collect::<Vec<usize>>();
        if let Ok((shape, values)) = value.try_extract_tensor::<f32>() {
            let view = ArrayViewD::from_shape(lengths(shape), values).map_err(|error| failed(error.to_string()))?;
            return Ok(view.into());
        }
        let (shape, values) = if let Ok((shape, values)) = value.try_extract_tensor::<f16>() {
            (lengths(shape), values.iter().map(|value| value.to_f32()).collect())
        } else {
            let (shape, values) = value
                .try_extract_tensor::<i64>()
                .map_err(|_| failed(format!("it is {}; expected a tensor of f32, f16 or i64", value.dtype())))?;
            (lengths(shape), values.iter().map(|value| *value as f32).collect())
        };
        let array = ArrayD::from_shape_vec(shape, values).map_err(|error| failed(error.to_string()))?;
        Ok(array.into())
    }
}

//! Which device a command uses, and the library that has it.

use anyhow::Context;
use serde_json::{Value, json};
use yolo9::image::{InputShape, LetterboxOptions};
use yolo9::runtime::library::{LibraryOptions, ONNXRUNTIME, Package};
use yolo9::runtime::{Device, DeviceProblem, OrtBackend, Precision, Runtime, RuntimeError, processor};

use crate::cli::{DeviceArg, Globals, RuntimeArgs};

/// The device of `--device`, where `auto` is what this machine seems to have.
pub(crate) fn device(args: &RuntimeArgs) -> Device {
    match args.device {
        DeviceArg::Fixed(device) => device,
        DeviceArg::Auto => Device::likely(precision(args).unwrap_or_default()),
    }
}

/// The precision of `--precision`; nothing if it is that of the model.
pub(crate) fn precision(args: &RuntimeArgs) -> Option<Precision> {
    if args.half { Some(Precision::F16) } else { args.precision }
}

/// Device and precision, as far as they are known before a model is opened.
pub(crate) fn computed(args: &RuntimeArgs) -> (Device, Precision) {
    (device(args), precision(args).unwrap_or_default())
}

/// TensorRT builds an engine, which takes minutes, for each size of input.
pub(crate) fn warn_of_shapes(args: &RuntimeArgs, letterbox: &LetterboxOptions) {
    if matches!(device(args), Device::TensorRt(_)) && letterbox.shape != InputShape::Square {
        log::warn!(
            "TensorRT builds an engine for every size of input, which takes minutes: --square has one size only"
        );
    }
}

/// What ran a network: what figures of it are worth nothing without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Execution {
    pub(crate) device: Device,
    pub(crate) precision: Precision,
    /// Version of the library.
    pub(crate) onnxruntime: String,
}

impl Execution {
    pub(crate) fn of(backend: &OrtBackend, runtime: &Runtime) -> Self {
        Self { device: backend.device(), precision: backend.precision(), onnxruntime: runtime.version() }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "device": self.device.to_string(),
            "precision": self.precision.to_string(),
            "onnxruntime": self.onnxruntime,
            "processor": processor::name(),
        })
    }
}

impl std::fmt::Display for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}, ONNX Runtime {}", self.device, self.precision, self.onnxruntime)
    }
}

/// The library for the device of the options.
pub(crate) fn runtime(args: &RuntimeArgs, globals: &Globals) -> anyhow::Result<Runtime> {
    runtime_for(args, globals, &[computed(args)])
}

/// What can be said against a device and precision before a library is loaded. A library that the user named may be for a
/// driver that we do not see.
pub(crate) fn check(device: Device, precision: Precision, is_named: bool) -> Result<(), DeviceProblem> {
    device.check(precision)?;
    if !is_named {
        device.published_package()?;
        // Before hundreds of megabytes are fetched.
        device.check_driver()?;
    }
    Ok(())
}

pub(crate) fn library(args: &RuntimeArgs) -> LibraryOptions {
    LibraryOptions::default().path(args.engine.onnxruntime.clone())
}

/// The library for all of these: a process can load one only.
pub(crate) fn runtime_for(
    args: &RuntimeArgs,
    globals: &Globals,
    used: &[(Device, Precision)],
) -> anyhow::Result<Runtime> {
    let options = library(args).offline(globals.offline);
    let is_named = options.is_named();
    for (device, precision) in used {
        let unusable = |problem| RuntimeError::Device { device: *device, problem };
        check(*device, *precision, is_named).map_err(unusable)?;
    }
    let mut packages: Vec<&'static Package> = used.iter().filter_map(|(device, _)| device.package()).collect();
    packages.retain(|package| *package != &ONNXRUNTIME);
    packages.dedup();
    if let ([first, second, ..], false) = (&packages[..], is_named) {
        anyhow::bail!(
            "one process can load one ONNX Runtime library only, and the devices need two: {} and {}; compare each with cpu",
            first.name,
            second.name
        );
    }
    let package = packages.first().copied().unwrap_or(&ONNXRUNTIME);
    let loaded = Runtime::load(&options.clone().package(package));
    if args.device != DeviceArg::Auto {
        return Ok(loaded?);
    }
    let chosen = device(args);
    match loaded {
        Ok(runtime) => {
            log::info!("Device: {chosen} (--device auto)");
            Ok(runtime)
        }
        Err(error) if package != &ONNXRUNTIME => {
            log::warn!("device {chosen} cannot be used: {error}");
            Runtime::load(&options).context("running on the CPU instead")
        }
        Err(error) => Err(error.into()),
    }
}

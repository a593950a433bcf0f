//! Which device a command uses, and the library that has it.

use std::path::Path;

use anyhow::Context;
use yolo9::runtime::library::{LibraryOptions, ONNXRUNTIME, Package};
use yolo9::runtime::{Device, OpenVinoPart, Precision, Runtime, RuntimeError};

use crate::cli::{DeviceArg, Globals, RuntimeArgs};

/// The device of `--device`, where `auto` is what this machine seems to have.
pub(crate) fn device(args: &RuntimeArgs) -> Device {
    match args.device {
        DeviceArg::Fixed(device) => device,
        DeviceArg::Auto => likely(precision(args)),
    }
}

/// The precision of `--precision`.
pub(crate) fn precision(args: &RuntimeArgs) -> Precision {
    if args.half { Precision::F16 } else { args.precision }
}

/// A GPU with a driver, else the CPU. OpenVINO is no faster there than ONNX Runtime in f32, but it has bf16.
fn likely(precision: Precision) -> Device {
    let candidates = [
        (Device::Cuda(0), has_nvidia_driver()),
        (Device::CoreMl, cfg!(all(target_os = "macos", target_arch = "aarch64"))),
        (Device::DirectMl(0), cfg!(windows)),
        (Device::OpenVino(OpenVinoPart::Cpu), precision == Precision::Bf16),
    ];
    let fits = |device: Device| device.published_package().is_ok() && device.check(precision).is_ok();
    candidates.into_iter().find(|(device, there)| *there && fits(*device)).map_or(Device::Cpu, |(device, _)| device)
}

/// Whether the system has loaded one.
pub(crate) fn has_nvidia_driver() -> bool {
    let signs: &[&str] =
        if cfg!(windows) { &["C:\\Windows\\System32\\nvcuda.dll"] } else { &["/proc/driver/nvidia/version"] };
    signs.iter().any(|path| Path::new(path).exists())
}

/// The library for the device of the options.
pub(crate) fn runtime(args: &RuntimeArgs, globals: &Globals) -> anyhow::Result<Runtime> {
    runtime_for(args, globals, &[(device(args), precision(args))])
}

/// The library for all of these: a process can load one only.
pub(crate) fn runtime_for(
    args: &RuntimeArgs,
    globals: &Globals,
    used: &[(Device, Precision)],
) -> anyhow::Result<Runtime> {
    let options = LibraryOptions::default().path(args.onnxruntime.clone()).offline(globals.offline);
    let is_named = options.is_named();
    for (device, precision) in used {
        let unusable = |problem| RuntimeError::Device { device: *device, problem };
        device.check(*precision).map_err(unusable)?;
        if !is_named {
            device.published_package().map_err(unusable)?;
        }
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

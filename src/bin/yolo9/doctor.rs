//! `yolo9 doctor`.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use yolo9::cache_folder;
use yolo9::detect::{DetectorOptions, Preset};
use yolo9::dysample::Kernel;
use yolo9::image::{ImageLimits, InputShape};
use yolo9::model::ModelFile;
use yolo9::runtime::{Device, DeviceProblem, Precision, Runtime, SessionOptions};
use yolo9::{Detector, Image, Model, embedded};

use crate::cli::{Globals, RuntimeArgs};
use crate::console::print_line;
use crate::exit::ExitStatus;
use crate::{devices, options};

pub(crate) fn run(args: &RuntimeArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    print_line!("yolo9          {} ({}, {})", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    anyhow::ensure!(
        devices::precision(args) != Some(Precision::Int8),
        "--precision int8: the self-check runs the embedded model, which is f32; run a file of `yolo9 quantize` with `yolo9 \
         detect` on the device instead"
    );
    let cache = cache_folder()?;
    print_line!("cache folder   {}", cache.display());
    print_line!(
        "threads        {} granted, {} used",
        SessionOptions::default().threads,
        options::session(args).threads
    );
    print_line!("devices");
    for device in Device::KINDS {
        print_line!("  {:<12} {}", device.name(), availability(device, &cache, globals.is_offline()));
    }
    let start = Instant::now();
    let runtime = devices::runtime(args, globals)?;
    let library = runtime.library();
    print_line!("ONNX Runtime   {}", library.path.display());
    print_line!("  found        {} ({:.0} ms to load)", library.origin, start.elapsed().as_secs_f64() * 1e3);
    print_line!("  build        {}", runtime.build_info());
    if options::session(args).native_dysample() {
        print_line!("DySample       native operator, {} kernel", Kernel::best());
    } else {
        print_line!("DySample       standard ONNX operators");
    }
    self_check(args, &runtime).context("self-check")
}

/// What can be said of a device without starting it; `--device` does that.
fn availability(device: Device, cache: &Path, offline: bool) -> String {
    let package = match device.published_package() {
        Ok(package) => package,
        Err(problem) => return problem.to_string(),
    };
    if let Err(problem) = device.check_driver() {
        return problem.to_string();
    }
    let (mut can, mut cannot) = (Vec::new(), String::new());
    for precision in Precision::ALL {
        match device.check(precision) {
            Ok(()) => can.push(precision.to_string()),
            Err(DeviceProblem::Processor { precision, lacks }) => {
                cannot += &format!("; not {precision}: this processor has no {lacks}");
            }
            // What it has on no machine goes without saying.
            Err(_) => {}
        }
    }
    let fetched = match package.megabytes() {
        Some(megabytes) if !package.is_fetched(cache) => {
            let how = if offline { "not there, and fetching is switched off" } else { "fetched at first use" };
            format!("; {} is {how}, {megabytes} MB", package.name)
        }
        _ => String::new(),
    };
    format!("{}{cannot}{fetched}", can.join(", "))
}

/// The embedded model on the embedded image: a wrong library, a broken CPU feature or a damaged program shows here.
fn self_check(args: &RuntimeArgs, runtime: &Runtime) -> anyhow::Result<ExitStatus> {
    let model = embedded::MODELS.first().context("no embedded model")?;
    let opened = Model::new(model.name, ModelFile::Checkpoint(model.checkpoint()?), None, None)?;
    let preset = Preset::default();
    let letterbox = opened.letterbox(None, InputShape::Rectangular, preset.box_rescaling())?;
    let detector = DetectorOptions::new(letterbox, preset.postprocess());
    let session = options::session(args);
    print_line!("device         {} in {}", session.device, session.precision.unwrap_or_default());
    let mut detector = Detector::from_model(opened, detector, runtime, &session)?;
    let found = detector.detect(&Image::decode(embedded::SAMPLE_IMAGE, &ImageLimits::default())?)?;
    let (count, expected) = (found.len(), embedded::SAMPLE_DETECTIONS);
    print_line!(
        "self-check     {} on the sample image: {count} objects, {expected} expected, {:.1} ms inference",
        model.name,
        found.timing().inference.as_secs_f64() * 1e3
    );
    anyhow::ensure!(count == expected, "the embedded model found {count} objects instead of {expected}");
    print_line!("All checks passed");
    Ok(ExitStatus::Done)
}

//! `yolo9 doctor`.

use std::time::Instant;

use anyhow::Context;
use yolo9::cache_folder;
use yolo9::detect::{DetectorOptions, Preset};
use yolo9::dysample::Kernel;
use yolo9::image::{ImageLimits, InputShape};
use yolo9::model::ModelFile;
use yolo9::runtime::{DySampleBackend, Runtime, SessionOptions};
use yolo9::{Detector, Image, Model, embedded};

use crate::cli::{DoctorArgs, Globals};
use crate::console::print_line;
use crate::exit::ExitStatus;
use crate::options;

pub(crate) fn run(args: &DoctorArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    print_line!("yolo9          {} ({}, {})", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    print_line!("cache folder   {}", cache_folder()?.display());
    print_line!(
        "threads        {} granted, {} used",
        SessionOptions::default().threads,
        options::session(&args.runtime).threads
    );
    let start = Instant::now();
    let runtime = Runtime::load(&options::library(&args.runtime, globals))?;
    let library = runtime.library();
    print_line!("ONNX Runtime   {}", library.path.display());
    print_line!("  found        {} ({:.0} ms to load)", library.origin.describe(), start.elapsed().as_secs_f64() * 1e3);
    print_line!("  build        {}", runtime.build_info());
    match options::session(&args.runtime).dysample {
        DySampleBackend::Native => print_line!("DySample       native operator, {} kernel", Kernel::best()),
        DySampleBackend::Onnx => print_line!("DySample       standard ONNX operators"),
    }
    self_check(args, &runtime).context("self-check")
}

/// The embedded model on the embedded image: a wrong library, a broken CPU feature or a damaged program shows here.
fn self_check(args: &DoctorArgs, runtime: &Runtime) -> anyhow::Result<ExitStatus> {
    let model = embedded::models().first().context("no embedded model")?;
    let opened = Model::new(model.name, ModelFile::Checkpoint(model.checkpoint()?), None, None)?;
    let preset = Preset::default();
    let letterbox = opened.letterbox(None, InputShape::Rectangular, preset.box_rescaling())?;
    let detector = DetectorOptions::new(letterbox, preset.postprocess());
    let mut detector = Detector::from_model(opened, detector, runtime, &options::session(&args.runtime))?;
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

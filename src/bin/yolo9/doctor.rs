//! `yolo9 doctor`.

use std::time::Instant;

use anyhow::Context;
use clap::Args;
use yolo9::cache_folder;
use yolo9::detect::{Detector, Preset, Settings};
use yolo9::dysample::Kernel;
use yolo9::picture::{Fit, ImageLimits, InputShape, Picture};
use yolo9::runtime::{DySampleBackend, OrtModel, Runtime, SessionOptions};
use yolo9::{Network, Size, embedded};

use crate::Outcome;
use crate::args::{Globals, RuntimeArgs};
use crate::console::print_line;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    runtime: RuntimeArgs,
}

pub(crate) fn run(args: &DoctorArgs, globals: &Globals) -> anyhow::Result<Outcome> {
    print_line!("yolo9          {} ({}, {})", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    print_line!("cache folder   {}", cache_folder()?.display());
    print_line!(
        "threads        {} granted, {} used",
        SessionOptions::default().threads,
        args.runtime.session().threads
    );
    let start = Instant::now();
    let runtime = Runtime::load(&args.runtime.library(globals))?;
    let library = runtime.library();
    print_line!("ONNX Runtime   {}", library.path.display());
    print_line!("  found        {} ({:.0} ms to load)", library.origin.describe(), start.elapsed().as_secs_f64() * 1e3);
    print_line!("  build        {}", runtime.build_info());
    match args.runtime.session().dysample {
        DySampleBackend::Native => print_line!("DySample       native operator, {} kernel", Kernel::best()),
        DySampleBackend::Onnx => print_line!("DySample       standard ONNX operators"),
    }
    self_check(args, &runtime).context("self-check")
}

/// The embedded model on the embedded picture: a wrong library, a broken CPU feature or a damaged program shows here.
fn self_check(args: &DoctorArgs, runtime: &Runtime) -> anyhow::Result<Outcome> {
    let model = embedded::models().first().context("no embedded model")?;
    let network = Network::assemble(&model.checkpoint()?, None)?;
    let preset = Preset::default();
    let stride = network.architecture.stride();
    let fit = Fit::new(Size::square(640), stride, InputShape::Rectangular, preset.scale_back());
    let session = OrtModel::new(runtime, network.onnx, &args.runtime.session())?;
    let mut detector = Detector::new(session, Settings { fit, thresholds: preset.thresholds() });
    let picture = Picture::decode(embedded::SAMPLE_PICTURE, &ImageLimits::default())?;
    let found = detector.detect(&picture.pixels)?;
    let (count, expected) = (found.detections.len(), embedded::SAMPLE_DETECTIONS);
    print_line!(
        "self-check     {} on the sample picture: {count} objects, {expected} expected, {:.1} ms inference",
        model.name,
        found.timing.inference.as_secs_f64() * 1e3
    );
    anyhow::ensure!(count == expected, "the embedded model found {count} objects instead of {expected}");
    print_line!("all is well");
    Ok(Outcome::Done)
}

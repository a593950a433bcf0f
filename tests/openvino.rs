//! Networks in OpenVINO against ONNX Runtime's own kernels. Asked for only, since it fetches 84 MB: `make parity`.

#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout, reason = "tests may")]

mod common;

use common::workdir::{Workdir, stderr, stdout};
use yolo9::runtime::library::{LibraryOptions, OPENVINO};
use yolo9::runtime::{
    Device, DeviceProblem, DySampleBackend, OpenVinoPart, OrtBackend, Precision, Runtime, RuntimeError, SessionOptions,
};

const OPENVINO_CPU: Device = Device::OpenVino(OpenVinoPart::Cpu);

/// The first library of a process is its only one, so each test begins with this.
fn runtime() -> Option<Runtime> {
    if !OPENVINO.is_published() {
        eprintln!("skipped: there is no OpenVINO package for this platform");
        return None;
    }
    Some(Runtime::load(&LibraryOptions::default().package(&OPENVINO)).unwrap())
}

#[test]
#[ignore = "fetches OpenVINO; part of `make parity`"]
fn f32_is_that_of_the_cpu() {
    let Some(runtime) = runtime() else { return };
    for folder in common::folders(&common::data("golden")) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let (network, input) = (common::network(&folder.join("model.pt")), common::golden_input(&folder));
        let run = |device, dysample, input: &ndarray::Array4<f32>| {
            let options = SessionOptions::default().threads(2).device(device).dysample(dysample);
            let backend = OrtBackend::new(&runtime, network.onnx.clone(), &options);
            backend.map(|mut backend| common::all_predictions(&mut backend, input))
        };
        let on_cpu = |input: &ndarray::Array4<f32>| run(Device::Cpu, DySampleBackend::Native, input).unwrap();
        let expected = on_cpu(&input);
        let moved = common::moved_by_nudges(expected.view(), &input, on_cpu);
        for dysample in [DySampleBackend::Native, DySampleBackend::Onnx] {
            let found = match run(OPENVINO_CPU, dysample, &input) {
                Ok(found) => found,
                // OpenVINO leaves convolutions behind our operator to the CPU in some networks: that is refused.
                Err(RuntimeError::Device { problem: problem @ DeviceProblem::Fallback { .. }, .. })
                    if dysample == DySampleBackend::Native =>
                {
                    println!("{name:<34} {dysample:?}: {problem}");
                    continue;
                }
                Err(error) => panic!("{name}: {error}"),
            };
            let (boxes, scores) = common::differences(expected.view(), found.view());
            println!("{name:<34} {dysample:?}: boxes {boxes:.1e} px, scores {scores:.1e}; nudged {moved:?}");
            assert!(boxes <= f32::max(0.01, common::NOISE * moved.0), "{name}: boxes differ by {boxes} px");
            assert!(scores <= f32::max(1e-5, common::NOISE * moved.1), "{name}: scores differ by {scores}");
        }
    }
}

#[test]
#[ignore = "fetches OpenVINO; part of `make parity`"]
fn what_runs_where_is_said() {
    if runtime().is_none() {
        return;
    }
    let place = Workdir::new();
    let output = place.succeeds("-v detect --no-draw --device openvino");
    assert_eq!(stdout(&output).lines().count(), yolo9::embedded::SAMPLE_DETECTIONS, "{}", stderr(&output));
    assert!(stderr(&output).contains("openvino runs"), "{}", stderr(&output));
    let mixed = place.run("detect --no-draw --device openvino --dysample native");
    assert!(stderr(&mixed).contains("the CPU would run the rest"), "{}", stderr(&mixed));
    if OPENVINO_CPU.check(Precision::Bf16).is_err() {
        eprintln!("skipped: this processor has no bf16");
        return;
    }
    place.succeeds("compare codes-dysample codes-dysample,device=openvino,precision=bf16");
}

//! What the integration tests share.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout, reason = "tests may")]
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod messages;
pub(crate) mod node_model;
pub mod pickles;
pub mod server;
pub mod torch_file;
pub mod watched;
pub mod workdir;

use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, Array4, ArrayView2, Axis, Slice, s};
use yolo9::Size;
use yolo9::architecture::Operation;
use yolo9::checkpoint::Checkpoint;
use yolo9::detect::{Backend, DetectorOptions, HeadOutput, Preset, decode_anchor};
use yolo9::image::{InputShape, LetterboxOptions};
use yolo9::model::Network;
use yolo9::runtime::library::LibraryOptions;
use yolo9::runtime::{DySampleBackend, OrtBackend, Runtime, SessionOptions};

/// A file of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A folder of the reference collection. Tests that need it are ignored unless asked for, and fail without it.
pub fn reference(name: &str) -> PathBuf {
    let root = std::env::var_os("YOLO9_REFERENCE").filter(|root| !root.is_empty());
    let path = Path::new(&root.expect("YOLO9_REFERENCE does not name the reference folder")).join(name);
    assert!(path.exists(), "YOLO9_REFERENCE is set, but {} does not exist", path.display());
    path
}

/// ONNX Runtime, found or fetched as the program does it.
pub fn runtime() -> Runtime {
    Runtime::load(&LibraryOptions::default()).unwrap()
}

/// A session of an assembled network, with our operator for DySample.
pub fn session(network: &Network, threads: usize) -> OrtBackend {
    session_on(network, threads, DySampleBackend::Native)
}

/// A session of an assembled network.
pub fn session_on(network: &Network, threads: usize, dysample: DySampleBackend) -> OrtBackend {
    OrtBackend::new(&runtime(), network.onnx.clone(), &SessionOptions::default().threads(threads).dysample(dysample))
        .unwrap()
}

/// Settings of the official detect.py.
pub fn official_settings() -> DetectorOptions {
    settings(Preset::Yolov9)
}

/// Settings of a tool: rectangles of up to 640 pixels.
pub fn settings(preset: Preset) -> DetectorOptions {
    let fit = LetterboxOptions::new(Size::square(640), 32, InputShape::Rectangular, preset.box_rescaling());
    DetectorOptions::new(fit, preset.postprocess())
}

/// The network that a checkpoint carries.
pub fn network(path: &Path) -> Network {
    Network::assemble(&Checkpoint::open(path).unwrap(), None).unwrap()
}

/// The image of a golden case as a tensor.
pub fn golden_input(folder: &Path) -> Array4<f32> {
    let input: Array4<u8> = ndarray_npy::read_npy(folder.join("input_u8.npy")).unwrap();
    input.mapv(|value| f32::from(value) / 255.0)
}

/// Boxes (centre x, centre y, width, height in pixels) and scores of every anchor point, `[4 + nc, predictions]`.
pub fn all_predictions(model: &mut OrtBackend, input: &Array4<f32>) -> Array2<f32> {
    let HeadOutput::Levels(levels) = model.run(input.view()).unwrap().remove(0) else {
        panic!("a network of ours gives maps")
    };
    let mut columns = Vec::new();
    for level in &levels {
        let (_, height, width) = level.classes.dim();
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            let bbox = decode_anchor(level, row, column);
            columns.extend([(bbox.x1 + bbox.x2) / 2.0, (bbox.y1 + bbox.y2) / 2.0, bbox.width(), bbox.height()]);
            columns.extend(level.classes.slice(s![.., row, column]).iter().map(|logit| 1.0 / (1.0 + (-logit).exp())));
        }
    }
    let rows = 4 + levels[0].classes.dim().0;
    Array2::from_shape_vec((columns.len() / rows, rows), columns).unwrap().reversed_axes()
}

/// Largest differences of boxes (pixels) and of scores.
pub fn differences(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> (f32, f32) {
    assert_eq!(a.dim(), b.dim(), "number of classes and predictions");
    let largest = |rows: Slice| {
        let (a, b) = (a.slice_axis(Axis(0), rows), b.slice_axis(Axis(0), rows));
        a.iter().zip(&b).fold(0.0f32, |largest, (a, b)| largest.max((a - b).abs()))
    };
    (largest(Slice::from(0..4)), largest(Slice::from(4..)))
}

/// The input with every value moved by at most half of f32's last bit, differently for each seed.
fn nudged(input: &Array4<f32>, seed: u32) -> Array4<f32> {
    let mut state = 0x9e37_79b9_u32.wrapping_mul(seed + 1);
    input.mapv(|value| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if state >> 31 == 0 { value * (1.0 + f32::EPSILON / 2.0) } else { value.next_up() }
    })
}

/// How much more than a nudge of the input the whole difference may be: a nudge is the rounding of one tensor, a run
/// rounds after each of about a hundred convolutions, in the reference as well as here. (Seen: at most 2.5 on one kind
/// of processor; others sum in another order.)
pub const NOISE: f32 = 8.0;
const SEEDS: std::ops::Range<u32> = 0..4;

/// Largest differences of boxes and scores that nudging the input makes.
pub fn moved_by_nudges(
    output: ArrayView2<'_, f32>,
    input: &Array4<f32>,
    mut run: impl FnMut(&Array4<f32>) -> Array2<f32>,
) -> (f32, f32) {
    let moved = SEEDS.map(|seed| differences(output, run(&nudged(input, seed)).view()));
    moved.fold((0.0f32, 0.0f32), |a, b| (a.0.max(b.0), a.1.max(b.1)))
}

/// Asserts that a network computes what the original PyTorch code did: boxes within 0.02 px, scores within 1e-4.
///
/// Many of the random networks amplify rounding so much that neither PyTorch's output nor ours is that exact (in
/// float64 the true output differs from PyTorch's by up to 139 px for `yolov9-e`; see docs/numerics.md). Where nudging
/// the input by half of f32's last bit moves our own output by more than the tolerance divided by `NOISE`, that
/// movement sets the tolerance, and the comparison of all layers in `assert_layers` is what finds mistakes.
pub fn assert_golden(folder: &Path) {
    assert_output(&network(&folder.join("model.pt")), folder, &folder.file_name().unwrap().to_string_lossy());
}

/// As [`assert_golden`] for a network that is already put together.
pub fn assert_output(network: &Network, folder: &Path, name: &str) {
    let input = golden_input(folder);
    let expected: Array3<f32> = ndarray_npy::read_npy(folder.join("output.npy")).unwrap();
    let has_dysample = network.architecture.main_steps().any(|step| matches!(step.operation, Operation::DySample(_)));
    let backends = [DySampleBackend::Native, DySampleBackend::Onnx];
    let backends = &backends[..if has_dysample { 2 } else { 1 }];
    for (backend, threads) in backends.iter().flat_map(|backend| [(backend, 1), (backend, 2)]) {
        let mut model = session_on(network, threads, *backend);
        let output = all_predictions(&mut model, &input);
        let (boxes, scores) = differences(output.view(), expected.index_axis(Axis(0), 0));
        let (moved_boxes, moved_scores) =
            moved_by_nudges(output.view(), &input, |input| all_predictions(&mut model, input));
        println!(
            "{name:<34} {backend:?} {threads} threads: boxes {boxes:.1e} px, scores {scores:.1e}; nudged by half a bit: \
             {moved_boxes:.1e} px, {moved_scores:.1e}"
        );
        assert!(boxes <= f32::max(0.02, NOISE * moved_boxes), "{name}: boxes differ by {boxes} px");
        assert!(scores <= f32::max(1e-4, NOISE * moved_scores), "{name}: scores differ by {scores}");
    }
}

/// Asserts mean and standard deviation of the output of every layer, up to the amplified rounding as above. A layer
/// that computes something else shows here at its own place, before anything is amplified.
pub fn assert_layers(folder: &Path) {
    let mut network = network(&folder.join("model.pt"));
    let layers: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("layers.json")).unwrap()).unwrap();
    let exposed = network.onnx.expose_layers(&network.architecture);
    assert!(exposed.len() > 20);
    let mut model = session(&network, 1);
    let input = golden_input(folder);
    let outputs = model.run_all(input.view()).unwrap();
    let nudged: Vec<_> = SEEDS.map(|seed| model.run_all(nudged(&input, seed).view()).unwrap()).collect();
    for (row, position, name) in exposed {
        let expected = &layers["layers"][row]["outputs"][position];
        let number = |key: &str| expected[key].as_f64().unwrap();
        let output = &outputs[&name];
        let shape: Vec<usize> = serde_json::from_value(expected["shape"].clone()).unwrap();
        assert_eq!(output.shape(), shape, "shape of layer {row}");
        // PyTorch's std divides by n - 1.
        let statistics = |map: &Array4<f32>| {
            let map = map.mapv(f64::from);
            [map.mean().unwrap(), map.std(1.0)]
        };
        let ours = statistics(output);
        let moved = nudged.iter().map(|outputs| statistics(&outputs[&name]));
        let moved = moved.fold([0.0f64; 2], |m, s| [0, 1].map(|n| m[n].max((s[n] - ours[n]).abs())));
        for (what, ours, moved, expected) in
            [("mean", ours[0], moved[0], number("mean")), ("std", ours[1], moved[1], number("std"))]
        {
            // The expected numbers have six decimals.
            let tolerance = 1e-6 + 2.0 * f64::from(NOISE) * moved;
            assert!(
                (ours - expected).abs() <= tolerance,
                "{}: {what} of layer {row} is {ours}, expected {expected} within {tolerance:.1e}",
                folder.display()
            );
        }
    }
}

/// The folders in a folder, sorted.
pub fn folders(path: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

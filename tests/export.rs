//! Exported ONNX files: what they compute equals what the program computes, in standard operators only, in every form.
//! Where Python has the packages onnx and onnxruntime, `tests/reference/exported.py` says the same of them.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout, reason = "tests may")]

mod common;

use std::path::Path;
use std::process::Command;

use ndarray::{Array2, Array4, Axis, concatenate, s};
use prost::Message;
use yolo9::checkpoint::Checkpoint;
use yolo9::config::ModelConfig;
use yolo9::detect::{BoxXyxy, Candidate, decode, suppress};
use yolo9::graph::{ExportError, ExportOptions, Suppression, export};
use yolo9::onnx::{OnnxFile, Opset};
use yolo9::picture::{ImageLimits, Letterbox, Picture, to_tensor};
use yolo9::runtime::{DySampleBackend, ExportedModel, HeadOutput, Model, OrtSession, SessionOptions};
use yolo9::{Network, Size, config_of, embedded, weights};

const OPSETS: [i64; 5] = [16, 17, 18, 19, 20];

/// A network, an input of 480x640 or smaller for it, and what our own path gives.
struct Case {
    name: String,
    checkpoint: Checkpoint,
    input: Array4<f32>,
    expected: Array2<f32>,
}

impl Case {
    fn new(name: &str, checkpoint: Checkpoint, input: Array4<f32>) -> Self {
        let network = Network::assemble(&checkpoint, None).unwrap();
        let expected = common::all_cells(&mut common::session_on(&network, 1, DySampleBackend::Onnx), &input);
        Self { name: name.into(), checkpoint, input, expected }
    }

    fn size(&self) -> Size {
        let (_, _, height, width) = self.input.dim();
        Size::new(width, height)
    }

    fn export(&self, options: &ExportOptions) -> OnnxFile {
        let config = config_of(&self.checkpoint, None).unwrap();
        let (architecture, weights) = weights::bind(&config, &self.checkpoint).unwrap();
        let classes = architecture.head().classes;
        let names: Vec<String> = (0..classes).map(|id| format!("it's {id}")).collect();
        let model = export(&architecture, weights, options, &names, &[("source".into(), "x".into())]).unwrap();
        assert!(options.dysample_function || model.functions.is_empty());
        let file = OnnxFile::from_bytes(&self.name, model.encode_to_vec()).unwrap();
        assert_eq!((file.class_names(), file.classes(), file.stride()), (Some(names), Some(classes), 32));
        assert_eq!(file.metadata["task"], "detect");
        assert_eq!(file.opset, Some(options.opset.number()));
        file
    }
}

fn embedded_case() -> Case {
    let picture = Picture::decode(embedded::SAMPLE_PICTURE, &ImageLimits::default()).unwrap();
    let letterbox = Letterbox::new(picture.size(), &common::official_settings().fit);
    let model = embedded::models().iter().find(|model| model.name == "codes-dysample").unwrap();
    Case::new(model.name, model.checkpoint().unwrap(), to_tensor(&picture.pixels, &letterbox))
}

/// The networks of the repository: of both kinds of head, with every style of DySample.
fn golden_cases() -> Vec<Case> {
    let folders = common::folders(&common::data("golden"));
    let cases = folders.iter().map(|folder| {
        let checkpoint = Checkpoint::open(&folder.join("model.pt")).unwrap();
        Case::new(&folder.file_name().unwrap().to_string_lossy(), checkpoint, common::golden_input(folder))
    });
    cases.collect()
}

fn run(file: &OnnxFile, input: &Array4<f32>) -> HeadOutput {
    let options = SessionOptions { threads: 1, dysample: DySampleBackend::Onnx, ..SessionOptions::default() };
    let classes = file.classes().unwrap();
    ExportedModel::new(&common::runtime(), file, classes, &options).unwrap().run(input.view()).unwrap()
}

fn dense(output: HeadOutput) -> Array2<f32> {
    let HeadOutput::Dense(cells) = output else { panic!("{output:?}") };
    cells
}

/// Largest difference, relative to a value or to 1.
fn difference(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
    assert_eq!(a.dim(), b.dim());
    a.iter().zip(b).fold(0.0, |largest, (a, b)| f32::max(largest, (a - b).abs() / b.abs().max(1.0)))
}

#[test]
fn every_form_gives_the_same_cells() {
    let case = embedded_case();
    let fixed = ExportOptions { batch: Some(1), size: Some(case.size()), ..ExportOptions::default() };
    let forms = [
        fixed.clone(),
        ExportOptions { batch: None, ..fixed.clone() },
        ExportOptions { size: None, ..fixed.clone() },
        ExportOptions::default(),
        ExportOptions { dysample_function: true, ..ExportOptions::default() },
    ];
    for form in forms {
        let found = dense(run(&case.export(&form), &case.input));
        let difference = difference(&found, &case.expected);
        assert!(difference < 1e-4, "{form:?}: {difference}");
    }
    for opset in OPSETS {
        let form = ExportOptions { opset: Opset::new(opset).unwrap(), ..ExportOptions::default() };
        assert!(difference(&dense(run(&case.export(&form), &case.input)), &case.expected) < 1e-4, "{opset}");
    }
}

/// Rounding to f16 moves boxes by a fraction of a pixel; scores of a trained network hardly.
#[test]
fn half_precision_is_close() {
    let case = embedded_case();
    for size in [Some(case.size()), None] {
        let file = case.export(&ExportOptions { half: true, size, ..ExportOptions::default() });
        assert!(file.bytes.len() < case.export(&ExportOptions::default()).bytes.len() * 6 / 10);
        let found = dense(run(&file, &case.input));
        for cell in 0..found.ncols() {
            let (found, expected) = (found.column(cell), case.expected.column(cell));
            let certain = expected.slice(s![4..]).iter().any(|score| *score > 0.25);
            for row in 0..found.len() {
                let tolerance = if row < 4 { 1.0 } else { 0.01 };
                assert!(!certain || (found[row] - expected[row]).abs() < tolerance, "cell {cell}, row {row}");
            }
        }
    }
}

#[test]
fn every_network_of_the_repository_can_be_exported() {
    for case in golden_cases() {
        let file = case.export(&ExportOptions::default());
        let found = dense(run(&file, &case.input));
        let difference = difference(&found, &case.expected);
        assert!(difference < 1e-4, "{}: {difference}", case.name);
        println!("{}: {difference:.1e}", case.name);
    }
}

/// Each picture of a batch gets its own detections, the same as without the other.
#[test]
fn suppression_in_the_file_equals_ours() {
    let case = embedded_case();
    let upside_down = case.input.slice(s![.., .., ..;-1, ..]).to_owned();
    let pictures = [case.input.clone(), upside_down];
    for (agnostic, max_detections, size) in [(false, 300, Some(case.size())), (true, 300, None), (false, 7, None)] {
        let suppression = Suppression { confidence: 0.25, iou: 0.45, max_detections, agnostic };
        let options = ExportOptions { size, suppression: Some(suppression), ..ExportOptions::default() };
        let file = case.export(&options);
        let plain = case.export(&ExportOptions::default());
        let thresholds =
            yolo9::detect::Thresholds { agnostic, max_detections, ..common::official_settings().thresholds };
        for picture in &pictures {
            let expected = suppress(decode(&run(&plain, picture), 0.25), &thresholds);
            assert!(expected.len() == max_detections || expected.len() > 10);
            let found = decode(&run(&file, picture), 0.25);
            assert_same(&found, &expected);
        }
        // Both at once: each has its own place in the outputs.
        let both = concatenate(Axis(0), &[pictures[1].view(), pictures[0].view()]).unwrap();
        let options = SessionOptions { threads: 1, dysample: DySampleBackend::Onnx, ..SessionOptions::default() };
        let mut session = OrtSession::new(&common::runtime(), "both", &file.bytes, &options).unwrap();
        let outputs = session.run(&[both.view().into_dyn()]).unwrap();
        let [boxes, scores, classes] = ["boxes", "scores", "classes"].map(|name| outputs.get(name).unwrap());
        for (place, picture) in [&pictures[1], &pictures[0]].into_iter().enumerate() {
            let candidate = |n: usize| {
                let [x1, y1, x2, y2] = [0, 1, 2, 3].map(|side| boxes[[place, n, side]]);
                let bbox = BoxXyxy { x1, y1, x2, y2 };
                Candidate { bbox, class: classes[[place, n]] as usize, score: scores[[place, n]] }
            };
            let found: Vec<Candidate> =
                (0..scores.shape()[1]).map(candidate).filter(|candidate| candidate.score > 0.25).collect();
            assert_same(&found, &decode(&run(&file, picture), 0.25));
        }
    }
}

fn assert_same(found: &[Candidate], expected: &[Candidate]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let corners = |bbox: &BoxXyxy| [bbox.x1, bbox.y1, bbox.x2, bbox.y2];
        let far = corners(&found.bbox).iter().zip(corners(&expected.bbox)).any(|(a, b)| (a - b).abs() > 0.01);
        assert!(!far && found.class == expected.class && (found.score - expected.score).abs() < 1e-4);
    }
}

#[test]
fn impossible_exports_are_refused() {
    let config = ModelConfig::builtin("gelan-t").unwrap();
    let architecture = yolo9::architecture::Architecture::new(&config).unwrap();
    let names = vec!["x".to_owned(); 80];
    let size = Size::new(640, 100);
    let options = ExportOptions { size: Some(size), ..ExportOptions::default() };
    let error = export(&architecture, weights::random(&architecture, 1), &options, &names, &[]).unwrap_err();
    assert_eq!(error, ExportError::Size { size, stride: 32 });

    let mut weights = weights::random(&architecture, 1);
    weights.kernels.values_mut().next().unwrap().weight[0] = 1e6;
    let options = ExportOptions { half: true, ..ExportOptions::default() };
    let error = export(&architecture, weights, &options, &names, &[]).unwrap_err();
    assert!(error.to_string().contains("model.0.weight holds 1000000, and f16 ends at 65504"), "{error}");
}

/// Stock onnxruntime and `onnx.checker`, in Python where it has them.
#[test]
fn other_runtimes_agree() {
    let probe = Command::new("python3").args(["-c", "import numpy, onnx, onnxruntime"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: python3 has not all of numpy, onnx and onnxruntime");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let case = embedded_case();
    let suppression = Suppression { confidence: 0.25, iou: 0.45, max_detections: 50, agnostic: false };
    let fixed = ExportOptions { batch: Some(1), size: Some(case.size()), ..ExportOptions::default() };
    let free = ExportOptions::default();
    let mut forms: Vec<(String, ExportOptions)> = OPSETS
        .map(|opset| (format!("opset-{opset}"), ExportOptions { opset: Opset::new(opset).unwrap(), ..free.clone() }))
        .into();
    forms.extend(
        [
            ("fixed", fixed.clone()),
            ("function", ExportOptions { dysample_function: true, ..free.clone() }),
            ("half", ExportOptions { half: true, ..free.clone() }),
            ("half-fixed", ExportOptions { half: true, ..fixed.clone() }),
            ("suppressed", ExportOptions { suppression: Some(suppression.clone()), ..free.clone() }),
            ("suppressed-fixed", ExportOptions { suppression: Some(suppression), ..fixed }),
        ]
        .map(|(name, options)| (name.to_owned(), options)),
    );
    for (name, options) in &forms {
        write(folder.path(), name, &case, options);
    }
    for case in golden_cases() {
        write(folder.path(), &format!("golden-{}", case.name), &case, &free);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/exported.py");
    let output = Command::new("python3").arg(script).arg(folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let files = forms.len() + golden_cases().len();
    assert!(text.contains(&format!("{files} files")), "{text}");
}

/// The file, its input, and what our own path gives; of suppressed detections, what our own run of the file gives.
fn write(folder: &Path, name: &str, case: &Case, options: &ExportOptions) {
    let file = case.export(options);
    std::fs::write(folder.join(format!("{name}.onnx")), &file.bytes).unwrap();
    ndarray_npy::write_npy(folder.join(format!("{name}.input.npy")), &case.input).unwrap();
    let output = match run(&file, &case.input) {
        HeadOutput::Suppressed(rows) => rows,
        _ => case.expected.clone(),
    };
    ndarray_npy::write_npy(folder.join(format!("{name}.output.npy")), &output).unwrap();
}

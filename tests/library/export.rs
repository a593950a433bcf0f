//! Exported ONNX files: what they compute equals what the program computes, in standard operators only, in every form.
//! Where Python has the packages onnx and onnxruntime, `tests/reference/exported.py` says the same of them.

use std::path::Path;
use std::process::Command;

use crate::common;
use ndarray::{Array2, Array4, Axis, concatenate, s};
use prost::Message;
use yolo9::checkpoint::Checkpoint;
use yolo9::config::ModelConfig;
use yolo9::detect::{Backend, BoxXyxy, Detection, HeadOutput, NmsOptions, decode, nms};
use yolo9::graph::{ExportOptions, export};
use yolo9::image::{Image, ImageLimits, Letterbox, to_tensor};
use yolo9::model::{Network, resolve_config};
use yolo9::onnx::{OnnxFile, Opset};
use yolo9::runtime::{DySampleBackend, OrtBackend, OrtSession, SessionOptions};
use yolo9::{Size, embedded, weights};

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
        let expected = common::all_predictions(&mut common::session_on(&network, 1, DySampleBackend::Onnx), &input);
        Self { name: name.into(), checkpoint, input, expected }
    }

    fn size(&self) -> Size {
        let (_, _, height, width) = self.input.dim();
        Size::new(width, height)
    }

    fn export(&self, options: &ExportOptions) -> OnnxFile {
        let config = resolve_config(&self.checkpoint, None).unwrap();
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
    let image = Image::decode(embedded::SAMPLE_IMAGE, &ImageLimits::default()).unwrap();
    let letterbox = Letterbox::new(image.size(), &common::official_settings().letterbox);
    let model = embedded::MODELS.iter().find(|model| model.name == "codes-dysample").unwrap();
    Case::new(model.name, model.checkpoint().unwrap(), to_tensor(&image.pixels, &letterbox))
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
    let options = SessionOptions::default().threads(1).dysample(DySampleBackend::Onnx);
    let classes = file.classes().unwrap();
    let mut backends = OrtBackend::of_file(&common::runtime(), file, classes, &options, 1).unwrap();
    backends[0].run(input.view()).unwrap().remove(0)
}

fn dense(output: HeadOutput) -> Array2<f32> {
    let HeadOutput::Dense(predictions) = output else { panic!("{output:?}") };
    predictions
}

/// Largest difference, relative to a value or to 1.
fn difference(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
    assert_eq!(a.dim(), b.dim());
    a.iter().zip(b).fold(0.0, |largest, (a, b)| f32::max(largest, (a - b).abs() / b.abs().max(1.0)))
}

#[test]
fn every_form_gives_the_same_predictions() {
    let case = embedded_case();
    let fixed = ExportOptions::default().batch(Some(1)).size(Some(case.size()));
    let forms = [
        fixed.clone(),
        fixed.clone().batch(None),
        fixed.clone().size(None),
        ExportOptions::default(),
        ExportOptions::default().dysample_function(true),
    ];
    for form in forms {
        let found = dense(run(&case.export(&form), &case.input));
        let difference = difference(&found, &case.expected);
        assert!(difference < 1e-4, "{form:?}: {difference}");
    }
    for opset in OPSETS {
        let form = ExportOptions::default().opset(Opset::new(opset).unwrap());
        assert!(difference(&dense(run(&case.export(&form), &case.input)), &case.expected) < 1e-4, "{opset}");
    }
}

/// Rounding to f16 moves boxes by a fraction of a pixel; scores of a trained network hardly.
#[test]
fn half_precision_is_close() {
    let case = embedded_case();
    for size in [Some(case.size()), None] {
        let file = case.export(&ExportOptions::default().half(true).size(size));
        assert!(file.bytes.len() < case.export(&ExportOptions::default()).bytes.len() * 6 / 10);
        let found = dense(run(&file, &case.input));
        for anchor in 0..found.ncols() {
            let (found, expected) = (found.column(anchor), case.expected.column(anchor));
            let certain = expected.slice(s![4..]).iter().any(|score| *score > 0.25);
            for row in 0..found.len() {
                let tolerance = if row < 4 { 1.0 } else { 0.01 };
                assert!(!certain || (found[row] - expected[row]).abs() < tolerance, "anchor {anchor}, row {row}");
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

/// Each image of a batch gets its own detections, the same as without the other.
#[test]
fn suppression_in_the_file_equals_ours() {
    let case = embedded_case();
    let upside_down = case.input.slice(s![.., .., ..;-1, ..]).to_owned();
    let images = [case.input.clone(), upside_down];
    for (agnostic, max_detections, size) in [(false, 300, Some(case.size())), (true, 300, None), (false, 7, None)] {
        let suppression =
            NmsOptions::default().iou_threshold(0.45).max_detections(max_detections).class_agnostic(agnostic);
        let options = ExportOptions::default().size(size).nms(Some(suppression));
        let file = case.export(&options);
        let plain = case.export(&ExportOptions::default());
        let thresholds = NmsOptions::default().class_agnostic(agnostic).max_detections(max_detections);
        for image in &images {
            let expected = nms(decode(&run(&plain, image), 0.25, false), &thresholds);
            assert!(expected.len() == max_detections || expected.len() > 10);
            let found = decode(&run(&file, image), 0.25, false);
            assert_same(&found, &expected);
        }
        // Both at once: each has its own place in the outputs.
        let both = concatenate(Axis(0), &[images[1].view(), images[0].view()]).unwrap();
        let options = SessionOptions::default().threads(1).dysample(DySampleBackend::Onnx);
        let mut session = OrtSession::new(&common::runtime(), "both", &file.bytes, &options).unwrap();
        let outputs = session.run(&[both.view().into_dyn()]).unwrap();
        let [boxes, scores, classes] = ["boxes", "scores", "classes"].map(|name| outputs.get(name).unwrap());
        for (place, image) in [&images[1], &images[0]].into_iter().enumerate() {
            let candidate = |n: usize| {
                let [x1, y1, x2, y2] = [0, 1, 2, 3].map(|side| boxes[[place, n, side]]);
                let bbox = BoxXyxy { x1, y1, x2, y2 };
                Detection { bbox, class: classes[[place, n]] as usize, confidence: scores[[place, n]] }
            };
            let found: Vec<Detection> =
                (0..scores.shape()[1]).map(candidate).filter(|candidate| candidate.confidence > 0.25).collect();
            assert_same(&found, &decode(&run(&file, image), 0.25, false));
        }
    }
}

fn assert_same(found: &[Detection], expected: &[Detection]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let corners = |bbox: &BoxXyxy| [bbox.x1, bbox.y1, bbox.x2, bbox.y2];
        let far = corners(&found.bbox).iter().zip(corners(&expected.bbox)).any(|(a, b)| (a - b).abs() > 0.01);
        assert!(!far && found.class == expected.class && (found.confidence - expected.confidence).abs() < 1e-4);
    }
}

#[test]
fn impossible_exports_are_refused() {
    let config = ModelConfig::builtin("gelan-t").unwrap();
    let architecture = yolo9::architecture::Architecture::new(&config).unwrap();
    let names = vec!["x".to_owned(); 80];
    let size = Size::new(640, 100);
    let options = ExportOptions::default().size(Some(size));
    let error = export(&architecture, weights::random(&architecture, 1), &options, &names, &[]).unwrap_err();
    assert_eq!(error.to_string(), "an input of 640x100 does not fit: both sides must be multiples of 32");

    let mut weights = weights::random(&architecture, 1);
    weights.kernels.values_mut().next().unwrap().weight[0] = 1e6;
    let options = ExportOptions::default().half(true);
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
    let suppression = NmsOptions::default().iou_threshold(0.45).max_detections(50).class_agnostic(false);
    let fixed = ExportOptions::default().batch(Some(1)).size(Some(case.size()));
    let free = ExportOptions::default();
    let mut forms: Vec<(String, ExportOptions)> =
        OPSETS.map(|opset| (format!("opset-{opset}"), free.clone().opset(Opset::new(opset).unwrap()))).into();
    forms.extend(
        [
            ("fixed", fixed.clone()),
            ("function", free.clone().dysample_function(true)),
            ("half", free.clone().half(true)),
            ("half-fixed", fixed.clone().half(true)),
            ("suppressed", free.clone().nms(Some(suppression))),
            ("suppressed-fixed", fixed.nms(Some(suppression))),
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

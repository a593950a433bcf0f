//! DySample in ONNX Runtime: our operator and the body for other runtimes, alone and inside networks, and lifted
//! networks. The kernels themselves are in `tests/library/kernels.rs`.

use crate::common;
use crate::common::node_model;
use ndarray::{Array4, ArrayD};
use prost::Message;
use yolo9::architecture::{Architecture, Operation, Role, Step};
use yolo9::checkpoint::Checkpoint;
use yolo9::config::{ModelConfig, ModuleKind};
use yolo9::detect::{DetectOutput, Engine};
use yolo9::dysample::{Lift, reference};
use yolo9::embedded;
use yolo9::graph;
use yolo9::image::{Image, ImageLimits};
use yolo9::model::{ModelError, Network};
use yolo9::onnx::ModelProto;
use yolo9::onnx::{Dim, Opset, value_info};
use yolo9::runtime::{DySampleBackend, OrtSession};
use yolo9::weights::{WeightsError, lifted, retarget};

fn session(model: &ModelProto, dysample: DySampleBackend, threads: usize) -> OrtSession {
    let options = yolo9::runtime::SessionOptions::default().threads(threads).dysample(dysample);
    OrtSession::new(&common::runtime(), "test", &model.encode_to_vec(), &options).unwrap()
}

fn run(session: &mut OrtSession, x: &Array4<f32>, offset: &Array4<f32>) -> ArrayD<f32> {
    let outputs = session.run(&[x.view().into_dyn(), offset.view().into_dyn()]).unwrap();
    outputs.get("y").unwrap().to_owned()
}

fn bits<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<u32> {
    values.into_iter().map(|value| value.to_bits()).collect()
}

fn largest<'a>(values: impl IntoIterator<Item = &'a f32>) -> f32 {
    values.into_iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

/// `[N, C, H, W]`, scale and groups.
const SHAPES: [([usize; 4], usize, usize); 7] = [
    ([1, 8, 5, 7], 2, 4),
    ([3, 6, 4, 3], 3, 2),
    ([1, 4, 1, 1], 2, 1),
    ([2, 33, 9, 1], 1, 3),
    ([1, 10, 1, 13], 8, 5),
    ([1, 96, 40, 40], 2, 4),
    ([2, 64, 12, 20], 4, 2),
];

fn problem([n, c, h, w]: [usize; 4], scale: usize, groups: usize) -> (Array4<f32>, Array4<f32>) {
    let mut random = fastrand::Rng::with_seed((c * h * w) as u64);
    let x = Array4::from_shape_simple_fn((n, c, h, w), || 2.0 * random.f32() - 1.0);
    let offset = (n, 2 * groups * scale * scale, h, w);
    let offset = Array4::from_shape_simple_fn(offset, || match random.u8(..) {
        0 => f32::INFINITY,
        1 => -1e30,
        _ => 6.0 * random.f32() - 3.0,
    });
    (x, offset)
}

#[test]
fn the_operator_gives_the_bits_of_the_specification() {
    for (shape, scale, groups) in SHAPES {
        let (x, mut offset) = problem(shape, scale, groups);
        offset[[0, 0, 0, 0]] = f32::NAN;
        let specified = reference::upsample(x.view(), offset.view(), scale, groups).unwrap();
        let model = node_model::dysample(Opset::default(), scale, groups);
        for threads in [1, 2, 5] {
            let y = run(&mut session(&model, DySampleBackend::Native, threads), &x, &offset);
            assert_eq!(y.shape(), specified.shape());
            assert_eq!(bits(&y), bits(&specified), "{shape:?}, {threads} threads");
        }
    }
}

#[test]
fn empty_maps_are_empty() {
    for shape in [[0, 4, 3, 5], [1, 4, 0, 5], [1, 4, 3, 0], [1, 0, 3, 5]] {
        let (x, offset) = problem(shape, 2, 2);
        let model = node_model::dysample(Opset::default(), 2, 2);
        let y = run(&mut session(&model, DySampleBackend::Native, 2), &x, &offset);
        assert_eq!(y.shape(), [shape[0], shape[1], 2 * shape[2], 2 * shape[3]]);
    }
}

/// `GridSample` normalises and unnormalises positions, which rounds them.
#[test]
fn the_body_equals_the_specification_in_every_operator_set() {
    for opset in Opset::SUPPORTED.map(|number| Opset::new(number).unwrap()) {
        for (shape, scale, groups) in SHAPES {
            let (x, offset) = problem(shape, scale, groups);
            let specified = reference::upsample(x.view(), offset.view(), scale, groups).unwrap().into_dyn();
            let model = node_model::dysample(opset, scale, groups);
            let mut inlined = model.clone();
            graph::inline_dysample(&mut inlined);
            assert!(inlined.functions.is_empty() && inlined.opset_import.len() == 1);
            for model in [model, inlined] {
                let y = run(&mut session(&model, DySampleBackend::Onnx, 2), &x, &offset);
                let difference = largest(&(&y - &specified));
                assert!(difference <= 2e-5, "{shape:?}, opset {}: {difference}", opset.number());
            }
        }
    }
    assert!(Opset::new(15).is_none() && Opset::new(21).is_none());
}

#[test]
fn without_offsets_the_operator_is_nearest_resize_bit_for_bit() {
    for scale in [1, 2, 3, 8] {
        let (mut x, _) = problem([2, 24, 7, 5], scale, 4);
        x[[0, 3, 2, 2]] = -0.0;
        let offset = Array4::zeros((2, 2 * 4 * scale * scale, 7, 5));
        let opset = Opset::default();
        let mut resize = session(&node_model::resize_nearest(opset, scale), DySampleBackend::Native, 1);
        let mut ours = session(&node_model::dysample(opset, scale, 4), DySampleBackend::Native, 1);
        assert_eq!(bits(&run(&mut ours, &x, &offset)), bits(&run(&mut resize, &x, &offset)), "scale {scale}");
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_names_the_node() {
    let fails = |scale: usize, groups: usize, x: [usize; 4], offset: [usize; 4], reason: &str| {
        let mut model = node_model::dysample(Opset::default(), scale, groups);
        // Known lengths, with which shapes are inferred when the model is loaded.
        let fixed = |name, shape: [usize; 4]| value_info(name, &shape.map(Dim::Fixed));
        model.graph.as_mut().unwrap().input = vec![fixed("x", x), fixed("offset", offset)];
        let options = yolo9::runtime::SessionOptions::default();
        let error = match OrtSession::new(&common::runtime(), "test", &model.encode_to_vec(), &options) {
            Ok(mut session) => {
                let (x, offset) = (Array4::zeros(x), Array4::zeros(offset));
                session.run(&[x.view().into_dyn(), offset.view().into_dyn()]).unwrap_err().to_string()
            }
            Err(error) => error.to_string(),
        };
        assert!(error.contains(reason) && error.contains(node_model::NODE), "{error}\ninstead of {reason}");
    };
    let x = [1, 8, 4, 5];
    fails(2, 4, x, [1, 16, 4, 5], "expected [1, 32, 4, 5]");
    fails(2, 4, x, [1, 32, 5, 4], "offset has shape [1, 32, 5, 4]");
    fails(2, 4, x, [2, 32, 4, 5], "offset has shape [2, 32, 4, 5]");
    fails(2, 3, x, [1, 24, 4, 5], "8 channels cannot be split into 3 groups");
    fails(2, 0, x, [1, 0, 4, 5], "attribute `groups` is 0; expected 1 or more");
    for scale in [0, 9, -1, i64::MIN, i64::MAX] {
        let reason = format!("attribute `scale` is {scale}; expected 1 to 8");
        fails(scale as usize, 4, x, [1, 0, 4, 5], &reason);
    }
}

fn tiny(name: &str) -> Network {
    common::network(&common::data("golden").join(name).join("model.pt"))
}

#[test]
fn inside_networks_operator_and_body_equal_the_specification_at_any_size() {
    let mut checked = 0;
    for name in ["yolov9-c-dysample-tiny", "gelan-c-dysample-pl-scope-tiny", "gelan-c-dysample-lp-scope-tiny"] {
        let mut network = tiny(name);
        let is_dysample = |step: &&Step| matches!(step.operation, Operation::DySample(_));
        let steps: Vec<Step> = network.architecture.main_steps().filter(is_dysample).cloned().collect();
        let names = |step: &Step| {
            let (x, y) = (step.inputs[0].id, step.outputs[0].id);
            [format!("v{x}"), format!("v{y}.offset"), format!("v{y}")]
        };
        for output in steps.iter().flat_map(names) {
            let axes = ["a", "b", "c", "d"].map(|axis| format!("{axis} of {output}"));
            let dims = axes.each_ref().map(|axis| Dim::Named(axis));
            network.onnx.proto.graph.as_mut().unwrap().output.push(value_info(&output, &dims));
        }
        for (backend, tolerance) in [(DySampleBackend::Native, 0.0), (DySampleBackend::Onnx, 2e-5)] {
            let mut model = common::session_on(&network, 2, backend);
            for (height, width) in [(64, 96), (32, 32), (160, 224)] {
                let input = Array4::from_shape_fn((1, 3, height, width), |(_, c, y, x)| {
                    ((c * 7 + y * 5 + x * 3) % 11) as f32 / 11.0
                });
                let outputs = model.run_all(input.view()).unwrap();
                for step in &steps {
                    let Operation::DySample(layer) = &step.operation else { unreachable!() };
                    let [x, offset, y] = names(step).map(|name| outputs[&name].clone());
                    let (scale, groups) = (layer.definition.scale, layer.definition.groups);
                    let specified = reference::upsample(x.view(), offset.view(), scale, groups).unwrap();
                    assert_eq!(y.dim(), specified.dim());
                    let difference = largest(&(&y - &specified));
                    let tolerance = tolerance * largest(&x);
                    assert!(difference <= tolerance, "{name} {height}x{width}, {backend:?}: {difference}");
                    checked += 1;
                }
            }
        }
    }
    // Two backends, three sizes; one, two and one DySample.
    assert_eq!(checked, 2 * 3 * (1 + 2 + 1));
}

#[test]
fn networks_run_in_every_operator_set() {
    let checkpoint = Checkpoint::open(&common::data("golden/yolov9-c-dysample-tiny/model.pt")).unwrap();
    let config = checkpoint.config().unwrap().unwrap();
    let input = common::golden_input(&common::data("golden/yolov9-c-dysample-tiny"));
    let outputs = Opset::SUPPORTED.map(|number| {
        let mut network = tiny("yolov9-c-dysample-tiny");
        let (architecture, weights) = yolo9::weights::bind(&config, &checkpoint).unwrap();
        network.onnx = graph::build(&architecture, weights, Opset::new(number).unwrap());
        common::all_predictions(&mut common::session_on(&network, 1, DySampleBackend::Native), &input)
    });
    let mut outputs: Vec<_> = outputs.collect();
    assert_eq!(outputs.len(), 5);
    let mut network = tiny("yolov9-c-dysample-tiny");
    graph::inline_dysample(&mut network.onnx.proto);
    outputs.push(common::all_predictions(&mut common::session_on(&network, 1, DySampleBackend::Native), &input));
    // From 19 on, ONNX Runtime sums in another order somewhere.
    assert!(outputs.iter().all(|output| largest(&(output - &outputs[0])) < 0.02), "pixels");
}

/// Found of an embedded or lifted model on the sample image.
fn sample_detections(network: Network, backend: DySampleBackend) -> DetectOutput {
    let mut detector = Engine::new(common::session_on(&network, 2, backend), common::official_settings());
    let image = Image::decode(embedded::SAMPLE_IMAGE, &ImageLimits::default()).unwrap();
    detector.detect(&image.pixels).unwrap()
}

/// A row of the embedded config, which is JSON.
const DYSAMPLE: &str = "\"DySample\",[]";

fn embedded_pair() -> (Checkpoint, ModelConfig) {
    let [dysample, nearest] = ["codes-dysample", "codes-nearest"].map(|name| {
        let model = embedded::MODELS.iter().find(|model| model.name == name).unwrap();
        model.checkpoint().unwrap()
    });
    let target = ModelConfig::from_yaml("target", dysample.metadata().config.as_ref().unwrap()).unwrap();
    (nearest, target)
}

#[test]
fn a_lifted_network_detects_what_it_did_bit_for_bit() {
    let (nearest, target) = embedded_pair();
    let before = sample_detections(Network::assemble(&nearest, None).unwrap(), DySampleBackend::Native);
    assert!(before.detections.len() > 20);
    let lifted_nearest = lifted(&nearest, &target, Lift::Nearest).unwrap();
    // As a user does: written, read again, and run without naming a config.
    let file = Checkpoint::from_bytes("lifted", lifted_nearest.to_safetensors().unwrap()).unwrap();
    assert!(file.metadata().extra["lifted"].ends_with(" from nearest"));
    for backend in [DySampleBackend::Native, DySampleBackend::Onnx] {
        let network = Network::assemble(&file, None).unwrap();
        assert!(network.architecture.main_steps().any(|step| matches!(step.operation, Operation::DySample(_))));
        let after = sample_detections(network, backend);
        let values = |found: &DetectOutput| {
            let all = found.detections.iter();
            all.flat_map(|d| [d.bbox.x1, d.bbox.y1, d.bbox.x2, d.bbox.y2, d.confidence, d.class as f32])
                .collect::<Vec<_>>()
        };
        if backend == DySampleBackend::Native {
            assert_eq!(bits(&values(&after)), bits(&values(&before)));
        } else {
            assert_eq!(after.detections.len(), before.detections.len());
        }
    }
    let bilinear = lifted(&nearest, &target, Lift::Bilinear).unwrap();
    let bilinear = sample_detections(Network::assemble(&bilinear, None).unwrap(), DySampleBackend::Native);
    assert_ne!(bilinear.detections, before.detections);
}

#[test]
fn twins_with_all_have_it_at_every_upsample_of_the_main_branch() {
    for config in yolo9::config::BUILTIN_CONFIGS.iter().filter(|config| config.name.ends_with("-dysample-all")) {
        let module_of = |name: &str, role: Role| -> Vec<(usize, ModuleKind)> {
            let architecture = Architecture::new(&ModelConfig::builtin(name).unwrap()).unwrap();
            let layers = architecture.layers().iter().filter(|layer| layer.role == role);
            layers.map(|layer| (layer.spec.index, layer.spec.module)).collect()
        };
        let plain = config.name.trim_end_matches("-dysample-all");
        let replaced = |(index, module)| match module {
            ModuleKind::Upsample => (index, ModuleKind::DySample),
            other => (index, other),
        };
        let expected: Vec<_> = module_of(plain, Role::Main).into_iter().map(replaced).collect();
        assert_eq!(module_of(config.name, Role::Main), expected, "{}", config.name);
        assert_eq!(expected.iter().filter(|(_, module)| *module == ModuleKind::DySample).count(), 2);
        assert_eq!(module_of(config.name, Role::Auxiliary), module_of(plain, Role::Auxiliary));
    }
}

#[test]
fn weights_without_dysample_are_told_from_others_that_do_not_fit() {
    let (nearest, target) = embedded_pair();
    let lacks = |target: &ModelConfig| match Network::assemble(&nearest, Some(target)).unwrap_err() {
        ModelError::Weights(WeightsError::Mismatch { weights, config, lift: Some(upsampler), .. }) => {
            assert_eq!((weights.as_str(), config.as_str()), ("codes-nearest", "target"));
            upsampler
        }
        other => panic!("{other}"),
    };
    assert_eq!(lacks(&target), Lift::Nearest);
    let pl = target.source.replace(DYSAMPLE, "\"DySample\",[2,\"pl\"]");
    assert_ne!(pl, target.source);
    let pl = ModelConfig::from_yaml("target", &pl).unwrap();
    assert_eq!(lacks(&pl), Lift::Bilinear);
}

#[test]
fn what_cannot_be_lifted_says_why() {
    let (nearest, target) = embedded_pair();
    let with = |arguments: &str| {
        let yaml = target.source.replace(DYSAMPLE, &format!("\"DySample\",{arguments}"));
        assert_ne!(yaml, target.source);
        ModelConfig::from_yaml("target", &yaml).unwrap()
    };
    let refused = |checkpoint: &Checkpoint, target: &ModelConfig, upsampler, reason: &str| {
        let error = lifted(checkpoint, target, upsampler).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}\ninstead of {reason}");
    };
    refused(&nearest, &with("[2,\"pl\"]"), Lift::Nearest, "style pl cannot equal nearest");
    assert!(lifted(&nearest, &with("[2,\"pl\"]"), Lift::Bilinear).is_ok());
    assert!(lifted(&nearest, &with("[2,\"lp\",4,true]"), Lift::Nearest).is_ok());
    let once = lifted(&nearest, &target, Lift::Nearest).unwrap();
    refused(&once, &target, Lift::Nearest, "there is nothing to lift");
    let other = ModelConfig::builtin("yolov9-c-dysample").unwrap();
    refused(&nearest, &other, Lift::Nearest, "name a config that differs from that of the weights in upsamplers only");
    let mut bilinear = nearest.clone();
    let yaml = bilinear.metadata().config.clone().unwrap().replace("nearest", "bilinear");
    bilinear.set_config(yaml);
    refused(&bilinear, &target, Lift::Nearest, "was trained with bilinear upsampling there; lift it to bilinear");
    assert!(lifted(&bilinear, &target, Lift::Bilinear).is_ok());
    // Without initialisation, the weights must fit as they are.
    assert!(retarget(&nearest, &target).unwrap_err().to_string().contains("initialised from nearest"));
    assert_eq!(retarget(&once, &target).unwrap().tensors(), once.tensors());
}

/// The class count of a stored config is that of the weights, as no built-in config knows it.
#[test]
fn a_lifted_model_carries_the_class_count_of_its_weights() {
    let (nearest, target) = embedded_pair();
    let classes = Network::assemble(&nearest, None).unwrap().architecture.head().classes;
    let eighty = target.source_with_classes(80);
    let eighty = ModelConfig::from_yaml("target", &eighty).unwrap();
    assert_eq!(eighty.classes, 80);
    let once = lifted(&nearest, &eighty, Lift::Nearest).unwrap();
    let stored = once.config().unwrap().unwrap();
    assert_eq!((stored.classes, &stored.layers), (classes, &eighty.layers));
    // As people write it; what is written otherwise is left alone.
    let builtin = ModelConfig::builtin("gelan-t-dysample").unwrap().source;
    for (nc, read) in [("nc: 80  # classes", 6), ("nc:\n  80", 80), ("nc : 80", 80), ("\"nc\": 80", 80)] {
        let source = builtin.lines().map(|line| if line.starts_with("nc:") { nc } else { line });
        let config = ModelConfig::from_yaml("x", &source.collect::<Vec<_>>().join("\n")).unwrap();
        assert_eq!(ModelConfig::from_yaml("y", &config.source_with_classes(6)).unwrap().classes, read, "{nc}");
    }
}

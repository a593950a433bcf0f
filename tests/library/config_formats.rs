//! The config formats of Ultralytics and MIT YOLO: the same networks under other names.

use std::collections::{BTreeMap, HashMap};

use crate::common;
use ndarray::Array4;
use safetensors::{Dtype, tensor::TensorView};
use yolo9::architecture::{Architecture, Parameter};
use yolo9::checkpoint::Checkpoint;
use yolo9::config::{ConfigFormat, ModelConfig};
use yolo9::detect::{Backend, HeadOutput};
use yolo9::model::{Network, resolve_config};

fn mit_config(name: &str) -> ModelConfig {
    ModelConfig::from_file(&common::data(&format!("mit/{name}.yaml"))).unwrap()
}

fn parameters(config: &ModelConfig) -> Vec<Parameter> {
    Architecture::new(config).unwrap().parameters()
}

/// The same names, shapes and roles in the same order as the official network.
#[test]
fn configs_of_mit_yolo_are_the_official_networks() {
    for size in ["t", "c"] {
        let official = ModelConfig::builtin(&format!("yolov9-{size}")).unwrap();
        let config = mit_config(&format!("v9-{size}"));
        assert_eq!(config.format, ConfigFormat::Mit);
        assert_eq!(parameters(&config), parameters(&official), "{size}");

        // Without its auxiliary section.
        let text = config.source.split("  auxiliary:").next().unwrap();
        let deployed = ModelConfig::from_yaml("deployed", text).unwrap();
        let gelan = ModelConfig::builtin(&format!("gelan-{size}")).unwrap();
        assert_eq!(parameters(&deployed), parameters(&gelan), "{size}");

        // As written: what the official parser would round stays.
        let odd = config.source.replace("out_channels: 64,", "out_channels: 60,");
        let odd = ModelConfig::from_yaml("odd", &odd).unwrap();
        let widths: Vec<usize> = parameters(&odd).iter().filter(|p| p.learned).map(|p| p.shape[0]).collect();
        assert!(widths.contains(&60));
    }
}

/// The official name of a tensor as MIT YOLO calls it, in a network of 22 layers before the heads.
fn mit_name(name: &str, head: usize, shift: usize) -> String {
    let rest = name.strip_prefix("model.").unwrap();
    let (layer, rest) = rest.split_once('.').unwrap();
    let layer: usize = layer.parse().unwrap();
    if layer == head {
        let (branch, rest) = rest.split_once('.').unwrap();
        let dual = head > 23;
        let (main, auxiliary) = (22, head + 1 - shift);
        let place = |main_branch: bool| if main_branch { main } else { auxiliary };
        let heads = |layer: usize, kind: &str| {
            let (level, rest) = rest.split_once('.').unwrap();
            format!("{layer}.heads.{level}.{kind}.{rest}")
        };
        return match branch {
            "cv2" => heads(place(!dual), "anchor_conv"),
            "cv3" => heads(place(!dual), "class_conv"),
            "cv4" => heads(main, "anchor_conv"),
            "cv5" => heads(main, "class_conv"),
            "dfl" => format!("{}.heads.0.anc2vec.anc2vec.weight", place(!dual)),
            "dfl2" => format!("{main}.heads.0.anc2vec.anc2vec.weight"),
            other => panic!("{other}"),
        };
    }
    let layer = layer - shift;
    let layer = if layer >= 22 { layer + 1 } else { layer };
    let mut rest = rest.replace(".m.", ".bottleneck.");
    for n in 1..=5 {
        rest = rest.replace(&format!("cv{n}."), &format!("conv{n}."));
    }
    // An AConv has a single convolution; all others with a conv1 have a conv2 or conv5 too.
    let aconv = [3, 5, 7, 16, 19].contains(&layer);
    format!("{layer}.{}", if aconv { rest.replace("conv1.", "conv.") } else { rest })
}

/// A safetensors file of random weights for `parameters`.
fn file(parameters: &[Parameter], name: impl Fn(&str) -> String, metadata: Option<HashMap<String, String>>) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)> = parameters
        .iter()
        .map(|parameter| {
            let count: usize = parameter.shape.iter().product();
            let value = |n: usize| match parameter.name.as_str() {
                name if name.contains(".dfl") => n as f32,
                name if name.ends_with("running_var") => 1.0,
                _ => 0.2 * (random.f32() - 0.5),
            };
            let bytes = (0..count).map(value).flat_map(f32::to_le_bytes).collect();
            let mut shape = parameter.shape.clone();
            let name = name(&parameter.name);
            if name.contains("anc2vec") {
                shape.push(1);
            }
            (name, (shape, bytes))
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(name, (shape, bytes))| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, metadata).unwrap()
}

fn maps(network: &Network) -> Vec<f32> {
    let image = Array4::from_shape_fn((1, 3, 64, 64), |(_, c, y, x)| ((x * (c + 1) + y) % 31) as f32 / 31.0);
    let HeadOutput::Levels(levels) = common::session(network, 1).run(image.view()).unwrap().remove(0) else {
        panic!("maps")
    };
    levels.into_iter().flat_map(|level| level.boxes.into_iter().chain(level.classes)).collect()
}

/// Plain, inside a trainer, and without the auxiliary branch: recognised by its tensors, and the same network as under
/// official names.
#[test]
fn state_dicts_of_mit_yolo_are_the_official_networks() {
    for (name, shift) in [("yolov9-t", 0), ("gelan-t", 0), ("yolov9-m", 1), ("gelan-m", 0)] {
        let config = ModelConfig::builtin(name).unwrap();
        let parameters = parameters(&config);
        let head = config.layers.len() - 1;
        let official = Checkpoint::from_bytes("official", file(&parameters, str::to_owned, None)).unwrap();
        let expected = maps(&Network::assemble(&official, Some(&config)).unwrap());
        for prefix in ["", "model.model.", "module."] {
            let bytes = file(&parameters, |name| format!("{prefix}{}", mit_name(name, head, shift)), None);
            let checkpoint = Checkpoint::from_bytes("mit", bytes).unwrap();
            assert_eq!(checkpoint.config_format(), ConfigFormat::Mit);
            let shapes =
                |c: &Checkpoint| c.tensors().iter().map(|(n, t)| (n.clone(), t.shape().to_vec())).collect::<Vec<_>>();
            assert_eq!(shapes(&checkpoint), shapes(&official), "{name} {prefix}");
            assert_eq!(resolve_config(&checkpoint, None).unwrap().name, name);
            assert_eq!(maps(&Network::assemble(&checkpoint, None).unwrap()), expected, "{name} {prefix}");
        }
    }
}

/// Names and shapes of a file that Ultralytics 8.3.3 wrote: depth-wise convolutions in the class branch.
#[test]
fn the_depthwise_class_branch_of_ultralytics_is_recognised() {
    let text = ModelConfig::builtin("gelan-t").unwrap().source.replace("DDetect", "Detect");
    let config = ModelConfig::from_yaml("yolov9t", &text).unwrap().with_classes(2);
    assert_eq!(config.format, ConfigFormat::Ultralytics);
    let plain = parameters(&config);
    let widths = [64, 96, 128];
    let mut parameters: Vec<Parameter> = plain.into_iter().filter(|p| !p.name.starts_with("model.22.cv3.")).collect();
    let mut push = |name: String, shape: Vec<usize>| {
        let learned = !name.contains("running");
        parameters.push(Parameter { name, shape, learned, role: yolo9::architecture::Role::Main });
    };
    let expected = [("0.0", true), ("0.1", false), ("1.0", true), ("1.1", false)];
    for (level, width) in widths.into_iter().enumerate() {
        for (place, depthwise) in expected {
            let input = if place.starts_with('0') { width } else { 64 };
            let (output, kernel) = if depthwise { (input, [1, 3, 3]) } else { (64, [input, 1, 1]) };
            let path = format!("model.22.cv3.{level}.{place}");
            push(format!("{path}.conv.weight"), [&[output][..], &kernel].concat());
            for part in ["weight", "bias", "running_mean", "running_var"] {
                push(format!("{path}.bn.{part}"), vec![output]);
            }
        }
        push(format!("model.22.cv3.{level}.2.weight"), vec![2, 64, 1, 1]);
        push(format!("model.22.cv3.{level}.2.bias"), vec![2]);
    }
    let checkpoint = Checkpoint::from_bytes("x", file(&parameters, str::to_owned, None)).unwrap();
    for given in [Some(&config), None] {
        let network = Network::assemble(&checkpoint, given).unwrap();
        let form = network.architecture.head().main().widths;
        assert!(form.depthwise && (form.boxes, form.box_groups, form.classes) == (64, 1, 64), "{form:?}");
        assert!(maps(&network).iter().all(|value| value.is_finite()));
    }
}

/// Each built-in network is recognised by the tensors of a bare state dict.
#[test]
fn bare_state_dicts_are_recognised() {
    for name in ["yolov9-t", "yolov9-s", "yolov9-m-dysample", "gelan-c", "gelan-t-dysample"] {
        let config = ModelConfig::builtin(name).unwrap();
        let checkpoint = Checkpoint::from_bytes("x", file(&parameters(&config), str::to_owned, None)).unwrap();
        let found = resolve_config(&checkpoint, None).unwrap();
        let rows = |config: &ModelConfig| parameters(config).into_iter().map(|p| (p.name, p.shape)).collect::<Vec<_>>();
        assert_eq!(rows(&found), rows(&config), "{name}");
        // What is written into a converted file is read back as the same network.
        let again = ModelConfig::from_yaml("again", &found.to_yaml()).unwrap();
        assert_eq!(rows(&again), rows(&config), "{name}");
    }
    let config = ModelConfig::builtin("gelan-t").unwrap();
    let mut cut = parameters(&config);
    cut.retain(|parameter| !parameter.name.starts_with("model.4.cv4"));
    let checkpoint = Checkpoint::from_bytes("x", file(&cut, str::to_owned, None)).unwrap();
    let error = resolve_config(&checkpoint, None).unwrap_err().to_string();
    assert!(error.contains("no built-in config has such layers"), "{error}");
}

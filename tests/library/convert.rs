//! Conversions: what a new file computes is what the old one did.

use std::path::PathBuf;

use crate::common;
use ndarray::Array2;
use yolo9::checkpoint::{Checkpoint, Dtype};
use yolo9::config::ModuleKind;
use yolo9::model::{Network, resolve_config};
use yolo9::weights;

fn golden_folders() -> Vec<PathBuf> {
    common::folders(&common::data("golden"))
}

fn open(folder: &std::path::Path) -> Checkpoint {
    Checkpoint::open(&folder.join("model.pt")).unwrap()
}

/// Written as safetensors and read again.
fn through_a_file(checkpoint: &Checkpoint) -> Checkpoint {
    Checkpoint::from_bytes("again", checkpoint.to_safetensors().unwrap()).unwrap()
}

fn output(checkpoint: &Checkpoint, folder: &std::path::Path) -> Array2<u32> {
    let network = Network::assemble(checkpoint, None).unwrap();
    common::all_predictions(&mut common::session(&network, 1), &common::golden_input(folder)).mapv(f32::to_bits)
}

#[test]
fn a_converted_file_holds_the_same_tensors() {
    for folder in golden_folders() {
        let original = open(&folder);
        let again = through_a_file(&original);
        assert_eq!(again.tensors().keys().collect::<Vec<_>>(), original.tensors().keys().collect::<Vec<_>>());
        for (name, tensor) in original.tensors() {
            let copy = &again.tensors()[name];
            assert_eq!((copy.dtype(), copy.shape()), (tensor.dtype(), tensor.shape()), "{name}");
            if tensor.dtype() != Dtype::I64 {
                assert_eq!(again.read_f32(name).unwrap(), original.read_f32(name).unwrap(), "{name}");
            }
        }
    }
}

#[test]
fn deployed_and_fused_files_compute_the_same_bits() {
    for folder in golden_folders() {
        let original = open(&folder);
        let expected = output(&original, &folder);
        let config = resolve_config(&original, None).unwrap();
        let branches = Network::assemble(&original, None).unwrap().architecture.head().branches.len();
        for (simplify, fused) in [(weights::deployed as fn(_, _) -> _, false), (weights::fused, true)] {
            let simple: Checkpoint = simplify(&original, &config).unwrap();
            let again = through_a_file(&simple);
            assert_eq!(output(&again, &folder), expected, "{}, fused: {fused}", folder.display());
            let own = resolve_config(&again, None).unwrap();
            assert!(matches!(own.layers.last().unwrap().module, ModuleKind::Detect | ModuleKind::DDetect));
            assert!(branches == 1 || own.layers.len() < config.layers.len());
            assert_eq!(again.tensors().keys().any(|name| name.contains(".bn.")), !fused);
            // Nothing is left that the network does not need.
            assert_eq!(Network::assemble(&again, None).unwrap().architecture.head().branches.len(), 1);
        }
    }
}

#[test]
fn half_precision_rounds_once() {
    let folder = golden_folders().remove(0);
    let original = open(&folder);
    let fused = weights::fused(&original, &resolve_config(&original, None).unwrap()).unwrap();
    let half = through_a_file(&fused.to_half().unwrap());
    let mut rounded = 0;
    for (name, tensor) in half.tensors() {
        assert_ne!(tensor.dtype(), Dtype::F32, "{name}");
        if tensor.dtype() == Dtype::F16 {
            let expected: Vec<f32> =
                fused.read_f32(name).unwrap().into_iter().map(|value| half::f16::from_f32(value).to_f32()).collect();
            assert_eq!(half.read_f32(name).unwrap(), expected, "{name}");
            rounded += 1;
        }
    }
    assert!(rounded > 50);
    assert_eq!(half.to_half().unwrap().to_safetensors().unwrap(), half.to_safetensors().unwrap());
    let mut large = fused;
    large.insert_f32("model.0.conv.bias", &[1], &[70_000.0]);
    let error = large.to_half().unwrap_err().to_string();
    assert!(error.contains("tensor model.0.conv.bias: holds 70000; f16 ends at 65504"), "{error}");
}

/// A state dict of others may use our keys for something else.
#[test]
fn keys_of_others_are_not_taken_for_ours() {
    let model = yolo9::embedded::MODELS[0].bytes;
    let length = u64::from_le_bytes(model[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&model[8..8 + length]).unwrap();
    header["__metadata__"] = serde_json::json!({
        "format": "pt", "names": "person,car", "config": "hello: [", "activation": "nn.ReLU()", "batch_norm_eps": "x",
        "other": "kept",
    });
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let theirs = [&(header.len() as u64).to_le_bytes()[..], &header, &model[8 + length..]].concat();
    let converted = through_a_file(&Checkpoint::from_bytes("theirs", theirs).unwrap());
    let metadata = converted.metadata();
    assert_eq!((&metadata.class_names, &metadata.config), (&None, &None));
    assert_eq!((metadata.extra["their.names"].as_str(), metadata.extra["other"].as_str()), ("person,car", "kept"));
    assert_eq!(converted.common_activation(), None);
}

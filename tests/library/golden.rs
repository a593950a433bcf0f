//! Six small networks with random weights against what the original PyTorch code gave for them.

use crate::common;
use yolo9::model::Network;

#[test]
fn small_networks_equal_pytorch() {
    let folders = common::folders(&common::data("golden"));
    assert_eq!(folders.len(), 6);
    folders.iter().for_each(|folder| common::assert_golden(folder));
}

#[test]
fn every_layer_of_the_small_networks_equals_pytorch() {
    common::folders(&common::data("golden")).iter().for_each(|folder| common::assert_layers(folder));
}

/// What a GPU gets with `--precision f16`, on the CPU, which computes it as f32 between casts.
#[test]
fn a_network_in_f16_is_nearly_the_same() {
    let input = common::golden_input(&common::data("golden/yolov9-t-tiny"));
    for model in yolo9::embedded::MODELS {
        let mut network = Network::assemble(&model.checkpoint().unwrap(), None).unwrap();
        let exact = common::all_predictions(&mut common::session(&network, 1), &input);
        network.onnx.narrow().unwrap();
        let narrow = common::all_predictions(&mut common::session(&network, 1), &input);
        let (boxes, scores) = common::differences(exact.view(), narrow.view());
        println!("{}: boxes {boxes} px, scores {scores}", model.name);
        assert!(boxes > 0.0 && boxes < 2.0 && scores < 0.01, "{}: boxes {boxes} px, scores {scores}", model.name);
    }
}

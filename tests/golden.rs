//! Six small networks with random weights against what the original PyTorch code gave for them.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod common;

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

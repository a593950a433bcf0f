//! Every example does what it says.

use std::path::Path;
use std::process::Command;

use crate::common;
use yolo9::embedded::SAMPLE_DETECTIONS;

fn example(name: &str, arguments: &[&str]) -> String {
    // Fetches the library before many programs want it at once.
    common::runtime();
    let mut cargo = Command::new(env!("CARGO"));
    // With the features of the test: others would build the library once more.
    let features = [("train", cfg!(feature = "train")), ("cloud", cfg!(feature = "cloud"))];
    let features: Vec<&str> = features.iter().filter(|(_, is_on)| *is_on).map(|(feature, _)| *feature).collect();
    cargo
        .args(["run", "--quiet", "--locked", "--features", &features.join(","), "--example", name, "--"])
        .args(arguments);
    // What cargo tells tests about this package. Build scripts that watch these variables (ring's does) would run again, and
    // everything above them be built again, here and after the tests.
    let is_of_package = |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.starts_with(start));
    let of_package = std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_str().is_some_and(is_of_package));
    of_package.for_each(|name| {
        cargo.env_remove(name);
    });
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const DYSAMPLE: &str = "models/codes-dysample.safetensors";

#[test]
fn detect() {
    let folder = tempfile::tempdir().unwrap();
    let drawn = folder.path().join("drawn.jpg");
    let text = example("detect", &[DYSAMPLE, "models/sample-parcels.jpg", drawn.to_str().unwrap()]);
    assert!(text.lines().count() > SAMPLE_DETECTIONS / 2 && text.contains("qr 0."), "{text}");
    assert_ne!(image::open(drawn).unwrap().into_rgb8(), image::open("models/sample-parcels.jpg").unwrap().into_rgb8());
}

#[test]
fn folder() {
    // Not in the published package.
    if !Path::new("models/parcels/images").is_dir() {
        return;
    }
    let text = example("folder", &[DYSAMPLE, "models/parcels/images"]);
    assert_eq!(text.lines().filter(|line| line.ends_with(" objects")).count(), 24);
    assert!(text.contains("input of the last run: [4, 3, "), "{text}");
}

#[test]
fn dysample() {
    let text = example("dysample", &[]);
    assert!(text.contains("bilinear:\n[[0, 0.25, 0.75, 1.25, 1.75, 2],"), "{text}");
    assert!(text.contains("moved:\n[[0.75, 1.25, 1.75, 2, 2, 2],"), "{text}");
}

#[test]
fn compare() {
    let text = example("compare", &["models/codes-nearest.safetensors", DYSAMPLE, "models/sample-parcels.jpg"]);
    let total: usize = text.lines().map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum();
    assert!(text.starts_with("same") && total >= SAMPLE_DETECTIONS, "{text}");
}

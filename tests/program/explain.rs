//! What DySample does to an image, drawn.

use std::path::Path;

use crate::common;
use crate::common::workdir::{Workdir, stderr, stdout};
use serde_json::Value;

#[test]
fn every_dysample_is_drawn_and_described() {
    let place = Workdir::new();
    let text = stdout(&place.succeeds("explain --json numbers.json"));
    let rows: Vec<&str> = text.lines().collect();
    assert!(rows[0].starts_with("sample-parcels.jpg: layer 10 is close to nearest upsampling (0."), "{text}");
    assert!(rows[0].contains("; layer 13 is close to nearest upsampling (0."), "{text}");
    assert!(rows[1].starts_with("  layer 10: 20x15 to 40x30 positions"), "{text}");
    assert!(rows.last().unwrap().contains("23 boxes: 7 qr, "), "{text}");
    let sheet = image::open(place.path("sample-parcels-explained.png")).unwrap().into_rgb8();
    assert_eq!(sheet.width(), 4 * 450 + 10);
    // More than paper and ink.
    let colours: std::collections::HashSet<[u8; 3]> = sheet.pixels().map(|pixel| pixel.0).collect();
    assert!(colours.len() > 1000, "{}", colours.len());
    let numbers: Value = serde_json::from_slice(&std::fs::read(place.path("numbers.json")).unwrap()).unwrap();
    let image = &numbers["images"][0];
    assert_eq!(image["boxes"].as_array().unwrap().len(), 23);
    let layer = &image["layers"][1];
    assert_eq!((&layer["layer"], layer["groups"].as_array().unwrap().len()), (&serde_json::json!(13), 4));
    let median = |of: &Value| of["from_bilinear"]["median"].as_f64().unwrap();
    let groups: Vec<f64> = layer["groups"].as_array().unwrap().iter().map(median).collect();
    let least = groups.iter().copied().fold(f64::MAX, f64::min);
    assert!(least > 0.0 && least <= median(layer) && groups.iter().any(|group| *group >= median(layer)), "{layer}");
    place.fails("explain", 1);
}

#[test]
fn a_part_of_some_layers_of_several_images_can_be_looked_at() {
    let place = Workdir::new();
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/parcels/images/parcels-00.jpg");
    let bytes = std::fs::read(image).unwrap();
    ["a.jpg", "b/b.jpg"].iter().for_each(|name| place.write(name, &bytes));
    place.write("broken.jpg", b"no image");
    let output = place.run("explain a.jpg broken.jpg b/b.jpg --layer 13 --region 10,10,40,30 -o sheets");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(place.list("sheets").len(), 2);
    assert!(!stdout(&output).contains("layer 10") && stderr(&output).contains("broken.jpg"));
    for wrong in ["--layer 12", "--region 9000,0,5,5", "--region 1,2,3"] {
        let output = place.run(&format!("explain a.jpg -o x.png {wrong}"));
        assert!(!output.status.success(), "{wrong}");
    }
    // Two images of one name do not end in one file; one image goes into a folder too.
    place.write("c/a.jpg", &bytes);
    place.succeeds("explain a.jpg c/a.jpg -o two");
    place.succeeds("explain b/b.jpg -o two/");
    assert_eq!(place.list("two").len(), 3);
    place.fails("explain a.jpg c/a.jpg -o two.png", 1);
    place.fails("explain -w yolov9-t-dysample", 1);
}

#[test]
fn two_networks_are_compared_where_they_differ() {
    let place = Workdir::new();
    let text = stdout(&place.succeeds("explain --compare codes-nearest codes-dysample -o c.png --json c.json"));
    assert!(text.starts_with("sample-parcels.jpg: the feature maps differ most at stride "), "{text}");
    assert!(text.contains("  stride 8: mean difference 0.0") && text.contains("  stride 32: "), "{text}");
    assert!(text.contains("edges moved by up to"), "{text}");
    let numbers: Value = serde_json::from_slice(&std::fs::read(place.path("c.json")).unwrap()).unwrap();
    let levels = numbers["images"][0]["levels"].as_array().unwrap();
    assert!(levels.len() == 3 && levels.iter().all(|level| level["correlation"].as_f64().unwrap() > 0.9), "{levels:?}");
    // Lifted from nearest, it computes the same.
    place.succeeds("convert codes-nearest --to codes-dysample --lift nearest -o lifted.safetensors");
    let text = stdout(&place.succeeds("explain --compare codes-nearest lifted.safetensors -o l.png"));
    assert!(text.contains("no difference, neither in feature maps nor in 23 boxes"), "{text}");
    place.fails("explain --compare codes-nearest none.pt -o n.png", 1);
    place.fails("explain --compare codes-nearest codes-dysample --layer 10", 1);
}

#[test]
fn a_lifted_module_moves_nowhere_and_others_are_refused() {
    let place = Workdir::new();
    place.succeeds("convert codes-nearest --to codes-dysample --lift nearest -o lifted.safetensors");
    let text = stdout(&place.succeeds("explain --weights lifted.safetensors -o x.jpg"));
    assert!(text.lines().next().unwrap().contains("layer 10 is the same as nearest upsampling (0.00 "));
    // In the middle of each position, a quarter of it from each point of bilinear upsampling in both directions.
    assert_eq!(text.matches("upsampling, in positions: 0.354").count(), 2, "{text}");
    assert!(place.path("x.jpg").is_file());
    place.fails("explain --weights codes-nearest", 1);
    place.fails("explain -o x.gif", 1);
    place.fails("explain none.jpg", 2);
}

/// A network whose only DySample is in the auxiliary branch, where a tutorial that counts upsamples from the end puts it.
#[test]
fn dysample_that_inference_drops_is_said_to_be_so() {
    let place = Workdir::new();
    let golden = common::data("golden").join("yolov9-t-tiny/model.pt");
    place.succeeds(&format!("convert {} -o plain.safetensors", golden.display()));
    let bytes = std::fs::read(place.path("plain.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let mut config: Value = serde_json::from_str(header["__metadata__"]["config"].as_str().unwrap()).unwrap();
    // Layer 23 is number 14 of the head.
    assert_eq!(config["head"][14][2], "nn.Upsample");
    config["head"][14][2] = "DySample".into();
    config["head"][14][3] = serde_json::json!([2, "lp"]);
    place.write("auxiliary.yaml", config.to_string().as_bytes());
    place.succeeds("convert plain.safetensors --to auxiliary.yaml --lift nearest -o auxiliary.safetensors");
    place.fails("explain -w auxiliary.safetensors -o x.png", 1);
}

//! Two models side by side.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod common;

use std::path::Path;

use common::workdir::{Workdir, stderr, stdout};
use serde_json::Value;

fn parcels() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/parcels/data.yaml").display().to_string()
}

fn json(place: &Workdir, arguments: &str) -> Value {
    serde_json::from_str(&stdout(&place.succeeds(arguments))).unwrap()
}

fn boxes(comparison: &Value) -> [u64; 5] {
    ["same", "moved", "confidence changed", "only A", "only B"]
        .map(|change| comparison["boxes"]["all"][change].as_u64().unwrap())
}

#[test]
fn a_model_is_the_same_as_itself() {
    let place = Workdir::new();
    let compared = json(&place, &format!("-q compare codes-dysample codes-dysample --data {} --json -", parcels()));
    let [same, others @ ..] = boxes(&compared);
    assert!(same > 200 && others == [0; 4], "{compared}");
    assert_eq!(compared["accuracy"]["b_minus_a"]["all"], serde_json::json!({ "AP": 0.0, "interval": [0.0, 0.0] }));
    assert_eq!(compared["verdict"][0], "Both are equally accurate: AP is the same.");
    let inference = &compared["time"]["inference"];
    let [low, high] = [0, 1].map(|end| inference["interval"][end].as_f64().unwrap());
    assert!(low > 0.0 && low <= inference["ratio"].as_f64().unwrap() && high.is_finite());
    assert_eq!(compared["sides"][0]["size"]["parameters"], compared["sides"][1]["size"]["parameters"]);
}

#[test]
fn nearest_and_its_lift_agree_and_the_reader_is_told() {
    let place = Workdir::new();
    // The built-in pair differs in both upsamples; the config of the second one is in its file.
    let configs = stdout(&place.succeeds("-q info codes-dysample --json"));
    assert!(configs.contains("DySample"));
    place.succeeds("convert codes-nearest --to codes-dysample --lift nearest -o lifted.safetensors");
    let compared = json(&place, "-q compare codes-nearest lifted.safetensors --json -");
    let [same, others @ ..] = boxes(&compared);
    assert!(same > 20 && others == [0; 4], "{compared}");
    let note = compared["sides"][1]["notes"][0].as_str().unwrap();
    assert!(note.contains("not trained (layers 10, 13)"), "{note}");
    assert!(compared["time"]["inference"]["ratio"].as_f64().unwrap() > 0.0);
    assert!(compared["accuracy"].is_null());
}

#[test]
fn sides_may_differ_in_options_files_and_sizes() {
    let place = Workdir::new();
    place.succeeds("-q export codes-dysample --imgsz 480 640 -o a.onnx");
    for (b, most_changed) in [
        ("codes-dysample,dysample=onnx", 0),
        ("a.onnx", 0),
        ("codes-dysample,imgsz=320", u64::MAX),
        ("gelan-t-dysample", 0),
    ] {
        let compared = json(&place, &format!("-q compare codes-dysample {b} --imgsz 480x640 --runs 3 --json -"));
        let [same, others @ ..] = boxes(&compared);
        if b == "gelan-t-dysample" {
            assert_eq!(same, 0, "a config has no boxes");
            assert!(compared["sides"][1]["notes"][0].as_str().unwrap().contains("in size and time only"));
            assert!(compared["sides"][1]["size"]["gflops"].as_f64().unwrap() > 0.0);
        } else {
            assert!(
                same + others.iter().sum::<u64>() > 20 && others.iter().sum::<u64>() <= most_changed,
                "{b}: {compared}"
            );
        }
    }
    place.fails("compare codes-dysample codes-dysample,size=3", 1);
    place.fails("compare codes-dysample nothing", 1);
    place.fails("compare codes-dysample codes-nearest --source none.jpg", 1);
    place.fails("compare codes-dysample codes-nearest --data none.yaml", 1);
}

#[test]
fn a_report_needs_nothing_else() {
    let place = Workdir::new();
    let output =
        place.succeeds(&format!("compare codes-nearest codes-dysample --data {} --out out --examples 3", parcels()));
    let text = stdout(&output);
    // One screen.
    assert!(text.lines().count() <= 45 && text.lines().all(|line| line.chars().count() <= 160), "{text}");
    for part in ["difference in accuracy: AP -0.0", "AP_small", "boxes at conf 0.25", "inference", "parameters"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let page = std::fs::read_to_string(place.path("out/report.html")).unwrap();
    let numbers: Value = serde_json::from_slice(&std::fs::read(place.path("out/compare.json")).unwrap()).unwrap();
    assert!(page.contains(&numbers["verdict"][0].as_str().unwrap().replace('\'', "&#39;")));
    assert_eq!(page.matches("data:image/jpeg;base64,").count(), 3);
    assert_eq!(place.list("out/images").len(), 3);
    // But for the namespace of its plots, nothing on the page is an address on the web.
    let addresses = page.matches("http").count();
    assert_eq!(addresses, page.matches("http://www.w3.org/2000/svg").count());
    let image = image::open(&place.list("out/images")[0]).unwrap();
    assert_eq!(image.width(), 2416);
    let again = place.run("compare codes-nearest codes-dysample --out out");
    assert!(stderr(&again).contains("not empty"), "{}", stderr(&again));
}

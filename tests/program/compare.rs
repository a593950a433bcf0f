//! Two models side by side.

use std::path::Path;

use crate::common::workdir::{Workdir, stderr, stdout};
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
    let verdict: Vec<&str> = compared["verdict"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
    assert_eq!(verdict[0], "No difference in accuracy: AP is the same.");
    assert_eq!(verdict[1], format!("No difference in boxes at confidence 0.25: all {same} agree."));
    assert_eq!(verdict[3], "No difference in parameters and GFLOPs.");
    let nothing = serde_json::json!({ "lower": 0.0, "median": 0.0, "upper": 0.0 });
    assert_eq!(compared["boxes"]["confidence_b_minus_a"], nothing);
    assert_eq!(compared["layers"], serde_json::json!(["all 23 layers are the same"]));
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
fn counts_are_those_of_val() {
    let place = Workdir::new();
    let compared =
        json(&place, &format!("-q compare codes-nearest codes-dysample --data {} --runs 3 --json -", parcels()));
    for (side, model) in [("a", "codes-nearest"), ("b", "codes-dysample")] {
        let alone = json(&place, &format!("-q val --data {} --weights {model} --json -", parcels()));
        let of_side = &compared["accuracy"][side];
        assert_eq!(of_side["counts"], alone["counts"]);
        assert_eq!(of_side["coco"], alone["coco"]);
        let count = |key: &str| alone["counts"][key].as_u64().unwrap();
        assert_eq!(count("true_positives") + count("misses"), 224);
        // Every box that is compared is counted.
        let alone_boxes = compared["boxes"]["alone"][side].as_u64().unwrap();
        let both = boxes(&compared)[..3].iter().sum::<u64>();
        assert_eq!(both + alone_boxes, count("true_positives") + count("false_positives"));
        assert!(compared["boxes"]["alone_and_right"][side].as_u64().unwrap() <= alone_boxes);
    }
    let classes = compared["accuracy"]["classes_b_minus_a"].as_object().unwrap();
    assert!(classes.len() == 6 && classes.values().all(|class| class["interval"][0].is_f64()), "{classes:?}");
    // Nothing is shown at a threshold of 1.
    let none = json(&place, &format!("-q val --data {} --count-conf 1 --json -", parcels()));
    assert_eq!(none["counts"]["misses"], 224);
}

#[test]
fn a_report_needs_nothing_else() {
    let place = Workdir::new();
    let output =
        place.succeeds(&format!("compare codes-nearest codes-dysample --data {} --out out --examples 3", parcels()));
    let text = stdout(&output);
    // One screen.
    assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 160), "{text}");
    let parts =
        ["difference in accuracy: AP -0.0", "AP50", "recall at conf 0.25", "boxes of both", "inference", "parameters"];
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
    let page = std::fs::read_to_string(place.path("out/report.html")).unwrap();
    let numbers: Value = serde_json::from_slice(&std::fs::read(place.path("out/compare.json")).unwrap()).unwrap();
    assert!(page.contains(&numbers["verdict"][0].as_str().unwrap().replace('\'', "&#39;")));
    for part in [
        "AP small",
        "of these true",
        "nn.Upsample [None, 2, &#39;nearest&#39;]",
        "yolo9 compare codes-nearest codes-dysample",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // The command, the machine and the day.
    assert!(
        ["command", "date", "processor", "yolo9"].iter().all(|key| numbers["environment"][key].is_string()),
        "{numbers}"
    );
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

#[cfg(unix)]
#[test]
fn an_input_that_is_not_there_is_left_out_and_said() {
    let place = Workdir::new();
    std::fs::copy("models/sample-parcels.jpg", place.path("a.jpg")).unwrap();
    std::os::unix::fs::symlink("nowhere.jpg", place.path("b.jpg")).unwrap();
    place.fails("compare codes-nearest codes-dysample --imgsz 160 --runs 3 -s b.jpg", 1);
    let compared = place.run("-q compare codes-nearest codes-dysample --imgsz 160 --runs 3 -s . --json -");
    assert_eq!(compared.status.code(), Some(2));
    assert!(stderr(&compared).starts_with("error: ./b.jpg: "), "{}", stderr(&compared));
    let compared: Value = serde_json::from_str(&stdout(&compared)).unwrap();
    assert_eq!(compared["failed"], 1);
}

#[test]
fn more_than_two_are_ranked() {
    let place = Workdir::new();
    let sides = "codes-nearest codes-dysample codes-nearest,imgsz=640,dysample=onnx";
    let output = place.succeeds(&format!("compare {sides} --data {} --runs 3 --out out", parcels()));
    let text = stdout(&output);
    assert!(text.contains("have the same AP, the highest, 0.8") && text.contains("is the fastest, with"), "{text}");
    assert!(text.contains("Each pair: B against A"), "{text}");
    let numbers: Value = serde_json::from_slice(&std::fs::read(place.path("out/compare.json")).unwrap()).unwrap();
    let ranking = numbers["ranking"].as_array().unwrap();
    let ap: Vec<f64> = ranking.iter().map(|rank| rank["accuracy"]["coco"]["AP"].as_f64().unwrap()).collect();
    assert!(ap.len() == 3 && ap.is_sorted_by(|a, b| a >= b), "{ap:?}");
    let pairs = numbers["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 3);
    // The first and the third side are one model.
    let is_same =
        |pair: &&Value| [&pair["a"], &pair["b"]].iter().all(|name| name.as_str().unwrap().starts_with("codes-nearest"));
    let same = pairs.iter().find(is_same).unwrap();
    assert_eq!(same["AP_b_minus_a"], serde_json::json!({ "AP": 0.0, "interval": [0.0, 0.0] }));
    let page = std::fs::read_to_string(place.path("out/report.html")).unwrap();
    assert!(page.contains("3 models compared") && page.contains("Ranking") && page.contains("data-plot"));
}

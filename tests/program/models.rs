//! The program on model files: inspecting, converting and exporting them.

use crate::common;
use crate::common::torch_file::TorchFile;
use crate::common::workdir::{Workdir, stderr, stdout};
use yolo9::embedded::SAMPLE_DETECTIONS;

/// A whole-model file of the repository.
fn golden() -> String {
    common::data("golden/yolov9-c-dysample-tiny/model.pt").display().to_string()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_config_is_shown_row_by_row() {
    let place = Workdir::new();
    let text = stdout(&place.succeeds("info yolov9-c"));
    for line in [
        "yolov9-c: a built-in config",
        "  as trained  39 layers   51,182,080 parameters   239.9 GFLOPs",
        "  fused       39 layers   50,880,768 parameters   237.6 GFLOPs",
        "  deployed    24 layers   25,288,768 parameters   102.1 GFLOPs",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
    }
    let row = text.lines().find(|line| line.starts_with("28 ")).unwrap();
    assert!(row.contains("RepNCSPELAN4  [256, 128, 64, 1]") && row.ends_with("auxiliary"), "{row}");
    let value = json(&stdout(&place.succeeds("info yolov9-c --imgsz 320x640 --json --nc 3")));
    assert_eq!(value["layers"][0]["outputs"][0], serde_json::json!([3, 320, 640]));
    assert_eq!(value["classes"], 3);
    assert_eq!(value["layers"].as_array().unwrap().len(), 39);
}

#[test]
fn a_checkpoint_says_what_it_is() {
    let place = Workdir::new();
    let value = json(&stdout(&place.succeeds(&format!("info --json {}", golden()))));
    assert_eq!((value["format"].as_str(), value["activation"].as_str()), (Some("official"), Some("SiLU")));
    assert_eq!(value["strides"], serde_json::json!([8, 16, 32]));
    assert!(value["tensors"]["kinds"]["f16"].as_u64().unwrap() > 500);
    let text = stdout(&place.succeeds(&format!("info {}", golden())));
    assert!(text.contains("  network        its own config\n") && text.contains("DySample"), "{text}");
}

#[test]
fn two_networks_are_compared() {
    let place = Workdir::new();
    let text = stdout(&place.succeeds("info yolov9-c yolov9-c-dysample"));
    let row = "*  14  nn.Upsample [None, 2, 'nearest'] 512x80x80  =>  DySample [] 512x80x80   +16,416 parameters, +0.046 GFLOPs";
    assert!(text.contains(row), "{text}");
    assert!(text.contains("38 layers are the same"), "{text}");
    let value = json(&stdout(&place.succeeds("info --json yolov9-c yolov9-c-dysample")));
    assert_eq!(value["layers"].as_array().unwrap().len(), 1);
    assert_eq!(value["layers"][0]["b"]["parameters"], 16_416);

    // The rows of an auxiliary branch are missing, not changed.
    let text = stdout(&place.succeeds("info yolov9-t gelan-t"));
    assert_eq!(text.lines().filter(|line| line.starts_with("- ")).count(), 8, "{text}");
    assert!(stdout(&place.succeeds("info gelan-t gelan-t")).contains("all 23 layers are the same\n"));
    // The auxiliary rows of yolov9-e look like the main ones behind them.
    let text = stdout(&place.succeeds("info yolov9-e gelan-e"));
    let removed: Vec<&str> = text.lines().filter(|l| l.starts_with("- ")).map(|l| l[2..5].trim()).collect();
    assert_eq!(removed, ["29", "30", "31", "32", "33", "34", "35"], "{text}");

    // Other wires between the same rows.
    let gelan = stdout(&place.succeeds("configs gelan-c"));
    let swapped = gelan.replacen("[[-1, 6], 1, Concat, [1]]", "[[6, -1], 1, Concat, [1]]", 1);
    assert_ne!(gelan, swapped);
    place.write("swapped.yaml", swapped.as_bytes());
    let text = stdout(&place.succeeds("info gelan-c swapped.yaml"));
    assert!(
        text.contains("*  11  Concat [1] 1024x40x40 from [-1, 6]  =>  Concat [1] 1024x40x40 from [6, -1]\n"),
        "{text}"
    );

    let text = stdout(&place.succeeds("info codes-nearest codes-dysample"));
    assert!(text.contains("6 only in B") && text.contains("model.10.offset.weight"), "{text}");
    let same = stdout(&place.succeeds("info codes-nearest codes-nearest"));
    assert!(same.contains("tensors: 835 equal, 0 differ, 0 only in A, 0 only in B"), "{same}");
}

/// A file that would run a command when PyTorch loads it.
fn evil() -> Vec<u8> {
    TorchFile::new("x", b"\x80\x02}X\x05\x00\x00\x00modelcposix\nsystem\nX\x0b\x00\x00\x00touch pwned\x85Rs.".to_vec())
        .to_bytes()
}

#[test]
fn the_culprit_in_a_pickle_is_shown_and_never_run() {
    let place = Workdir::new();
    place.write("evil.pt", &evil());
    let text = stdout(&place.succeeds("info --pickle evil.pt"));
    assert!(text.contains("REFUSED             0        1  posix.system"), "{text}");
    assert!(text.contains("called with (\"touch pwned\")"), "{text}");
    let value = json(&stdout(&place.succeeds("info --pickle --json evil.pt")));
    assert_eq!(value["globals"][0]["treatment"], "refused");
    place.fails("info evil.pt", 1);
    place.fails("detect --weights evil.pt", 1);
    assert!(!place.path("pwned").exists());

    // Whatever is not known to make data only: there is no complete list of what is dangerous.
    for global in
        ["ctorch\nload\n", "cpickle\nloads\n", "cio\nopen\n", "coperator\nmethodcaller\n", "ctorch.hub\nload\n"]
    {
        let pickle =
            [&b"\x80\x02}X\x05\x00\x00\x00model"[..], global.as_bytes(), b"X\x01\x00\x00\x00x\x85Rs."].concat();
        place.write("odd.pt", &TorchFile::new("x", pickle).to_bytes());
        let text = stdout(&place.succeeds("info --pickle odd.pt"));
        assert!(text.contains("SUSPICIOUS") && text.contains("0 refused and 1 suspicious"), "{text}");
    }
    // `os.system` looked up in torch, as protocol 4 can.
    let dotted = b"\x80\x04}\x8c\x05model\x8c\x05torch\x8c\x09os.system\x93\x8c\x01x\x85Rs.";
    place.write("odd.pt", &TorchFile::new("x", dotted.to_vec()).to_bytes());
    assert!(stdout(&place.succeeds("info --pickle odd.pt")).contains("REFUSED"));

    let text = stdout(&place.succeeds(&format!("info --pickle {}", golden())));
    assert!(text.contains("it calls only functions that make data"), "{text}");
    assert!(text.contains("models.yolo.DetectionModel") && text.contains("HalfStorage"), "{text}");
    place.fails("info --pickle codes-dysample", 1);
    place.write("x.yaml", b"nc: 2");
    place.fails("info --pickle x.yaml", 1);
}

#[test]
fn what_cannot_be_described_is_an_error() {
    let place = Workdir::new();
    let bytes = std::fs::read(golden()).unwrap();
    place.write("cut.pt", &bytes[..bytes.len() / 2]);
    place.fails("info cut.pt", 1);
    place.fails("info none.pt", 1);
    place.write("typo.yaml", b"nc: 2\nbackbone:\n  - [-1, 1, Cnov, [8]]\nhead:\n  - [[0], 1, DDetect, [nc]]\n");
    place.fails("info typo.yaml", 1);
    place.fails("detect --weights typo.yaml", 1);
    place.fails("info gelan-t --config gelan-c", 1);
    place.fails("info codes-nearest --nc 3", 1);
    place.fails("info codes-nearest --config gelan-c", 1);
    // Content decides here too.
    std::fs::copy(golden(), place.path("best.yaml")).unwrap();
    place.succeeds("info best.yaml");
    place.write("text.txt", b"hello");
    place.fails("info text.txt", 1);
}

/// Rows on stdout without their scores' and coordinates' last digits.
fn detections(place: &Workdir, arguments: &str) -> Vec<(String, Vec<f64>)> {
    let rows = stdout(&place.succeeds(&format!("-q detect --no-draw {arguments}")));
    let row = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        (columns[1].to_owned(), columns[2..].iter().map(|number| number.parse().unwrap()).collect())
    };
    rows.lines().map(row).collect()
}

fn assert_same(a: &[(String, Vec<f64>)], b: &[(String, Vec<f64>)]) {
    assert_eq!(a.len(), b.len());
    // Confidences that differ in the last digit change the order.
    let sorted = |of: &[(String, Vec<f64>)]| {
        let mut of = of.to_vec();
        of.sort_by(|(class_a, a), (class_b, b)| class_a.cmp(class_b).then(a[1].total_cmp(&b[1])));
        of
    };
    let (a, b) = (sorted(a), sorted(b));
    for ((class_a, numbers_a), (class_b, numbers_b)) in a.iter().zip(&b) {
        let near = numbers_a.iter().zip(numbers_b).all(|(a, b)| (a - b).abs() <= 0.11);
        assert!(class_a == class_b && near, "{class_a} {numbers_a:?} and {class_b} {numbers_b:?}");
    }
}

#[test]
fn an_exported_file_detects_what_its_checkpoint_does() {
    let place = Workdir::new();
    let expected = detections(&place, "");
    assert_eq!(expected.len(), SAMPLE_DETECTIONS);
    place.succeeds("export codes-dysample -o free.onnx --dynamic");
    place.succeeds("export codes-dysample -o end.onnx --dynamic --nms --dysample function --opset 20");
    place.succeeds("export codes-dysample -o fixed.onnx --imgsz 480 640 --half");
    for file in ["free.onnx", "end.onnx"] {
        assert_same(&detections(&place, &format!("--weights {file}")), &expected);
    }
    assert_eq!(detections(&place, "--weights fixed.onnx").len(), SAMPLE_DETECTIONS);
    assert_same(
        &detections(&place, "--weights fixed.onnx --imgsz 480 640 --conf 0.5"),
        &detections(&place, "--conf 0.5"),
    );

    // Content decides, not the name.
    std::fs::rename(place.path("free.onnx"), place.path("best.pt")).unwrap();
    assert_same(&detections(&place, "--weights best.pt"), &expected);

    place.fails("detect --weights fixed.onnx --imgsz 640", 1);
    place.fails("detect --weights best.pt --config gelan-t", 1);
    place.fails("convert best.pt -o x.safetensors", 1);
    let warned = place.succeeds("detect --no-draw --weights end.onnx --iou 0.9");
    assert!(stderr(&warned).contains("--iou and --agnostic change nothing"), "{}", stderr(&warned));
    place.write("names.txt", b"a\nb\n");
    place.fails("detect --weights best.pt --names names.txt", 1);

    let text = stdout(&place.succeeds("info end.onnx"));
    assert!(text.contains("output `classes` i64 [batch, detections]") && text.contains("2 yolo9:DySample"), "{text}");
    let value = json(&stdout(&place.succeeds("info --json fixed.onnx")));
    assert_eq!(value["metadata"]["source"], "codes-dysample");
    assert_eq!(value["metadata"]["source_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(value["metadata"]["imgsz"], "[480, 640]");
}

#[test]
fn a_converted_file_detects_what_its_checkpoint_does() {
    let place = Workdir::new();
    let expected = detections(&place, "");
    for (options, name) in [("", "a"), ("--deploy", "b"), ("--fuse", "c"), ("--fuse --half", "d"), ("--half", "e")] {
        place.succeeds(&format!("convert codes-dysample -o {name}.safetensors {options}"));
        assert_same(&detections(&place, &format!("--weights {name}.safetensors")), &expected);
    }
    let value = json(&stdout(&place.succeeds("info --json c.safetensors")));
    // The embedded model was converted before.
    assert_eq!(value["metadata"]["origin"], "last.safetensors");
    assert_eq!(value["metadata"]["stride"], "8,16,32");

    // Twice converted, the first file is still the origin.
    place.succeeds("convert c.safetensors -o again.safetensors");
    let again = json(&stdout(&place.succeeds("info --json again.safetensors")));
    assert_eq!(again["metadata"], value["metadata"]);
}

#[test]
fn the_auxiliary_branch_can_be_dropped() {
    let place = Workdir::new();
    place.succeeds(&format!("convert {} -o deployed.safetensors --deploy", golden()));
    let text = stdout(&place.succeeds(&format!("info {} deployed.safetensors", golden())));
    assert!(text.lines().any(|line| line.starts_with("* as trained") && line.contains("23 layers")), "{text}");
    assert!(
        std::fs::metadata(place.path("deployed.safetensors")).unwrap().len()
            < std::fs::metadata(golden()).unwrap().len() / 2
    );
}

#[test]
fn results_are_not_written_under_names_of_other_formats() {
    let place = Workdir::new();
    place.fails("convert codes-dysample -o x.onnx", 1);
    place.fails("convert codes-dysample -o x.pth", 1);
    place.fails("export codes-dysample -o x.safetensors", 1);
    place.fails("export codes-dysample -o x.onnx --dynamic --batch 3", 1);
    place.succeeds("export codes-dysample -o small.onnx --dynamic --imgsz 320");
    let value = json(&stdout(&place.succeeds("info --json small.onnx")));
    assert_eq!(
        (&value["metadata"]["imgsz"], &value["metadata"]["strides"]),
        (&"[320, 320]".into(), &"[8, 16, 32]".into())
    );
    place.fails("export codes-dysample -o x.onnx --imgsz 600", 1);
    place.fails("export codes-dysample -o x.onnx --opset 12", 1);
    place.fails("export codes-dysample -o x.onnx --conf 0.5", 1);
    place.fails("export codes-dysample -o /dev/null/x.onnx", 1);
    place.write("x.onnx", b"");
    place.fails("export codes-dysample -o x.onnx", 1);
    place.fails("convert codes-dysample -o y.safetensors --metadata origin=me", 1);
    assert!(std::fs::read(place.path("x.onnx")).unwrap().is_empty());
}

#[test]
fn networks_are_measured_without_being_trained() {
    let place = Workdir::new();
    let text = stdout(&place.succeeds("-q bench --runs 3 --imgsz 64 --vs gelan-t-dysample gelan-t --sweep 1"));
    assert!(text.starts_with("gelan-t: input 64x64, ") || text.starts_with("gelan-t: input 32x64, "), "{text}");
    for part in
        ["decode boxes, NMS", "inference alone, 1 session", "\ngelan-t-dysample: input", "95 % interval", "threads"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    let value = json(&stdout(&place.succeeds("bench --runs 3 --imgsz 64 --json")));
    assert!(value["stages"]["inference"]["median"].as_f64().unwrap() > 0.0);
    assert!(value["throughput"][0]["images_per_second"].as_f64().unwrap() > 0.0);
    let value = json(&stdout(&place.succeeds("bench --runs 3 --imgsz 64 --layers --json")));
    let layers = value["profile"]["layers"].as_array().unwrap();
    let named = |name: &str| layers.iter().any(|layer| layer["name"] == name && layer["milliseconds"].is_f64());
    assert!(named("0 Conv") && named("10 DySample") && named("13 DySample") && named("22 DDetect"), "{layers:?}");
    let sum = |key: &str| -> f64 {
        let parts = value["profile"][key].as_array().unwrap();
        parts.iter().map(|part| part["milliseconds"].as_f64().unwrap()).sum()
    };
    // The same nodes, added up in two ways.
    assert!((sum("layers") - sum("operators")).abs() < 1e-9 && sum("layers") > 0.0);
    assert_eq!(value["execution"]["device"], "cpu");
    place.fails("bench nothing", 1);
    place.fails("bench --image none.jpg", 1);
}

#[test]
fn devices_and_precisions_stand_in_a_table() {
    let place = Workdir::new();
    place.write("s.jpg", yolo9::embedded::SAMPLE_IMAGE);
    place.succeeds("quantize codes-nearest --images s.jpg -o i8.onnx --imgsz 64 --sensitivity 0");
    let bench = "-q bench codes-nearest --vs i8.onnx --precision f32,int8 --runs 5 --imgsz 64 --square";
    let value = json(&stdout(&place.succeeds(&format!("{bench} --json"))));
    let rows = value["rows"].as_array().unwrap();
    let ran: Vec<(&str, Option<&str>)> =
        rows.iter().map(|row| (row["model"].as_str().unwrap(), row["execution"]["precision"].as_str())).collect();
    let (nearest, int8) = ("codes-nearest", "i8.onnx");
    assert_eq!(ran, [(nearest, Some("f32")), (nearest, None), (int8, None), (int8, Some("int8"))]);
    assert!(rows[1]["unusable"].as_str().unwrap().contains("was not quantised"), "{rows:?}");
    assert!(rows[2]["unusable"].as_str().unwrap().contains("the file fixes its numbers, which are int8"), "{rows:?}");
    for row in [&rows[0], &rows[3]] {
        for number in [&row["latency"]["median"], &row["throughput"]["images_per_second"], &row["first_ms"]] {
            assert!(number.as_f64().unwrap() > 0.0, "{row}");
        }
        assert!(row["file_bytes"].as_u64().unwrap() > 100_000);
    }
    assert_eq!(rows[0]["ratio"]["value"], 1.0);
    let text = stdout(&place.succeeds(bench));
    assert!(text.contains("  cpu int8 ") && text.contains("images/s"), "{text}");
    place.fails("bench codes-nearest --precision f32,int8 --layers", 1);
    place.fails("bench codes-nearest --precision bf16,f16", 1);
    place.fails("bench codes-nearest --device cpu,tpu", 1);
}

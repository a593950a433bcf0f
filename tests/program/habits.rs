//! What a newcomer types: habits from other tools, and what the program says of its own accord.

use crate::common::workdir::{Workdir, stderr, stdout};
use yolo9::embedded::SAMPLE_IMAGE;

fn place() -> Workdir {
    let place = Workdir::new();
    place.write("in/a.jpg", SAMPLE_IMAGE);
    place
}

#[test]
fn options_of_other_tools_do_what_they_do_there() {
    let place = place();
    let official = "detect --source in --conf-thres 0.4 --iou-thres 0.5 --agnostic-nms --save-txt --save-conf --save-crop \
                    --project runs --name x --exist-ok --classes 0 1 --nosave -q";
    let theirs = stdout(&place.succeeds(official));
    let ours = "detect in --conf 0.4 --iou 0.5 --agnostic --classes qr,barcode --no-draw --out o -q";
    assert_eq!(theirs, stdout(&place.succeeds(ours)));
    let [labels, crops, drawn] = ["labels/a.txt", "crops/qr", "a.jpg"].map(|name| place.path("runs/x").join(name));
    assert!(labels.is_file() && crops.is_dir() && !drawn.exists());

    let theirs = stdout(&place.succeeds("predict model=codes-dysample source=in conf=0.4 iou=0.5 project=runs name=y"));
    assert_eq!(theirs, stdout(&place.succeeds("detect in --conf 0.4 --iou 0.5 --out p")));
    assert!(place.path("runs/y/a.jpg").is_file());
    // A command line that is an image alone.
    assert_eq!(theirs, stdout(&place.succeeds("in/a.jpg --conf 0.4 --iou 0.5 --out q")));
}

#[test]
fn what_cannot_be_done_as_there_is_refused_with_a_reason() {
    let place = place();
    for arguments in
        ["detect in --device tpu", "detect in --half", "detect in --names coco", "detect in --weights yolov9c.pt"]
    {
        place.fails(arguments, 1);
        assert!(!place.path("runs").exists(), "{arguments}");
    }
    // A mistyped key is one, not a file that does not exist.
    place.fails("predict source=in imgz=640", 1);
}

#[test]
fn the_embedded_model_says_what_it_detects() {
    let place = place();
    let text = stderr(&place.succeeds("detect in --conf 0.99"));
    assert_eq!(text.matches("detects QR codes, barcodes and other codes").count(), 2, "{text}");
    assert!(text.contains("Nothing was detected") && text.contains("--weights"), "{text}");
    let text = stderr(&place.succeeds("detect in"));
    assert!(!text.contains("Nothing was detected"), "{text}");
}

#[test]
fn doubtful_values_are_said_to_be_so() {
    let place = place();
    let text = stderr(&place.succeeds("detect in --threads 64 --out drawn.jpg"));
    assert!(
        text.contains("--threads 64 is more than") && text.contains("--out drawn.jpg: is taken for a folder"),
        "{text}"
    );
    let text = stdout(&place.succeeds("config detect"));
    let value = |option: &str| text.lines().find(|line| line.starts_with(option)).unwrap().to_owned();
    assert!(value("conf ").contains("0.25") && value("max-det ").contains("1000") && value("imgsz ").contains("640"));
    assert!(!text.contains("\nproject "), "{text}");
}

#[test]
fn names_of_files_are_derived() {
    let place = place();
    place.succeeds("convert codes-nearest");
    assert!(place.path("codes-nearest.safetensors").is_file());
    let config = stdout(&place.succeeds("configs yolov9-t-dysample"));
    place.write("my.yaml", config.as_bytes());
    place.succeeds("export my.yaml --random-weights --imgsz 64");
    // A design without weights can be timed: it runs, whatever it detects.
    place.succeeds("detect in --weights my.onnx --no-draw");
    // Without the option nobody gets random weights by mistake.
    place.fails("export my.yaml -o other.onnx", 1);
    assert!(!place.path("other.onnx").exists());

    // Times of inputs of different sizes say nothing about networks.
    place.fails("bench my.onnx --vs codes-nearest --runs 3", 1);
    let output = place.succeeds("bench my.onnx --vs codes-nearest --runs 3 --different-sizes");
    assert!(stdout(&output).contains("\ncodes-nearest: input 480x640"));
}

#[cfg(not(feature = "train"))]
#[test]
fn training_says_what_it_takes() {
    let place = Workdir::new();
    place.fails("train --data data.yaml --config gelan-t --out x", 1);
}

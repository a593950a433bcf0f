//! `yolo9 quantize`: a file on 8-bit integers that detects what the network does, and what it refuses.

use crate::common::workdir::{Workdir, stderr, stdout};
use yolo9::onnx::OnnxFile;

#[test]
fn a_quantised_network_detects_nearly_the_same() {
    let place = Workdir::new();
    place.write("in/a.jpg", yolo9::embedded::SAMPLE_IMAGE);
    place.write("in/broken.jpg", b"no image");
    let quantise = "quantize codes-dysample --images in --imgsz 320 --sensitivity 1 --keep 3";
    let output = place.succeeds(&format!("{quantise} -o small.onnx"));
    let (said, table) = (stderr(&output), stdout(&output));
    assert!(said.contains("broken.jpg") && said.contains("it is left out"), "{said}");
    assert!(said.contains("model.0 stays f32"), "{said}");
    assert!(table.contains("on 1 calibration image"), "{table}");
    assert!(said.contains("1 image to calibrate on"), "{said}");
    let file = OnnxFile::from_bytes("small.onnx", std::fs::read(place.path("small.onnx")).unwrap()).unwrap();
    assert!(file.is_quantised() && file.class_names().unwrap().len() == 6);
    let real: Vec<&str> = file.metadata["f32"].split(", ").collect();
    assert!(real.iter().any(|path| path.starts_with("model.3.")) && !real.contains(&"model.5.cv1"), "{real:?}");
    // Half the scale of its training finds most of the codes; 8 bits lose few of those.
    let rows = |weights: &str| {
        let options = "--no-draw --imgsz 320 --square";
        stdout(&place.succeeds(&format!("-q detect in/a.jpg {options} {weights}"))).lines().count()
    };
    let (exact, found) = (rows("-w codes-dysample"), rows("-w small.onnx --precision int8"));
    assert!(exact > 5 && found.abs_diff(exact) <= 3, "{found} objects instead of {exact}");
    let shown = stdout(&place.succeeds("info small.onnx"));
    assert!(shown.contains("convolutions on 8-bit integers"), "{shown}");
    place.fails("quantize small.onnx --images in", 1);
    place.fails(&format!("{quantise} -o small.onnx"), 1);
    // Before any work.
    place.fails("quantize codes-dysample --images in -o x", 1);
    place.fails("quantize codes-dysample --images in -o empty/none/x.onnx", 1);
    place.fails("quantize codes-dysample --images in -o x.onnx --precision int8", 1);
    place.fails("quantize codes-dysample --images in -o x.onnx --keep model.x", 1);
    place.fails("quantize codes-dysample --images in -o x.onnx --device xnnpack", 1);
    place.fails("detect in/a.jpg --no-draw --precision int8", 1);
    place.fails("detect in/a.jpg --no-draw -w small.onnx --precision f32", 1);
    place.fails("compare codes-dysample codes-dysample,imgsz=64,imgsz=96", 1);
    place.fails("detect in/a.jpg --no-draw --precision bf16", 1);
    place.fails("quantize codes-dysample --images none -o x.onnx", 1);
    std::fs::create_dir(place.path("empty")).unwrap();
    place.fails("quantize codes-dysample --images empty -o x.onnx", 1);
    place.fails("quantize codes-dysample --images in --keep 99 -o x.onnx", 1);
    let all = (0..23).map(|layer| layer.to_string()).collect::<Vec<_>>().join(",");
    place.fails(&format!("quantize codes-dysample --images in --imgsz 64 --keep {all} -o x.onnx"), 1);
    place.fails("quantize codes-dysample --images in --imgsz 100 -o x.onnx", 1);
    assert!(!place.path("x.onnx").exists());
}

//! Files that other exporters wrote, rebuilt from our own by moving their parts: which output is taken, and what is
//! refused with which words.

use crate::common;
use ndarray::{Array2, Array4};
use prost::Message;
use yolo9::detect::{Backend, HeadOutput, NmsOptions};
use yolo9::graph::{DENSE_OUTPUT, ExportOptions, export};
use yolo9::model::{Network, resolve_config};
use yolo9::onnx::{
    Attribute, Dim, Element, ModelProto, OnnxFile, OnnxHead, StringStringEntryProto, float_tensor, node, value_info,
    value_info_of,
};
use yolo9::runtime::{DySampleBackend, OrtBackend, SessionOptions};
use yolo9::{Size, embedded, weights};

const SIDE: usize = 96;
const ANCHORS: usize = 144 + 36 + 9;
const CLASSES: usize = 6;

/// The embedded model as an exporter would write it.
fn exported(options: &ExportOptions) -> ModelProto {
    let checkpoint = embedded::MODELS[0].checkpoint().unwrap();
    let config = resolve_config(&checkpoint, None).unwrap();
    let (architecture, weights) = weights::bind(&config, &checkpoint).unwrap();
    let names = checkpoint.metadata().class_names.clone().unwrap();
    export(&architecture, weights, options, &names, &[]).unwrap()
}

fn fixed() -> ModelProto {
    exported(&ExportOptions::default().batch(Some(1)).size(Some(Size::square(SIDE))))
}

/// A part of the sample image with a code in its middle.
fn image() -> Array4<f32> {
    let sample = image::load_from_memory(embedded::SAMPLE_IMAGE).unwrap().into_rgb8();
    let (left, top) = (1010, 802);
    let value = |(_, c, y, x)| f32::from(sample.get_pixel(left + x as u32, top + y as u32)[c]) / 255.0;
    Array4::from_shape_fn((1, 3, SIDE, SIDE), value)
}

/// What our own path gives for the image.
fn expected() -> Array2<f32> {
    let network = Network::assemble(&embedded::MODELS[0].checkpoint().unwrap(), None).unwrap();
    common::all_predictions(&mut common::session_on(&network, 1, DySampleBackend::Onnx), &image())
}

fn open(model: &ModelProto) -> Result<OnnxFile, String> {
    OnnxFile::from_bytes("x.onnx", model.encode_to_vec()).map_err(|error| error.to_string())
}

fn run(file: &OnnxFile, classes: usize) -> Result<HeadOutput, String> {
    let options = SessionOptions::default().threads(1).dysample(DySampleBackend::Onnx);
    let mut model = OrtBackend::of_file(&common::runtime(), file, classes, &options, 1).unwrap().remove(0);
    model.run(image().view()).map(|mut outputs| outputs.remove(0)).map_err(|error| error.to_string())
}

fn assert_right(file: &OnnxFile, tolerance: f32) {
    let HeadOutput::Dense(dense) = run(file, CLASSES).unwrap() else { panic!("not dense") };
    let expected = expected();
    assert_eq!(dense.dim(), expected.dim());
    let worst = dense.iter().zip(&expected).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs() / b.abs().max(1.0)));
    assert!(worst < tolerance, "{worst}");
}

/// Renames a value everywhere.
fn rename(model: &mut ModelProto, from: &str, to: &str) {
    let graph = model.graph.as_mut().unwrap();
    for node in &mut graph.node {
        node.input.iter_mut().chain(&mut node.output).filter(|name| *name == from).for_each(|name| *name = to.into());
    }
    for info in graph.input.iter_mut().chain(&mut graph.output) {
        info.name.as_mut().filter(|name| *name == from).into_iter().for_each(|name| *name = to.into());
    }
}

/// An unconverted model with its auxiliary branch: the exporter names the first output only, which is the auxiliary one.
#[test]
fn of_two_outputs_the_last_is_the_main_one() {
    let mut model = fixed();
    model.metadata_props.retain(|entry| entry.key.as_deref() != Some("task"));
    rename(&mut model, DENSE_OUTPUT, "1742");
    let graph = model.graph.as_mut().unwrap();
    graph.initializer.push(float_tensor("ten", &[], vec![10.0]));
    graph.node.push(node("Add", &["1742", "ten"], &[DENSE_OUTPUT], &[]));
    let shape = [Dim::Fixed(1), Dim::Fixed(4 + CLASSES), Dim::Fixed(ANCHORS)];
    graph.output.insert(0, value_info(DENSE_OUTPUT, &shape));
    // The raw maps come along as well.
    graph.output.push(value_info("boxes_0", &[Dim::Fixed(1), Dim::Fixed(64), Dim::Fixed(12), Dim::Fixed(12)]));
    let file = open(&model).unwrap();
    assert_eq!(file.head, OnnxHead::Dense { output: "1742".into(), classes: Some(CLASSES) });
    assert_eq!(file.unused, [DENSE_OUTPUT]);
    assert_right(&file, 1e-4);
}

/// The official exporter with dynamic axes calls the fifth axis of boxes "anchors".
#[test]
fn free_axes_under_odd_names_are_read() {
    let mut model = exported(&ExportOptions::default());
    let graph = model.graph.as_mut().unwrap();
    graph.output = vec![value_info(DENSE_OUTPUT, &[Dim::Named("batch"), Dim::Named("anchors"), Dim::Named("")])];
    let file = open(&model).unwrap();
    assert_eq!(file.head, OnnxHead::Dense { output: DENSE_OUTPUT.into(), classes: None });
    assert_eq!(file.classes(), Some(CLASSES), "from the names");
    assert_eq!(file.preferred_size(), Some((640, 640)));
    assert_right(&file, 1e-4);
    // Names for another number of classes.
    let error = run(&file, 80).unwrap_err();
    assert!(error.contains("it has shape [batch, 10, 189]; expected [batch, 84, 189] for 80 classes"), "{error}");
}

#[test]
fn a_fixed_batch_is_filled_up() {
    let options = ExportOptions::default().batch(Some(4)).size(Some(Size::square(SIDE)));
    let file = open(&exported(&options)).unwrap();
    assert_eq!(file.input.batch, Some(4));
    assert_right(&file, 1e-4);
}

/// As with `half=True`: images go in and values come out in f16.
#[test]
fn half_precision_inputs_and_outputs_are_converted() {
    let mut model = fixed();
    rename(&mut model, "images", "wide");
    rename(&mut model, DENSE_OUTPUT, "predictions");
    let graph = model.graph.as_mut().unwrap();
    let to = |element: Element| [("to", Attribute::Int(element.number()))];
    graph.node.insert(0, node("Cast", &["images"], &["wide"], &to(Element::Float)));
    graph.node.push(node("Cast", &["predictions"], &[DENSE_OUTPUT], &to(Element::Float16)));
    let [batch, channels, side] = [1, 3, SIDE].map(Dim::Fixed);
    graph.input = vec![value_info_of("images", Element::Float16, &[batch, channels, side, side])];
    let shape = [batch, Dim::Fixed(4 + CLASSES), Dim::Fixed(ANCHORS)];
    graph.output = vec![value_info_of(DENSE_OUTPUT, Element::Float16, &shape)];
    let file = open(&model).unwrap();
    assert_right(&file, 2e-2);
}

/// Ultralytics' `nms=True`: rows of x1, y1, x2, y2, score, class.
#[test]
fn rows_of_detections_are_read() {
    let suppression = NmsOptions::default().iou_threshold(0.7).max_detections(300).class_agnostic(false);
    let options = ExportOptions::default().batch(Some(1)).size(Some(Size::square(SIDE))).nms(Some(suppression));
    let lists = exported(&options);
    let HeadOutput::Suppressed(expected) = run(&open(&lists).unwrap(), CLASSES).unwrap() else { panic!("not rows") };
    assert!(expected.column(4).iter().any(|score| *score > 0.5), "{}", expected.column(4));

    let mut model = lists;
    let graph = model.graph.as_mut().unwrap();
    let float = [("to", Attribute::Int(Element::Float.number()))];
    graph.initializer.push(yolo9::onnx::int_tensor("two", &[2]));
    graph.node.push(node("Cast", &["classes"], &["class.floats"], &float));
    graph.node.push(node("Unsqueeze", &["scores", "two"], &["row.score"], &[]));
    graph.node.push(node("Unsqueeze", &["class.floats", "two"], &["row.class"], &[]));
    let axis = [("axis", Attribute::Int(2))];
    graph.node.push(node("Concat", &["boxes", "row.score", "row.class"], &["output0"], &axis));
    graph.output = vec![value_info("output0", &[Dim::Fixed(1), Dim::Fixed(ANCHORS), Dim::Fixed(6)])];
    let file = open(&model).unwrap();
    assert_eq!(file.head, OnnxHead::Rows("output0".into()));
    assert_eq!(run(&file, CLASSES).unwrap(), HeadOutput::Suppressed(expected));
    let error = run(&file, 1).unwrap_err();
    assert!(error.contains("it gives the class id ") && error.ends_with("there are 1 classes"), "{error}");
}

/// A file whose rows are these constants, whatever the image.
fn constant_rows(rows: &[[f32; 6]]) -> OnnxFile {
    let mut model = fixed();
    let graph = model.graph.as_mut().unwrap();
    graph.initializer.push(float_tensor("rows", &[1, rows.len(), 6], rows.concat()));
    graph.node.push(node("Identity", &["rows"], &["found"], &[]));
    graph.output = vec![value_info("found", &[Dim::Fixed(1), Dim::Fixed(rows.len()), Dim::Fixed(6)])];
    open(&model).unwrap()
}

#[test]
fn rows_that_mean_nothing_are_errors_and_others_are_sorted() {
    let good = [1.0, 2.0, 30.0, 40.0, 0.5, 1.0];
    let with = |column: usize, value: f32| {
        let mut row = good;
        row[column] = value;
        row
    };
    struct Case([f32; 6], &'static str);
    for Case(row, message) in [
        Case(with(4, f32::INFINITY), "it has the confidence inf"),
        Case(with(4, 5.0), "it has the confidence 5"),
        Case(with(4, f32::NAN), "it has the confidence NaN"),
        Case(with(5, f32::NAN), "it gives the class id NaN"),
        Case(with(5, -5.0), "it gives the class id -5"),
        Case(with(5, 0.5), "it gives the class id 0.5"),
        Case(with(0, 31.0), "it has the box [31.0, 2.0, 30.0, 40.0]"),
        Case(with(3, f32::INFINITY), "it has the box"),
    ] {
        let error = run(&constant_rows(&[good, row]), CLASSES).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
    let options = SessionOptions::default().threads(1);
    let file = constant_rows(&[with(4, 0.3), with(4, 0.9), with(4, 0.0), with(4, 0.6)]);
    let model = OrtBackend::of_file(&common::runtime(), &file, CLASSES, &options, 1).unwrap().remove(0);
    let mut settings = common::official_settings();
    settings.letterbox.target = Size::square(SIDE);
    settings.letterbox.shape = yolo9::image::InputShape::Square;
    settings.postprocess.nms.max_detections = 2;
    let image = image::RgbImage::new(SIDE as u32, SIDE as u32);
    let found = yolo9::detect::Engine::new(model, settings).detect(&image).unwrap().detections;
    assert_eq!(found.iter().map(|d| d.confidence).collect::<Vec<_>>(), [0.9, 0.6]);
}

/// A network with two levels: its export says which strides they have.
#[test]
fn other_strides_come_from_the_metadata() {
    let mut model = fixed();
    note_strides(&mut model, "[16, 32]");
    let anchors = 36 + 9;
    let graph = model.graph.as_mut().unwrap();
    for (name, value) in [("starts", 144), ("ends", 189), ("axes", 2)] {
        graph.initializer.push(yolo9::onnx::int_tensor(name, &[value]));
    }
    graph.node.push(node("Slice", &[DENSE_OUTPUT, "starts", "ends", "axes"], &["coarse"], &[]));
    graph.output = vec![value_info("coarse", &[Dim::Fixed(1), Dim::Fixed(4 + CLASSES), Dim::Fixed(anchors)])];
    let file = open(&model).unwrap();
    assert_eq!(file.strides, [16, 32]);
    let HeadOutput::Dense(found) = run(&file, CLASSES).unwrap() else { panic!("not dense") };
    assert_eq!(found.ncols(), anchors);
    note_strides(&mut model, "[8, 16, 32]");
    assert!(open(&model).unwrap_err().contains("no output that a YOLOv9 detector has"));
}

fn note_strides(model: &mut ModelProto, strides: &str) {
    model.metadata_props.retain(|entry| entry.key.as_deref() != Some("strides"));
    model.metadata_props.push(StringStringEntryProto { key: Some("strides".into()), value: Some(strides.into()) });
}

#[test]
fn what_is_no_detector_of_this_kind_is_named() {
    let changed = |change: fn(&mut ModelProto)| {
        let mut model = fixed();
        change(&mut model);
        open(&model).unwrap_err()
    };
    fn outputs(model: &mut ModelProto, dims: &[usize]) {
        let dims: Vec<Dim<'_>> = dims.iter().copied().map(Dim::Fixed).collect();
        model.graph.as_mut().unwrap().output = vec![value_info("output0", &dims)];
    }
    fn input_of(model: &mut ModelProto, dims: [usize; 4]) {
        model.graph.as_mut().unwrap().input = vec![value_info("images", &dims.map(Dim::Fixed))];
    }
    fn note(model: &mut ModelProto, key: &str, value: &str) {
        model.metadata_props.retain(|entry| entry.key.as_deref() != Some(key));
        model.metadata_props.push(StringStringEntryProto { key: Some(key.into()), value: Some(value.into()) });
    }
    struct Case(fn(&mut ModelProto), &'static str);
    for Case(change, message) in [
        Case(|model| note(model, "task", "segment"), "is a model for the task `segment`"),
        Case(
            |model| outputs(model, &[1, ANCHORS, 5 + CLASSES]),
            "found `output0` f32 [1, 189, 11]; anchor points come before their values",
        ),
        Case(|model| outputs(model, &[1, 80, 12, 12]), "maps before decoding come from MIT YOLO's export"),
        Case(|model| outputs(model, &[1, 1000]), "found `output0` f32 [1, 1000]"),
        Case(|model| model.graph.as_mut().unwrap().output.clear(), "found none"),
        Case(|model| model.graph.as_mut().unwrap().input.clear(), "expected one input of RGB images"),
        Case(
            |model| {
                let dims = [1, 1, 28, 28].map(Dim::Fixed);
                model.graph.as_mut().unwrap().input = vec![value_info("digit", &dims)];
            },
            "found `digit` f32 [1, 1, 28, 28]",
        ),
        Case(
            |model| input_of(model, [1 << 62, 3, SIDE, SIDE]),
            "the batch is 4611686018427387904; at most 1024 is supported",
        ),
        Case(|model| input_of(model, [1, 3, 1 << 31, SIDE]), "a side of the input is 2147483648; at most 16384"),
        Case(|model| input_of(model, [1024, 3, 4096, 4096]), "the number of values of the input is"),
        Case(
            |model| outputs(model, &[1, 1 << 62, ANCHORS]),
            "the number of classes is 4611686018427387900; at most 100000",
        ),
        Case(|model| model.graph = None, "damaged or truncated ONNX file: it has no graph"),
    ] {
        let error = changed(change);
        assert!(error.starts_with("model x.onnx: ") && error.contains(message), "{error}\n instead of\n{message}");
    }
    let whole = fixed().encode_to_vec();
    let error = OnnxFile::from_bytes("x.onnx", whole[..whole.len() / 2].to_vec()).unwrap_err().to_string();
    assert!(error.contains("damaged or truncated ONNX file"), "{error}");
}

/// `TensorProto.data_location` = EXTERNAL, in a weight or hidden in a constant of a nested graph.
#[test]
fn weights_in_other_files_are_not_followed() {
    let external = [0x70, 0x01];
    let tensor = |name: &str| [&[0x42, name.len() as u8], name.as_bytes(), &external].concat();
    let message = |field: u8, body: &[u8]| [&[field << 3 | 2, body.len() as u8], body].concat();
    let initializer = message(5, &tensor("w"));
    let constant = message(1, &message(5, &message(5, &tensor("c"))));
    let nested = message(1, &message(5, &message(6, &constant)));
    for (graph, name) in [(initializer, "w"), (nested, "c")] {
        let bytes = [&[0x08, 0x08][..], &message(7, &graph)].concat();
        let error = OnnxFile::from_bytes("x.onnx", bytes).unwrap_err().to_string();
        assert!(error.contains(&format!("keeps the numbers of tensor {name} in another file")), "{error}");
    }
}

//! Against the outputs of the original PyTorch code. The reference collection is too large (and partly not ours) to be in
//! the repository: these tests are ignored unless asked for (`make parity`, with its folder in `YOLO9_REFERENCE`), and then
//! demand it.

use std::path::{Path, PathBuf};

use crate::common;
use yolo9::Size;
use yolo9::architecture::{Architecture, Form};
use yolo9::checkpoint::Checkpoint;
use yolo9::config::{Argument, ModelConfig, ModuleKind};
use yolo9::detect::{BoxXyxy, Detection, Engine, Preset};
use yolo9::dysample::Lift;
use yolo9::image::Image;
use yolo9::model::Network;
use yolo9::weights::lifted;

/// The networks of the collection: 20 of the official code, 5 of Ultralytics, 1 of MIT YOLO.
fn networks() -> Vec<PathBuf> {
    let folders = common::folders(&common::reference("golden"));
    assert_eq!(folders.len(), 26);
    folders
}

#[test]
#[ignore = "needs the reference collection (YOLO9_REFERENCE, make parity)"]
fn all_networks_equal_pytorch() {
    networks().iter().for_each(|folder| common::assert_golden(folder));
}

#[test]
#[ignore = "needs the reference collection (YOLO9_REFERENCE, make parity)"]
fn every_layer_of_the_official_networks_equals_pytorch() {
    let mut folders = networks();
    // The other two tools gave outputs only.
    folders.retain(|folder| folder.join("layers.json").exists());
    assert_eq!(folders.len(), 20);
    folders.iter().for_each(|folder| common::assert_layers(folder));
}

/// Cost of yolov7-af (80 classes, 640x640) as the official code printed it. The collection has the network with an
/// eighth of its channels, but for the first convolution, which keeps a quarter. The other thirteen configs are in
/// `src/architecture/cost.rs`.
#[test]
#[ignore = "needs the reference collection (YOLO9_REFERENCE, make parity)"]
fn yolov7_af_costs_what_the_official_code_says() {
    let folder = common::reference("golden/yolov7-af");
    let mut config = ModelConfig::from_file(&folder.join("model.yaml")).unwrap().with_classes(80);
    for row in &mut config.layers {
        let factor = if row.index == 0 { 4 } else { 8 };
        if let (ModuleKind::Conv | ModuleKind::SppCspc, Some(Argument::Int(channels))) =
            (row.module, row.args.first_mut())
        {
            *channels *= factor;
        }
    }
    let architecture = Architecture::new(&config).unwrap();
    let printed = |form| {
        let cost = architecture.cost(Size::square(640), form).unwrap();
        (cost.parameters, format!("{:.1}", cost.gflops()))
    };
    assert_eq!(printed(Form::Training), (43_589_728, "131.2".to_owned()));
    assert_eq!(printed(Form::Fused), (43_564_736, "130.5".to_owned()));
}

/// A detection of the reference files, in pixels of the image.
struct Expected {
    bbox: BoxXyxy,
    class: usize,
    score: f32,
}

/// Images and detections of `coco/detections-*.json`.
fn expected_detections(folder: &Path, file: &str) -> Vec<(String, Vec<Expected>)> {
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap();
    let images = json["results"].as_array().unwrap().iter().map(|image| {
        let detections = image["detections"].as_array().unwrap().iter().map(|detection| {
            let [x1, y1, x2, y2]: [f32; 4] = serde_json::from_value(detection["box"].clone()).unwrap();
            Expected {
                bbox: BoxXyxy { x1, y1, x2, y2 },
                class: detection["cls"].as_u64().unwrap() as usize,
                score: detection["conf"].as_f64().unwrap() as f32,
            }
        });
        (image["image"].as_str().unwrap().to_owned(), detections.collect())
    });
    images.collect()
}

#[test]
#[ignore = "needs the reference collection (YOLO9_REFERENCE, make parity)"]
fn photos_give_the_detections_of_the_original_pipelines() {
    let coco = common::reference("coco");
    for (weights, detections, preset) in [
        ("coco-gelan-t-official.pt", "detections-official.json", Preset::Yolov9),
        ("coco-yolov9t-ultralytics.pt", "detections-ultralytics.json", Preset::Ultralytics),
    ] {
        let network = common::network(&coco.join(weights));
        let mut detector = Engine::new(common::session(&network, 2), common::settings(preset));
        let images = expected_detections(&coco, detections);
        assert_eq!(images.len(), 7);
        for (name, expected) in images {
            let image = Image::open(coco.join("images").join(&name)).unwrap();
            let found = detector.detect(&image.pixels).unwrap().detections;
            assert_same(found, &expected, &format!("{weights}, {name}"));
        }
    }
}

/// Every expected detection is there, and none that is clearly above the threshold beyond them.
fn assert_same(mut found: Vec<Detection>, expected: &[Expected], name: &str) {
    for wanted in expected {
        let best = found.iter().position(|detection| {
            detection.class == wanted.class
                && detection.bbox.iou(&wanted.bbox) >= 0.98
                && (detection.confidence - wanted.score).abs() <= 0.01
        });
        let best = best.unwrap_or_else(|| panic!("{name}: no {} at {:?} among {found:?}", wanted.class, wanted.bbox));
        found.remove(best);
    }
    found.retain(|detection| detection.confidence > 0.27);
    assert!(found.is_empty(), "{name}: beyond the expected ones: {found:?}");
}

/// Lifted to nearest, a network trained with nearest upsampling finds the same boxes and scores, bit for bit.
#[test]
#[ignore = "needs the reference collection (YOLO9_REFERENCE, make parity)"]
fn a_lifted_network_gives_the_same_bits_on_photos() {
    let coco = common::reference("coco");
    let nearest = Checkpoint::open(&coco.join("coco-gelan-t-official.pt")).unwrap();
    let target = ModelConfig::builtin("gelan-t-dysample").unwrap();
    let lifted = lifted(&nearest, &target, Lift::Nearest).unwrap();
    let [mut before, mut after] = [&nearest, &lifted].map(|checkpoint| {
        let network = Network::assemble(checkpoint, None).unwrap();
        // Weak detections too: there are more of them.
        let mut settings = common::official_settings();
        settings.postprocess.confidence_threshold = 0.005;
        Engine::new(common::session(&network, 2), settings)
    });
    let mut compared = 0;
    for photo in std::fs::read_dir(coco.join("images")).unwrap() {
        let image = Image::open(photo.unwrap().path()).unwrap();
        let [before, after] = [&mut before, &mut after].map(|detector| {
            let found = detector.detect(&image.pixels).unwrap().detections;
            let values = |d: &Detection| [d.bbox.x1, d.bbox.y1, d.bbox.x2, d.bbox.y2, d.confidence].map(f32::to_bits);
            found.iter().map(|detection| (detection.class, values(detection))).collect::<Vec<_>>()
        });
        assert_eq!(after, before);
        compared += before.len();
    }
    assert!(compared > 100, "{compared} detections");
}

/// MIT YOLO's own YAML in the place of the inferred config.
#[test]
#[ignore = "needs the reference collection (YOLO9_REFERENCE, make parity)"]
fn a_config_of_mit_yolo_fits_its_weights() {
    let folder = common::reference("golden/mit-v9-t");
    let config = ModelConfig::from_file(&common::data("mit/v9-t.yaml")).unwrap();
    let checkpoint = Checkpoint::open(&folder.join("model.pt")).unwrap();
    common::assert_output(&Network::assemble(&checkpoint, Some(&config)).unwrap(), &folder, "mit-v9-t, own YAML");
}

/// Every form of the same network that is read must give the same output; what is not read must say what it is.
#[test]
#[ignore = "needs the reference collection (YOLO9_REFERENCE, make parity)"]
fn every_form_of_a_checkpoint_is_read_or_named() {
    let formats = common::reference("formats");
    let config = ModelConfig::from_file(&formats.join("model.yaml")).unwrap();
    for name in [
        "f32",
        "channels-last",
        "ema-only",
        "ema-preferred",
        "evil-os-system",
        "state-dict",
        "state-dict-ddp-prefix",
        "unstripped-with-numpy-and-path",
        "legacy-not-zip",
    ] {
        let checkpoint = Checkpoint::open(&formats.join(format!("{name}.pt"))).unwrap();
        let config = name.starts_with("state-dict").then_some(&config);
        let network = Network::assemble(&checkpoint, config).unwrap();
        common::assert_output(&network, &formats, name);
        assert_eq!(checkpoint.warnings().is_empty(), name != "evil-os-system", "{name}: {:?}", checkpoint.warnings());
    }
    let error = Checkpoint::open(&formats.join("torchscript.pt")).unwrap_err().to_string();
    assert!(error.contains("a TorchScript file"), "{error}");
    // The same network again, recognised by its tensors.
    let bare = Checkpoint::open(&formats.join("state-dict.pt")).unwrap();
    common::assert_output(&Network::assemble(&bare, None).unwrap(), &formats, "state-dict, infer_config");
}

//! Labels in YOLO's layout and COCO annotation files, and the scores of what they say.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use yolo9::Size;
use yolo9::detect::Preset;
use yolo9::evaluate::{CocoEvaluation, Dataset, EvalImage, Prediction, confusion, yolo_labels, yolo_metrics};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(labels) = yolo_labels(text, 3)
    {
        assert!(
            labels.iter().all(|(class, shares)| *class < 3 && shares.iter().all(|share| (0.0..=1.001).contains(share)))
        );
    }
    let Ok(dataset) = Dataset::from_coco_json(Path::new("a/b.json"), bytes, None) else { return };
    let classes = dataset.class_names.len();
    let eval_image: Vec<EvalImage> = dataset
        .images
        .iter()
        .map(|image| {
            let ground_truths = image.ground_truths(Size::square(100));
            let predictions =
                ground_truths.iter().map(|truth| Prediction { bbox: truth.bbox, class: truth.class, score: 0.5 });
            EvalImage { predictions: predictions.collect(), ground_truths }
        })
        .collect();
    let _ = CocoEvaluation::new(&eval_image, classes).metrics();
    let _ = yolo_metrics(&eval_image, classes, Preset::Yolov9);
    let _ = yolo_metrics(&eval_image, classes, Preset::Ultralytics);
    let _ = confusion(&eval_image, classes, 0.25, 0.45);
});

//! Labels in YOLO's layout and COCO annotation files, and the scores of what they say.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use yolo9::Size;
use yolo9::evaluate::{CocoEvaluation, Dataset, Judged, Prediction, Style, confusion, yolo_labels, yolo_metrics};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(labels) = yolo_labels(text, 3)
    {
        assert!(labels.iter().all(|(class, shares)| *class < 3 && shares.iter().all(|share| (0.0..=1.001).contains(share))));
    }
    let Ok(dataset) = Dataset::from_coco_json(Path::new("a/b.json"), bytes, None) else { return };
    let classes = dataset.class_names.len();
    let judged: Vec<Judged> = dataset.pictures.iter().map(|picture| {
        let truths = picture.truths(Size::square(100));
        let predictions = truths.iter().map(|truth| Prediction { bbox: truth.bbox, class: truth.class, score: 0.5 });
        Judged { predictions: predictions.collect(), truths }
    }).collect();
    let _ = CocoEvaluation::new(&judged, classes).metrics();
    let _ = yolo_metrics(&judged, classes, Style::Official);
    let _ = yolo_metrics(&judged, classes, Style::Ultralytics);
    let _ = confusion(&judged, classes, 0.25, 0.45);
});

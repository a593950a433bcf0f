//! Detections of another program, as COCO results.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use yolo9::Size;
use yolo9::evaluate::{BoxXywh, Dataset, EvalImage, MAX_OF_ONE, Prediction};
use yolo9::image::{Image, ImageLimits};
use yolo9::untrusted::{FileKind, read};

use super::Evaluated;

/// An entry of a COCO results file.
#[derive(Deserialize)]
struct ResultEntry {
    image_id: Value,
    category_id: u64,
    bbox: [f64; 4],
    score: f64,
}

pub(super) fn evaluate_file(dataset: &Dataset, file: &Path, count_conf: f32) -> anyhow::Result<Evaluated> {
    let shown = file.display();
    let bytes = read(file, FileKind::Dataset).with_context(|| format!("{shown} cannot be read"))?;
    let entries: Vec<ResultEntry> = serde_json::from_slice(&bytes)
        .with_context(|| format!("{shown}: not COCO results, a list of image_id, category_id, bbox and score"))?;
    let places: HashMap<String, usize> =
        dataset.images.iter().enumerate().map(|(n, image)| (image.image_id.to_string(), n)).collect();
    let mut images = Vec::with_capacity(dataset.images.len());
    for image in &dataset.images {
        let size = match image.needs_size() {
            true => Image::size_of_file(&image.path, &ImageLimits::default())
                .with_context(|| format!("{}, whose labels are shares of its size", image.path.display()))?,
            false => Size::square(1),
        };
        let ground_truths = image.ground_truths(size);
        images.push(EvalImage { ground_truths, predictions: Vec::new() });
    }
    for (number, entry) in entries.into_iter().enumerate() {
        let missing = |what: &str, id: &dyn std::fmt::Display| {
            anyhow::anyhow!("{shown}: entry {number} is of {what} {id}, which is not in the dataset")
        };
        let place = places.get(&entry.image_id.to_string()).ok_or_else(|| missing("image", &entry.image_id))?;
        let class = dataset.category_ids.iter().position(|id| *id == entry.category_id);
        let class = class.ok_or_else(|| missing("category", &entry.category_id))?;
        let [x, y, width, height] = entry.bbox;
        let bbox = BoxXywh { x, y, width, height };
        images[*place].predictions.push(Prediction { bbox, class, score: entry.score });
        anyhow::ensure!(
            images[*place].predictions.len() <= MAX_OF_ONE,
            "{shown}: more than {MAX_OF_ONE} detections of image {}; no more can be evaluated",
            entry.image_id
        );
    }
    // The file has its own NMS; the threshold is that of the count.
    let above = |image: &EvalImage| {
        let mut image = image.clone();
        image.predictions.retain(|prediction| prediction.score >= f64::from(count_conf));
        image
    };
    let shown = images.iter().map(above).collect();
    Ok(Evaluated { images, shown, ..Evaluated::default() })
}

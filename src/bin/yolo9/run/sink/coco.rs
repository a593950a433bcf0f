//! `--coco`: an array of detections as COCO's evaluation reads it.

use std::path::Path;

use serde_json::{Value, json};
use yolo9::config::coco_categories;
use yolo9::detect::Detection;
use yolo9::output::ImageResult;

use super::file::{Format, Framing};

pub(super) const COCO: Format = Format { frame: Framing::Array, pieces: entries };

/// `image_id` is the file's name without its extension, as a number where it is one; of a frame with its number, as in
/// `clip#12`. Category ids are those of COCO's own annotation files for its 80 classes, else the class ids.
fn entries(result: &ImageResult<'_>) -> Vec<String> {
    let image_id = image_id(result.source);
    let categories = coco_categories(result.class_names);
    let entry = |Detection { bbox, class, confidence }: &Detection| {
        let corner = [bbox.x1, bbox.y1, bbox.width(), bbox.height()].map(f64::from);
        let category = categories.and_then(|ids| ids.get(*class).copied()).unwrap_or(*class);
        coco_entry(&image_id, Some(result.source), category as u64, corner, f64::from(*confidence)).to_string()
    };
    result.detections.iter().map(entry).collect()
}

/// An entry of COCO results: left, top, width and height in pixels with three decimals, the score with five.
pub(crate) fn coco_entry(
    image_id: &Value,
    file_name: Option<&str>,
    category: u64,
    bbox: [f64; 4],
    score: f64,
) -> Value {
    let rounded = |value: f64, per_unit: f64| (value * per_unit).round() / per_unit;
    let mut entry = json!({ "image_id": image_id });
    if let Some(file_name) = file_name {
        entry["file_name"] = json!(file_name);
    }
    entry["category_id"] = json!(category);
    entry["bbox"] = json!(bbox.map(|value| rounded(value, 1e3)));
    entry["score"] = json!(rounded(score, 1e5));
    entry
}

fn image_id(source: &str) -> Value {
    let stem = |path: &str| Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let frame = source.rsplit_once('#').filter(|(_, number)| number.parse::<u64>().is_ok());
    let stem = frame.map_or_else(|| stem(source), |(video, number)| format!("{}#{number}", stem(video)));
    stem.parse::<u64>().map_or_else(|_| json!(stem), |number| json!(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_and_frame_has_its_id() {
        for (source, id) in [
            ("a/000042.jpg", json!(42)),
            ("a/b.jpg", json!("b")),
            ("clip.mp4#12", json!("clip#12")),
            ("a#b.jpg", json!("a#b")),
        ] {
            assert_eq!(image_id(source), id);
        }
    }
}

//! Files that hold the results of all pictures. Each is written piece by piece in the order of the pictures, so that no
//! run is too long for memory. The schemas are in docs/output-formats.md.

use std::path::Path;

use serde_json::json;

use super::{PictureResult, to_json};
use crate::config::coco_categories;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// One array with an object for each picture.
    Json,
    /// An object for each picture, one a line.
    Jsonl,
    /// A row for each detection.
    Csv,
    /// An array of detections as COCO's evaluation reads it.
    Coco,
}

impl FileFormat {
    /// What stands before the first picture.
    #[must_use]
    pub fn head(self) -> &'static str {
        match self {
            FileFormat::Json | FileFormat::Coco => "[",
            FileFormat::Jsonl => "",
            FileFormat::Csv => "image,class,name,confidence,x1,y1,x2,y2\n",
        }
    }

    /// What is written of one picture. `first` is whether nothing has been written but the head.
    #[must_use]
    pub fn text(self, result: &PictureResult<'_>, first: bool) -> String {
        match self {
            FileFormat::Json => format!("{}{}", separator(first), to_json(result)),
            FileFormat::Jsonl => to_json(result) + "\n",
            FileFormat::Csv => csv_rows(result),
            FileFormat::Coco => coco_entries(result, first),
        }
    }

    /// What stands behind the last picture.
    #[must_use]
    pub fn tail(self, empty: bool) -> &'static str {
        match (self, empty) {
            (FileFormat::Json | FileFormat::Coco, true) => "]\n",
            (FileFormat::Json | FileFormat::Coco, false) => "\n]\n",
            (FileFormat::Jsonl | FileFormat::Csv, _) => "",
        }
    }
}

fn separator(first: bool) -> &'static str {
    if first { "\n" } else { ",\n" }
}

fn csv_rows(result: &PictureResult<'_>) -> String {
    let mut rows = String::new();
    for detection in result.detections {
        let name = result.name_of(detection.class);
        let (image, name) = (csv_field(result.source), csv_field(&name));
        let bbox = &detection.bbox;
        rows += &format!(
            "{image},{},{name},{:.5},{:.3},{:.3},{:.3},{:.3}\n",
            detection.class, detection.score, bbox.x1, bbox.y1, bbox.x2, bbox.y2
        );
    }
    rows
}

/// Quoted where RFC 4180 asks for it. What a spreadsheet would take for a formula gets an apostrophe before it, which
/// spreadsheets know as "this is text" (OWASP: CSV injection).
fn csv_field(text: &str) -> std::borrow::Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        return csv_field(&format!("'{text}")).into_owned().into();
    }
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}

/// `image_id` is the file's name without its extension, as a number where it is one; of a frame with its number, as in
/// `clip#12`. Category ids are those of COCO's own
/// annotation files for its 80 classes, else the class ids.
fn coco_entries(result: &PictureResult<'_>, first: bool) -> String {
    let image_id = image_id(result.source);
    let categories = coco_categories(result.class_names);
    let rounded = |value: f32, per_unit: f64| (f64::from(value) * per_unit).round() / per_unit;
    let mut entries = String::new();
    for detection in result.detections {
        let bbox = &detection.bbox;
        let corner = [bbox.x1, bbox.y1, bbox.width(), bbox.height()].map(|value| rounded(value, 1e3));
        let category = categories.and_then(|ids| ids.get(detection.class).copied()).unwrap_or(detection.class);
        let entry = json!({
            "image_id": image_id,
            "file_name": result.source,
            "category_id": category,
            "bbox": corner,
            "score": rounded(detection.score, 1e5),
        });
        entries += separator(first && entries.is_empty());
        entries += &entry.to_string();
    }
    entries
}

fn image_id(source: &str) -> serde_json::Value {
    let stem = |path: &str| Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let frame = source.rsplit_once('#').filter(|(_, number)| number.parse::<u64>().is_ok());
    let stem = frame.map_or_else(|| stem(source), |(video, number)| format!("{}#{number}", stem(video)));
    stem.parse::<u64>().map_or_else(|_| json!(stem), |number| json!(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Size;
    use crate::detect::{BoxXyxy, Detection};

    fn file(format: FileFormat, names: &[String], sources: &[(&str, usize)]) -> String {
        let bbox = BoxXyxy { x1: 10.0, y1: 20.5, x2: 30.25, y2: 60.0 };
        let detections: Vec<Detection> = (0..2).map(|class| Detection { bbox, class, score: 0.5 }).collect();
        let mut text = format.head().to_owned();
        let mut first = true;
        for (source, count) in sources {
            let (size, input) = (Size::new(100, 200), Size::new(320, 640));
            let detections = &detections[..*count];
            let piece = format.text(&PictureResult { source, size, input, detections, class_names: names }, first);
            first &= piece.is_empty();
            text += &piece;
        }
        text + format.tail(first)
    }

    #[test]
    fn the_schemas_stay() {
        let names = ["cat".to_owned(), "a \"dog\", small".to_owned()];
        let sources = [("empty.jpg", 0), ("a,b/0042.jpg", 2)];
        assert_eq!(
            file(FileFormat::Csv, &names, &sources),
            "image,class,name,confidence,x1,y1,x2,y2\n\
             \"a,b/0042.jpg\",0,cat,0.50000,10.000,20.500,30.250,60.000\n\
             \"a,b/0042.jpg\",1,\"a \"\"dog\"\", small\",0.50000,10.000,20.500,30.250,60.000\n"
        );
        let entry = |id: usize| {
            format!(
                "{{\"image_id\":42,\"file_name\":\"a,b/0042.jpg\",\"category_id\":{id},\
                 \"bbox\":[10.0,20.5,20.25,39.5],\"score\":0.5}}"
            )
        };
        assert_eq!(file(FileFormat::Coco, &names, &sources), format!("[\n{},\n{}\n]\n", entry(0), entry(1)));
        let jsonl = file(FileFormat::Jsonl, &names, &sources);
        assert_eq!(jsonl.lines().count(), 2);
        let array = file(FileFormat::Json, &names, &sources);
        assert_eq!(array, format!("[\n{}\n]\n", jsonl.trim_end().replace('\n', ",\n")));
        for format in [FileFormat::Json, FileFormat::Coco] {
            assert_eq!(file(format, &names, &[]), "[]\n");
            assert!(serde_json::from_str::<serde_json::Value>(&file(format, &names, &sources)).is_ok());
        }
    }

    #[test]
    fn no_name_is_a_formula() {
        for (name, field) in
            [("=1+1.jpg", "'=1+1.jpg"), ("@SUM(1,2)", "\"'@SUM(1,2)\""), ("-o.jpg", "'-o.jpg"), ("a=1.jpg", "a=1.jpg")]
        {
            assert_eq!(csv_field(name), field);
        }
    }

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

    #[test]
    fn the_classes_of_coco_get_its_ids() {
        let mut names: Vec<String> = (0..80).map(|n| n.to_string()).collect();
        (names[0], names[79]) = ("person".into(), "toothbrush".into());
        let text = file(FileFormat::Coco, &names, &[("x.jpg", 2)]);
        assert!(
            text.contains("\"image_id\":\"x\"")
                && text.contains("\"category_id\":1,")
                && text.contains("\"category_id\":2,")
        );
    }
}

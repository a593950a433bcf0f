//! Text: YOLO label files, tab-separated rows, and the line that people know.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::ImageResult;
use crate::untrusted::printable;

/// Lines of a YOLO label file: `class cx cy w h`, normalised to the image, with the confidence last if asked for.
#[must_use]
pub fn yolo_lines(result: &ImageResult<'_>, with_confidence: bool) -> String {
    let (width, height) = (result.size.width as f32, result.size.height as f32);
    let mut lines = String::new();
    for detection in result.detections {
        let bbox = &detection.bbox;
        let (x, y) = ((bbox.x1 + bbox.x2) / 2.0 / width, (bbox.y1 + bbox.y2) / 2.0 / height);
        let (w, h) = (bbox.width() / width, bbox.height() / height);
        let _ = write!(lines, "{} {x:.6} {y:.6} {w:.6} {h:.6}", detection.class);
        if with_confidence {
            let _ = write!(lines, " {:.6}", detection.confidence);
        }
        lines.push('\n');
    }
    lines
}

/// One tab-separated row per detection: source, class name, confidence, x1, y1, x2, y2. Control characters in names are
/// escaped.
#[must_use]
pub fn table_rows(result: &ImageResult<'_>) -> String {
    let mut rows = String::new();
    for detection in result.detections {
        let (bbox, name) = (&detection.bbox, result.name_of(detection.class));
        let (source, name) = (printable(result.source), printable(&name));
        let _ = writeln!(
            rows,
            "{source}\t{name}\t{:.4}\t{:.1}\t{:.1}\t{:.1}\t{:.1}",
            detection.confidence, bbox.x1, bbox.y1, bbox.x2, bbox.y2
        );
    }
    rows
}

/// `640x480 4 persons, 1 bus`: rows by columns of the input, then the counts by class id.
#[must_use]
pub fn summary(result: &ImageResult<'_>) -> String {
    let mut counts = BTreeMap::new();
    for detection in result.detections {
        *counts.entry(detection.class).or_insert(0usize) += 1;
    }
    let counted = |(class, count)| {
        let name = result.name_of(class);
        format!("{count} {}{}", printable(&name), if count > 1 { plural_ending(&name) } else { "" })
    };
    let found: Vec<String> = counts.into_iter().map(counted).collect();
    let found = if found.is_empty() { "(no detections)".to_owned() } else { found.join(", ") };
    format!("{}x{} {found}", result.input.height, result.input.width)
}

/// What several of a class end in: 2 cats, 2 buses, 2 benches, 2 scissors.
fn plural_ending(name: &str) -> &'static str {
    if ["ss", "us", "x", "ch", "sh"].iter().any(|end| name.ends_with(end)) {
        "es"
    } else if name.ends_with('s') {
        ""
    } else {
        "s"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Size;
    use crate::detect::{BoxXyxy, Detection};

    #[test]
    fn formats_of_a_small_result() {
        let bbox = BoxXyxy { x1: 10.0, y1: 20.0, x2: 30.0, y2: 60.0 };
        let of = |class, confidence| Detection { bbox, class, confidence };
        let names = ["cat".to_owned(), "dog".to_owned()];
        let result = ImageResult {
            source: "a b.jpg",
            size: Size::new(100, 200),
            input: Size::new(320, 640),
            detections: &[of(1, 0.875), of(0, 0.5), of(1, 0.25)],
            class_names: &names,
        };
        assert_eq!(summary(&result), "640x320 1 cat, 2 dogs");
        assert_eq!(summary(&ImageResult { detections: &[], ..result }), "640x320 (no detections)");
        let endings = ["bus", "wine glass", "bench", "datamatrix", "skis", "qr"].map(plural_ending);
        assert_eq!(endings, ["es", "es", "es", "es", "", "s"]);
        assert_eq!(yolo_lines(&result, false).lines().next(), Some("1 0.200000 0.200000 0.200000 0.200000"));
        assert_eq!(yolo_lines(&result, true).lines().nth(1), Some("0 0.200000 0.200000 0.200000 0.200000 0.500000"));
        assert_eq!(table_rows(&result).lines().next(), Some("a b.jpg\tdog\t0.8750\t10.0\t20.0\t30.0\t60.0"));
    }
}

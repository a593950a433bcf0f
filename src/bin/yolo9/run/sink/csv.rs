//! `--csv`: a row for each detection.

use std::borrow::Cow;

use yolo9::detect::{BoxXyxy, Detection};
use yolo9::output::ImageResult;

use super::file::{Format, Framing};

pub(super) const CSV: Format =
    Format { frame: Framing::Lines("image,class,name,confidence,x1,y1,x2,y2\n"), pieces: rows };

fn rows(result: &ImageResult<'_>) -> Vec<String> {
    let row = |detection: &Detection| {
        let name = result.name_of(detection.class);
        let (image, name) = (field(result.source), field(&name));
        let Detection { class, confidence, bbox } = detection;
        let BoxXyxy { x1, y1, x2, y2 } = bbox;
        format!("{image},{class},{name},{confidence:.5},{x1:.3},{y1:.3},{x2:.3},{y2:.3}")
    };
    result.detections.iter().map(row).collect()
}

/// Quoted where RFC 4180 asks for it. What a spreadsheet would take for a formula gets an apostrophe before it, which
/// spreadsheets know as "this is text" (OWASP: CSV injection).
fn field(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        return field(&format!("'{text}")).into_owned().into();
    }
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_a_formula() {
        for (name, expected) in
            [("=1+1.jpg", "'=1+1.jpg"), ("@SUM(1,2)", "\"'@SUM(1,2)\""), ("-o.jpg", "'-o.jpg"), ("a=1.jpg", "a=1.jpg")]
        {
            assert_eq!(field(name), expected);
        }
    }
}

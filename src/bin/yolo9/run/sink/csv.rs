//! `--csv`: a row for each detection.

use std::borrow::Cow;

use yolo9::output::ImageResult;

use super::file::Format;

pub(super) struct Csv;

impl Format for Csv {
    fn head(&self) -> &'static str {
        "image,class,name,confidence,x1,y1,x2,y2\n"
    }

    fn text(&self, result: &ImageResult<'_>, _first: bool) -> String {
        let mut rows = String::new();
        for detection in result.detections {
            let name = result.name_of(detection.class);
            let (image, name) = (field(result.source), field(&name));
            let bbox = &detection.bbox;
            rows += &format!(
                "{image},{},{name},{:.5},{:.3},{:.3},{:.3},{:.3}\n",
                detection.class, detection.confidence, bbox.x1, bbox.y1, bbox.x2, bbox.y2
            );
        }
        rows
    }

    fn tail(&self, _empty: bool) -> &'static str {
        ""
    }
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

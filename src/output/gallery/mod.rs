//! A page to look through the results of a run: thumbnails with boxes, filters by class and confidence. It loads nothing
//! from the network. The data of many images lie in parts beside the page, so that it stays small.

use base64::prelude::{BASE64_STANDARD, Engine};
use image::RgbImage;
use serde_json::json;

use super::{FileError, ImageResult, css_colour, encode_thumbnail};

const PAGE: &str = include_str!("page.html");

/// Longest side of a thumbnail in pixels.
const THUMBNAIL: u32 = 320;

/// Images in one part of the data.
pub const GALLERY_PART: usize = 200;

/// An image small enough for a gallery, as JPEG.
///
/// # Errors
/// [`FileError::Encode`].
pub fn thumbnail(image: &RgbImage) -> Result<Vec<u8>, FileError> {
    let (width, height) = image.dimensions();
    let longest = width.max(height);
    if longest <= THUMBNAIL {
        return encode_thumbnail(image);
    }
    let side = |side: u32| (u64::from(side) * u64::from(THUMBNAIL)).div_ceil(u64::from(longest)) as u32;
    encode_thumbnail(&image::imageops::thumbnail(image, side(width), side(height)))
}

/// What a gallery shows of one image.
#[derive(Debug, Clone)]
pub struct GalleryImage {
    entry: Vec<serde_json::Value>,
}

impl GalleryImage {
    /// `drawn` is the image with its boxes, and `original` its file, both relative to the page, if there are such.
    #[must_use]
    pub fn new(result: &ImageResult<'_>, drawn: Option<&str>, original: Option<&str>) -> Self {
        let boxes = result.detections.iter().map(|detection| {
            let score = (f64::from(detection.confidence) * 1e3).round() / 1e3;
            let bbox = &detection.bbox;
            let [x1, y1, x2, y2] = [bbox.x1, bbox.y1, bbox.x2, bbox.y2].map(|edge| edge.round() as i64);
            json!([detection.class, score, x1, y1, x2, y2])
        });
        let boxes: Vec<_> = boxes.collect();
        let [drawn, original] = [drawn, original].map(|file| file.map(address));
        Self {
            entry: vec![
                json!(result.source),
                json!(drawn),
                json!(result.size.width),
                json!(result.size.height),
                json!(null),
                json!(boxes),
                json!(original),
            ],
        }
    }

    /// With the thumbnail as a file beside the page.
    #[must_use]
    pub fn linked(mut self, thumbnail: &str) -> Self {
        self.entry[4] = json!(address(thumbnail));
        self
    }

    /// With the thumbnail, a JPEG file, inside the page.
    #[must_use]
    pub fn embedded(mut self, thumbnail: &[u8]) -> Self {
        self.entry[4] = json!(format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(thumbnail)));
        self
    }
}

/// A script that adds images to the page: a part of the data.
#[must_use]
pub fn gallery_part(images: &[GalleryImage]) -> String {
    let entries: Vec<_> = images.iter().map(|image| &image.entry).collect();
    format!("gallery.add({});\n", in_script(&json!(entries)))
}

/// What a gallery says of its run.
#[derive(Debug, Clone, Copy)]
pub struct GalleryAbout<'a> {
    /// Lines below the title: counts, model, thresholds.
    pub lines: &'a [String],
    /// Class names by id.
    pub class_names: &'a [String],
    /// Images in the gallery.
    pub total: usize,
    /// Files of data beside the page.
    pub parts: usize,
    /// Images that could not be processed, with the reason.
    pub failures: &'a [(String, String)],
}

/// The page. `inside` are the images that it has itself.
///
/// # Panics
/// Never: the template has a place for both.
#[must_use]
pub fn gallery_page(about: &GalleryAbout<'_>, inside: &[GalleryImage]) -> String {
    let colours: Vec<String> = (0..about.class_names.len()).map(css_colour).collect();
    let about = json!({
        "lines": about.lines,
        "classes": about.class_names,
        "colours": colours,
        "total": about.total,
        "parts": about.parts,
        "failures": about.failures,
    });
    let inside = if inside.is_empty() { String::new() } else { gallery_part(inside) };
    // Both places are found in the template, not in what is put into it.
    let (head, rest) = PAGE.split_once("/*ABOUT*/null").expect("the template has a place for what it is about");
    let (middle, tail) = rest.split_once("/*IMAGES*/").expect("the template has a place for images");
    [head, &in_script(&about), middle, &inside, tail].concat()
}

/// JSON that cannot end the script that it stands in.
fn in_script(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// A relative path as an address: everything but letters, digits and some marks escaped (RFC 3986).
#[must_use]
pub fn address(path: &str) -> String {
    let mut address = String::with_capacity(path.len());
    // A backslash is a separator on Windows, and part of a name elsewhere.
    for byte in path.replace(std::path::MAIN_SEPARATOR, "/").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => address.push(byte.into()),
            _ => address += &format!("%{byte:02X}"),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Size;
    use crate::detect::{BoxXyxy, Detection};

    fn image(source: &str) -> GalleryImage {
        let bbox = BoxXyxy { x1: 1.4, y1: 2.6, x2: 30.0, y2: 40.0 };
        let detections = [Detection { bbox, class: 0, confidence: 0.87654 }];
        let size = Size::new(100, 50);
        let result = ImageResult { source, size, input: size, detections: &detections, class_names: &[] };
        GalleryImage::new(&result, Some("a b/#1.jpg"), Some("../in/a b/#1.jpg"))
    }

    #[test]
    fn the_data_of_a_image_stay() {
        let part = gallery_part(&[image("a b/#1.jpg").linked("gallery/thumbs/a b/#1.jpg.jpg")]);
        assert_eq!(
            part,
            "gallery.add([[\"a b/#1.jpg\",\"a%20b/%231.jpg\",100,50,\"gallery/thumbs/a%20b/%231.jpg.jpg\",\
             [[0,0.877,1,3,30,40]],\"../in/a%20b/%231.jpg\"]]);\n"
        );
    }

    #[test]
    fn no_name_can_break_out_of_the_page() {
        let names = ["</script><b>".to_owned()];
        let failures = [("</script>".to_owned(), "<img onerror=alert(1)>".to_owned())];
        let about = GalleryAbout { lines: &names, class_names: &names, total: 1, parts: 0, failures: &failures };
        let page = gallery_page(&about, &[image("</script><script>alert(1)</script>").embedded(b"x")]);
        assert_eq!(page.matches("</script").count(), PAGE.matches("</script").count());
        assert!(page.contains("data:image/jpeg;base64,eA==") && page.contains("\\u003c/script>"));
        assert!(!page.contains("/*ABOUT*/") && !page.contains("/*IMAGES*/"));
        assert!(!PAGE.contains("http://") || PAGE.matches("http").count() == PAGE.matches("www.w3.org").count());
    }

    #[test]
    fn thumbnails_keep_the_proportions() {
        for ((width, height), expected) in [((1280, 960), (320, 240)), ((100, 50), (100, 50)), ((4000, 2), (320, 1))] {
            let bytes = thumbnail(&RgbImage::new(width, height)).unwrap();
            let small = image::load_from_memory(&bytes).unwrap();
            assert_eq!((small.width(), small.height()), expected);
        }
    }
}

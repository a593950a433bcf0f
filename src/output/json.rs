//! JSON: one object per image, in an array or one a line.
//!
//! ```json
//! {"image": "a.jpg", "width": 1280, "height": 960, "input": {"width": 640, "height": 480},
//!  "detections": [{"class": 0, "name": "person", "confidence": 0.91074,
//!                  "box": {"x1": 48.7, "y1": 396.518, "x2": 245.125, "y2": 904.141}}]}
//! ```
//!
//! Boxes are in pixels of the image after its EXIF orientation, with three decimals; the confidence has five. There is
//! no time in it: two runs give the same bytes.

use serde::Serialize;

use super::ImageResult;
use crate::Size;

#[derive(Serialize)]
struct Image<'a> {
    image: &'a str,
    width: usize,
    height: usize,
    input: Sides,
    detections: Vec<Object<'a>>,
}

#[derive(Serialize)]
struct Sides {
    width: usize,
    height: usize,
}

#[derive(Serialize)]
struct Object<'a> {
    class: usize,
    name: std::borrow::Cow<'a, str>,
    confidence: f64,
    r#box: Corners,
}

#[derive(Serialize)]
struct Corners {
    x1: f64,
    y1: f64,
    x2: f64,
    y2: f64,
}

/// The object of one image.
///
/// # Panics
/// Never: numbers and text can always be written as JSON.
#[must_use]
pub fn to_json(result: &ImageResult<'_>) -> String {
    let pixels = |value: f32| rounded(value, 1e3);
    let detections = result.detections.iter().map(|detection| Object {
        class: detection.class,
        name: result.name_of(detection.class),
        confidence: rounded(detection.confidence, 1e5),
        r#box: Corners {
            x1: pixels(detection.bbox.x1),
            y1: pixels(detection.bbox.y1),
            x2: pixels(detection.bbox.x2),
            y2: pixels(detection.bbox.y2),
        },
    });
    let Size { width, height } = result.input;
    let image = Image {
        image: result.source,
        width: result.size.width,
        height: result.size.height,
        input: Sides { width, height },
        detections: detections.collect(),
    };
    serde_json::to_string(&image).expect("numbers and text always serialise")
}

fn rounded(value: f32, per_unit: f64) -> f64 {
    (f64::from(value) * per_unit).round() / per_unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{BoxXyxy, Detection};

    #[test]
    fn the_schema_stays() {
        let names = ["qr \"x\"".to_owned()];
        let bbox = BoxXyxy { x1: 0.1, y1: 1.0, x2: 2.34567, y2: 3.0 };
        let result = ImageResult {
            source: "a.jpg",
            size: Size::new(4, 3),
            input: Size::new(64, 32),
            detections: &[Detection { bbox, class: 0, confidence: 0.910_742 }],
            class_names: &names,
        };
        assert_eq!(
            to_json(&result),
            "{\"image\":\"a.jpg\",\"width\":4,\"height\":3,\"input\":{\"width\":64,\"height\":32},\"detections\":\
             [{\"class\":0,\"name\":\"qr \\\"x\\\"\",\"confidence\":0.91074,\"box\":\
             {\"x1\":0.1,\"y1\":1.0,\"x2\":2.346,\"y2\":3.0}}]}"
        );
        assert_eq!(
            to_json(&ImageResult { detections: &[], ..result }),
            "{\"image\":\"a.jpg\",\"width\":4,\"height\":3,\"input\":{\"width\":64,\"height\":32},\"detections\":[]}"
        );
    }
}

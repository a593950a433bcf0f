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

use serde_json::json;

use super::ImageResult;
use crate::detect::Detection;

/// The object of one image.
#[must_use]
pub fn to_json(result: &ImageResult<'_>) -> String {
    let object = |Detection { bbox, class, confidence }: &Detection| {
        let [x1, y1, x2, y2] = [bbox.x1, bbox.y1, bbox.x2, bbox.y2].map(|edge| rounded(edge, 1e3));
        json!({
            "class": class,
            "name": result.name_of(*class),
            "confidence": rounded(*confidence, 1e5),
            "box": { "x1": x1, "y1": y1, "x2": x2, "y2": y2 },
        })
    };
    let (size, input) = (result.size, result.input);
    json!({
        "image": result.source,
        "width": size.width,
        "height": size.height,
        "input": { "width": input.width, "height": input.height },
        "detections": result.detections.iter().map(object).collect::<Vec<_>>(),
    })
    .to_string()
}

fn rounded(value: f32, per_unit: f64) -> f64 {
    (f64::from(value) * per_unit).round() / per_unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Size;
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

//! What was found, cut out.

use image::RgbImage;
use image::imageops::crop_imm;

use super::PictureResult;

/// One object of a picture.
#[derive(Debug, Clone)]
pub struct Crop {
    /// Name of its class, as a folder can be called.
    pub class: String,
    /// The pixels inside its box.
    pub pixels: RgbImage,
}

/// The inside of every box, by falling score. Boxes without a whole pixel give none.
pub fn crops<'a>(picture: &'a RgbImage, result: &'a PictureResult<'_>) -> impl Iterator<Item = Option<Crop>> + 'a {
    result.detections.iter().map(|detection| {
        let bbox = &detection.bbox;
        let (left, top) = (bbox.x1.floor().max(0.0) as u32, bbox.y1.floor().max(0.0) as u32);
        let (right, bottom) =
            ((bbox.x2.ceil() as u32).min(picture.width()), (bbox.y2.ceil() as u32).min(picture.height()));
        (right > left && bottom > top).then(|| Crop {
            class: folder_name(&result.name_of(detection.class)),
            pixels: crop_imm(picture, left, top, right - left, bottom - top).to_image(),
        })
    })
}

/// Names of classes can hold what names of folders cannot.
fn folder_name(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_alphanumeric() || " ._-".contains(c) { c } else { '_' }).collect();
    match plain.trim_matches(['.', ' ']) {
        "" => "_".into(),
        trimmed => trimmed.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Size;
    use crate::detect::{BoxXyxy, Detection};

    #[test]
    fn boxes_are_cut_out_to_whole_pixels() {
        let picture = RgbImage::from_fn(8, 6, |x, y| image::Rgb([x as u8, y as u8, 0]));
        let of = |x1, y1, x2, y2| Detection { bbox: BoxXyxy { x1, y1, x2, y2 }, class: 0, score: 0.5 };
        let result = PictureResult {
            source: "a.jpg",
            size: Size::new(8, 6),
            input: Size::new(32, 32),
            detections: &[of(1.2, 2.0, 3.9, 4.1), of(7.0, 5.0, 8.0, 6.0), of(3.0, 3.0, 3.0, 5.0)],
            class_names: &["../a/b".to_owned()],
        };
        let crops: Vec<Option<Crop>> = crops(&picture, &result).collect();
        let first = crops[0].as_ref().unwrap();
        assert_eq!(
            (first.class.as_str(), first.pixels.dimensions(), first.pixels[(0, 0)].0),
            ("_a_b", (3, 3), [1, 2, 0])
        );
        assert_eq!(crops[1].as_ref().unwrap().pixels.dimensions(), (1, 1));
        assert!(crops[2].is_none());
    }
}

//! What was found, cut out.

use std::path::{Path, PathBuf};

use image::RgbImage;
use image::imageops::crop_imm;

use super::ImageResult;
use crate::Size;
use crate::detect::BoxXyxy;

/// The inside of every box, by falling confidence. Boxes without a whole pixel give none.
pub fn crops<'a>(image: &'a RgbImage, result: &'a ImageResult<'_>) -> impl Iterator<Item = Option<RgbImage>> + 'a {
    let size = Size::new(image.width() as usize, image.height() as usize);
    result.detections.iter().map(move |detection| {
        let (left, top, width, height) = inside(&detection.bbox, size)?;
        Some(crop_imm(image, left, top, width, height).to_image())
    })
}

/// Where the crops of an image lie below the folder for crops, for an image whose files lie at `place`:
/// `<class>/<image>.1.jpg`, `<image>.2.jpg` and so on by falling confidence. Boxes without a whole pixel have none.
pub fn crop_places<'a>(result: &'a ImageResult<'_>, place: &'a Path) -> impl Iterator<Item = Option<PathBuf>> + 'a {
    let stem = place.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let extension = place.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    result.detections.iter().enumerate().map(move |(number, detection)| {
        inside(&detection.bbox, result.size)?;
        let class = folder_name(&result.name_of(detection.class));
        Some(Path::new(&class).join(place.with_file_name(format!("{stem}.{}{extension}", number + 1))))
    })
}

/// Left, top, width and height of the whole pixels that a box touches.
fn inside(bbox: &BoxXyxy, size: Size) -> Option<(u32, u32, u32, u32)> {
    let (left, top) = (bbox.x1.floor().max(0.0) as u32, bbox.y1.floor().max(0.0) as u32);
    let (right, bottom) =
        ((bbox.x2.ceil() as u32).min(size.width as u32), (bbox.y2.ceil() as u32).min(size.height as u32));
    (right > left && bottom > top).then(|| (left, top, right - left, bottom - top))
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
    use crate::detect::Detection;

    #[test]
    fn boxes_are_cut_out_to_whole_pixels() {
        let image = RgbImage::from_fn(8, 6, |x, y| image::Rgb([x as u8, y as u8, 0]));
        let of = |x1, y1, x2, y2| Detection { bbox: BoxXyxy { x1, y1, x2, y2 }, class: 0, confidence: 0.5 };
        let result = ImageResult {
            source: "a.jpg",
            size: Size::new(8, 6),
            input: Size::new(32, 32),
            detections: &[of(1.2, 2.0, 3.9, 4.1), of(7.0, 5.0, 8.0, 6.0), of(3.0, 3.0, 3.0, 5.0)],
            class_names: &["../a/b".to_owned()],
        };
        let crops: Vec<Option<RgbImage>> = crops(&image, &result).collect();
        let first = crops[0].as_ref().unwrap();
        assert_eq!((first.dimensions(), first[(0, 0)].0), ((3, 3), [1, 2, 0]));
        assert_eq!(crops[1].as_ref().unwrap().dimensions(), (1, 1));
        assert!(crops[2].is_none());
        let places: Vec<Option<PathBuf>> = crop_places(&result, Path::new("b/a.jpg")).collect();
        assert_eq!(places, [Some("_a_b/b/a.1.jpg".into()), Some("_a_b/b/a.2.jpg".into()), None]);
    }
}

//! Resizing against images that cv2 5.0 resized (tests/reference/resize.py).

use std::path::{Path, PathBuf};

use image::{RgbImage, imageops};
use yolo9::Size;
use yolo9::image::{resize_area, resize_bilinear};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/resize")
}

fn source() -> RgbImage {
    image::open(folder().join("source.png")).unwrap().into_rgb8()
}

/// The images of a case, `KIND-WIDTHxHEIGHT.png`.
fn expected(kind: &str) -> Vec<(Size, RgbImage)> {
    let images = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let of_kind = images.filter(|path| path.file_stem().is_some_and(|s| s.to_str().unwrap().starts_with(kind)));
    let read = |path: PathBuf| {
        let image = image::open(&path).unwrap().into_rgb8();
        (Size::new(image.width() as usize, image.height() as usize), image)
    };
    of_kind.map(read).collect()
}

#[test]
fn every_pixel_equals_opencv() {
    let cases = expected("to-");
    assert_eq!(cases.len(), 6);
    for (size, expected) in cases {
        assert_eq!(resize_bilinear(&source(), size).as_raw(), expected.as_raw(), "{size}");
    }
}

#[test]
fn shrinking_by_area_equals_opencv() {
    let cases = expected("area-");
    assert_eq!(cases.len(), 7);
    for (size, expected) in cases {
        assert_eq!(resize_area(&source(), size).as_raw(), expected.as_raw(), "{size}");
    }
    for (kind, factor) in [("half-", 2), ("third-", 3)] {
        let (size, expected) = expected(kind).remove(0);
        let source = source();
        let part = imageops::crop_imm(&source, 0, 0, (size.width * factor) as u32, (size.height * factor) as u32);
        assert_eq!(resize_area(&part.to_image(), size).as_raw(), expected.as_raw(), "{kind}");
    }
}

//! Resizing against images that cv2 5.0 resized (tests/reference/resize.py).

use yolo9::Size;
use yolo9::image::resize_bilinear;

#[test]
fn every_pixel_equals_opencv() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/resize");
    let source = image::open(folder.join("source.png")).unwrap().into_rgb8();
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let Some(size) = path.file_stem().and_then(|stem| stem.to_str()?.strip_prefix("to-")) else { continue };
        let expected = image::open(&path).unwrap().into_rgb8();
        let size_of = Size::new(expected.width() as usize, expected.height() as usize);
        assert_eq!(size, size_of.to_string());
        assert_eq!(resize_bilinear(&source, size_of).as_raw(), expected.as_raw(), "{}", path.display());
        cases += 1;
    }
    assert_eq!(cases, 6);
}

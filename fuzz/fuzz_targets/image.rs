//! Decoders of images under limits: run with `-rss_limit_mb=512`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yolo9::Size;
use yolo9::detect::Preset;
use yolo9::picture::{Fit, ImageLimits, InputShape, Undecoded};

fuzz_target!(|bytes: &[u8]| {
    let limits = ImageLimits { max_pixels: 50_000_000, max_bytes: 100_000_000 };
    let fit = Fit::new(Size::square(64), 32, InputShape::Rectangular, Preset::Yolov9.scale_back());
    for fit in [None, Some(&fit)] {
        let Ok(undecoded) = Undecoded::read(bytes, &limits, fit) else { continue };
        assert!(undecoded.memory() <= limits.max_bytes);
        if let Ok(picture) = undecoded.decode() {
            assert!(picture.size().area() <= limits.max_pixels);
        }
    }
});

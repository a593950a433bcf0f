//! Decoders of images under limits: run with `-rss_limit_mb=512`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yolo9::image::{ImageLimits, Undecoded};

fuzz_target!(|bytes: &[u8]| {
    let limits = ImageLimits::default().max_pixels(50_000_000).max_bytes(100_000_000);
    let Ok(undecoded) = Undecoded::read(bytes, &limits) else { return };
    assert!(undecoded.memory <= limits.max_bytes);
    if let Ok(image) = undecoded.decode() {
        assert!(image.size().area() <= limits.max_pixels);
    }
});

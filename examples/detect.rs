//! Detects the objects of one image, and draws them.
//!
//! ```text
//! cargo run --release --example detect -- models/codes-dysample.safetensors models/sample-parcels.jpg drawn.jpg
//! ```
#![allow(clippy::print_stdout, reason = "an example shows its results")]

use yolo9::output::{AnnotateOptions, encode_image};
use yolo9::{Detector, Image};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, image, drawn] = arguments.as_slice() else { return Err("expected WEIGHTS IMAGE DRAWN".into()) };

    let mut detector = Detector::builder(weights).confidence_threshold(0.4).build()?;
    let mut image = Image::open(image)?;
    let detections = detector.detect(&image)?;
    for d in &detections {
        println!("{} {:.2} {:?}", d.class_name, d.confidence, d.bbox);
    }

    detections.annotate(&mut image, &AnnotateOptions::default());
    std::fs::write(drawn, encode_image(&image.pixels, image.format)?)?;
    Ok(())
}

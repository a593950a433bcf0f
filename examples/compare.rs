//! What two models make of the same image: which boxes agree, which moved, which one of them lacks.
//!
//! ```text
//! cargo run --release --example compare -- \
//!     models/codes-nearest.safetensors models/codes-dysample.safetensors models/sample-parcels.jpg
//! ```
#![allow(clippy::print_stdout, reason = "an example shows its results")]

use yolo9::compare::{Change, compare_detections};
use yolo9::{Detector, Image};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [a, b, image] = arguments.as_slice() else { return Err("expected WEIGHTS WEIGHTS IMAGE".into()) };

    let image = Image::open(image)?;
    let (a, b) = (Detector::open(a)?.detect(&image)?, Detector::open(b)?.detect(&image)?);
    let compared = compare_detections(a.as_slice(), b.as_slice());
    for change in Change::ALL {
        let count = compared.iter().filter(|compared| compared.change == change).count();
        println!("{:<20} {count}", change.name());
    }
    Ok(())
}

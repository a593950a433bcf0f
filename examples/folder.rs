//! Detects the objects of all JPEG files of a folder, four images in one run of the network.
//!
//! ```text
//! cargo run --release --example folder -- models/codes-dysample.safetensors models/parcels/images
//! ```
#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::path::PathBuf;

use yolo9::{Detector, Image};

const BATCH: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, folder] = arguments.as_slice() else { return Err("expected WEIGHTS FOLDER".into()) };
    let entries = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<Result<Vec<PathBuf>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    paths.sort();

    let mut detector = Detector::open(weights)?;
    for batch in paths.chunks(BATCH) {
        let images = batch.iter().map(Image::open).collect::<Result<Vec<Image>, _>>()?;
        let results = detector.detect_batch(&images)?;
        for (path, detections) in batch.iter().zip(&results) {
            println!("{}: {} objects", path.display(), detections.len());
        }
    }
    println!("input of the last run: {:?}", detector.last_input_shape());
    Ok(())
}

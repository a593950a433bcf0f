//! DySample on an ndarray, without a network: upsamples a feature map at given offsets.
//!
//! ```text
//! cargo run --release --example dysample
//! ```
#![allow(clippy::print_stdout, reason = "an example shows its results")]

use ndarray::{Array4, s};
use yolo9::dysample::{Definition, DySampleStyle, init_pos, upsample};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // One channel of 2x3 positions, twice as many rows and columns afterwards.
    let map = Array4::from_shape_fn((1, 1, 2, 3), |(_, _, row, column)| (10 * row + column) as f32);
    let definition = Definition { channels: 1, scale: 2, style: DySampleStyle::Lp, groups: 1, dyscope: false };

    // The initial offsets are those of bilinear upsampling; a trained module moves them with the map.
    let initial = Array4::from_shape_vec((1, 8, 1, 1), init_pos(&definition))?;
    let offsets = initial.broadcast((1, 8, 2, 3)).ok_or("the offsets are one set for each position")?.to_owned();
    let bilinear = upsample(map.view(), offsets.view(), definition.scale, definition.groups)?;
    println!("bilinear:\n{}", bilinear.slice(s![0, 0, .., ..]));

    // All points a position to the right.
    let mut moved = offsets;
    moved.slice_mut(s![.., ..4, .., ..]).mapv_inplace(|x| x + 1.0);
    let moved = upsample(map.view(), moved.view(), definition.scale, definition.groups)?;
    println!("moved:\n{}", moved.slice(s![0, 0, .., ..]));
    Ok(())
}

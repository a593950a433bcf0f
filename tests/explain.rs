//! What DySample does to an image, drawn.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod common;

use common::workdir::{Workdir, stdout};

#[test]
fn every_dysample_is_drawn_and_described() {
    let place = Workdir::new();
    let text = stdout(&place.succeeds("explain"));
    let rows: Vec<&str> = text.lines().collect();
    assert!(
        rows[0].starts_with("layer 10: 20x15 to 40x30 positions, 4 groups")
            && rows[1].starts_with("layer 13: 40x30 to 80x60")
    );
    assert!(!text.contains("not dynamic"), "{text}");
    let sheet = image::open(place.path("sample-parcels-explained.png")).unwrap().into_rgb8();
    assert_eq!(sheet.width(), 4 * 450 + 10);
    // More than paper and ink.
    let colours: std::collections::HashSet<[u8; 3]> = sheet.pixels().map(|pixel| pixel.0).collect();
    assert!(colours.len() > 1000, "{}", colours.len());
    place.fails("explain", 1);
}

#[test]
fn a_lifted_module_moves_nowhere_and_others_are_refused() {
    let place = Workdir::new();
    place.succeeds("convert codes-nearest --to codes-dysample --lift nearest -o lifted.safetensors");
    let text = stdout(&place.succeeds("explain --weights lifted.safetensors -o x.jpg"));
    assert_eq!(text.matches("it is not dynamic").count(), 2, "{text}");
    // In the middle of each position, a quarter of it from each point of bilinear upsampling in both directions.
    assert_eq!(text.matches("points lie 0.354 positions").count(), 2, "{text}");
    assert!(place.path("x.jpg").is_file());
    place.fails("explain --weights codes-nearest", 1);
    place.fails("explain -o x.gif", 1);
    place.fails("explain none.jpg", 1);
}

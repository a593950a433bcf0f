//! What the sheets of one network and of two have in common: tiles in rows, feature maps as colours, boxes on the image.

use image::{Rgb, RgbImage, imageops};
use ndarray::Array2;
use yolo9::output::{Mark, draw_marks, write_text};

/// Width of a tile.
pub(super) const TILE: u32 = 440;
const GAP: u32 = 10;
const CAPTION: u32 = 26;
const TITLE: u32 = 34;
pub(super) const COLUMNS: u32 = 4;

/// Height of a line of text.
const LINE: u32 = 22;

pub(super) const PAPER: Rgb<u8> = Rgb([255, 255, 255]);

/// Images with captions below titles, and text.
pub(super) struct Sheet {
    pub(super) image: RgbImage,
    /// Height of a tile.
    pub(super) height: u32,
}

impl Sheet {
    /// For tiles of the proportions of a network's input. Begins with the image, on which marks are drawn, and lines of
    /// text beside it, each with the colour of what it explains, if it has one.
    pub(super) fn new(input: &RgbImage, marks: &[Mark], title: &str, lines: &[(Option<Rgb<u8>>, String)]) -> Self {
        let height = (u64::from(input.height()) * u64::from(TILE) / u64::from(input.width())).max(1) as u32;
        let block = TITLE + height.max(LINE * lines.len() as u32) + GAP;
        let image = RgbImage::from_pixel(COLUMNS * (TILE + GAP) + GAP, block + GAP, PAPER);
        let mut sheet = Self { image, height };
        write_text(&mut sheet.image, (GAP as i32, 8), 21.0, title);
        let mut marked = input.clone();
        draw_marks(&mut marked, marks, None);
        let small = imageops::resize(&marked, TILE, height, imageops::FilterType::Triangle);
        imageops::replace(&mut sheet.image, &small, i64::from(GAP), i64::from(TITLE));
        for (n, (colour, line)) in lines.iter().enumerate() {
            let (x, y) = (2 * GAP + TILE, TITLE + LINE * n as u32);
            if let Some(colour) = colour {
                let swatch = RgbImage::from_pixel(14, 14, *colour);
                imageops::replace(&mut sheet.image, &swatch, i64::from(x), i64::from(y + 2));
            }
            write_text(&mut sheet.image, (x as i32 + 24, y as i32), 17.0, line);
        }
        sheet
    }

    /// Adds tiles below a title, in rows of four.
    pub(super) fn block(&mut self, title: &str, tiles: &[(String, RgbImage)]) {
        let rows = (tiles.len() as u32).div_ceil(COLUMNS);
        let top = self.image.height();
        let row = self.height + CAPTION + GAP;
        let mut taller = RgbImage::from_pixel(self.image.width(), top + TITLE + rows * row, PAPER);
        imageops::replace(&mut taller, &self.image, 0, 0);
        write_text(&mut taller, (GAP as i32, top as i32 + 8), 21.0, title);
        for (place, (caption, tile)) in tiles.iter().enumerate() {
            let (column, line) = (place as u32 % COLUMNS, place as u32 / COLUMNS);
            let (x, y) = (GAP + column * (TILE + GAP), top + TITLE + line * row);
            write_text(&mut taller, (x as i32, y as i32 + 3), 16.0, caption);
            imageops::replace(&mut taller, tile, i64::from(x), i64::from(y + CAPTION));
        }
        self.image = taller;
    }
}

/// Lowest and highest value of all.
pub(super) fn range_of(maps: &[&Array2<f32>]) -> (f32, f32) {
    let values = maps.iter().flat_map(|map| map.iter());
    values.fold((f32::MAX, f32::MIN), |(low, high), value| (low.min(*value), high.max(*value)))
}

/// Dark blue over green to yellow, as `viridis`, positions as squares.
pub(super) fn coloured(map: &Array2<f32>, (low, high): (f32, f32), height: u32) -> RgbImage {
    const ANCHORS: [[f32; 3]; 5] =
        [[68.0, 1.0, 84.0], [59.0, 82.0, 139.0], [33.0, 145.0, 140.0], [94.0, 201.0, 98.0], [253.0, 231.0, 37.0]];
    let (rows, columns) = map.dim();
    let small = RgbImage::from_fn(columns as u32, rows as u32, |x, y| {
        let share = ((map[[y as usize, x as usize]] - low) / (high - low).max(1e-12)).clamp(0.0, 1.0) * 4.0;
        let below = (share.floor() as usize).min(3);
        let mixed = |channel: usize| {
            let (a, b) = (ANCHORS[below][channel], ANCHORS[below + 1][channel]);
            (a + (b - a) * (share - below as f32)).round() as u8
        };
        Rgb([mixed(0), mixed(1), mixed(2)])
    });
    imageops::resize(&small, TILE, height, imageops::FilterType::Nearest)
}

//! One sheet: for each module where it samples, and the maps before and after.

use image::{Rgb, RgbImage, imageops};
use imageproc::drawing::{draw_filled_circle_mut, draw_hollow_rect_mut, draw_line_segment_mut};
use imageproc::rect::Rect;
use ndarray::{Array2, s};
use yolo9::output::write_text;

use super::Explained;

/// Width of a tile.
const TILE: u32 = 440;
const GAP: u32 = 10;
const CAPTION: u32 = 26;
const TITLE: u32 = 34;
const COLUMNS: u32 = 4;

/// Positions across and down in the enlarged part.
const ZOOM: (usize, usize) = (8, 6);

const PAPER: Rgb<u8> = Rgb([255, 255, 255]);

pub(super) fn sheet(input: &RgbImage, modules: &[Explained]) -> RgbImage {
    let height = (u64::from(input.height()) * u64::from(TILE) / u64::from(input.width())).max(1) as u32;
    let block = TITLE + 2 * (height + CAPTION + GAP);
    let mut sheet = RgbImage::from_pixel(COLUMNS * (TILE + GAP) + GAP, modules.len() as u32 * block + GAP, PAPER);
    for (number, module) in modules.iter().enumerate() {
        let top = number as u32 * block;
        let (columns, rows) = module.positions;
        let title = format!(
            "DySample of layer {}: {columns}x{rows} positions become {}x{}, {} groups of channels; points vary by {:.3} positions over the image",
            module.layer,
            columns * module.scale,
            rows * module.scale,
            module.groups,
            module.variation()
        );
        write_text(&mut sheet, (GAP as i32, top as i32 + 8), 21.0, &title);
        let most = module.difference.iter().fold(1e-12f32, |most, value| most.max(*value));
        let range = range_of(&[&module.nearest, &module.bilinear, &module.output]);
        let zoom = busiest(module);
        let (arrows, factor) = arrows(input, module, height, zoom);
        let tiles = [
            (format!("how points move with the image, {factor:.0} times as far"), arrows),
            ("the framed positions: from bilinear to true points".into(), enlarged(input, module, height, zoom)),
            ("the same for each group: colour is direction".into(), fields(module, height)),
            ("the map that is upsampled".into(), coloured(&module.input, range_of(&[&module.input]), height)),
            ("nearest".into(), coloured(&module.nearest, range, height)),
            ("bilinear".into(), coloured(&module.bilinear, range, height)),
            ("DySample".into(), coloured(&module.output, range, height)),
            ("DySample − nearest".into(), coloured(&module.difference, (0.0, most), height)),
        ];
        for (place, (caption, tile)) in tiles.into_iter().enumerate() {
            let (column, row) = (place as u32 % COLUMNS, place as u32 / COLUMNS);
            let (x, y) = (GAP + column * (TILE + GAP), top + TITLE + row * (height + CAPTION + GAP));
            write_text(&mut sheet, (x as i32, y as i32 + 3), 16.0, &caption);
            imageops::replace(&mut sheet, &tile, i64::from(x), i64::from(y + CAPTION));
        }
    }
    sheet
}

/// Mean shift of a group at a position, by what the image decides.
fn shift(module: &Explained, group: usize, (column, row): (usize, usize)) -> (f32, f32) {
    let subpixels = module.scale * module.scale;
    let of = |component: usize| {
        let range = group * subpixels..(group + 1) * subpixels;
        module.moves.slice(s![component, range, row, column]).sum() / subpixels as f32
    };
    (of(0), of(1))
}

/// Mean over all groups.
fn mean_shift(module: &Explained, at: (usize, usize)) -> (f32, f32) {
    let shifts = (0..module.groups).map(|group| shift(module, group, at));
    let (x, y) = shifts.fold((0.0, 0.0), |sum, shift| (sum.0 + shift.0, sum.1 + shift.1));
    (x / module.groups as f32, y / module.groups as f32)
}

/// The left and top position of the part where points move most.
fn busiest(module: &Explained) -> (usize, usize) {
    let (columns, rows) = module.positions;
    let (wide, high) = (ZOOM.0.min(columns), ZOOM.1.min(rows));
    let activity = |left: usize, top: usize| -> f32 {
        let part = module.moves.slice(s![.., .., top..top + high, left..left + wide]);
        part.iter().map(|value| value.abs()).sum()
    };
    let places = (0..=rows - high).flat_map(|top| (0..=columns - wide).map(move |left| (left, top)));
    places.max_by(|a, b| activity(a.0, a.1).total_cmp(&activity(b.0, b.1))).unwrap_or_default()
}

fn faded(input: &RgbImage, height: u32) -> RgbImage {
    let mut small = imageops::thumbnail(input, TILE, height);
    small.iter_mut().for_each(|value| *value = 90 + (f32::from(*value) * 0.6) as u8);
    small
}

/// An arrow for each position, or for blocks of them where there are many; and how much longer they are than true.
fn arrows(input: &RgbImage, module: &Explained, height: u32, zoom: (usize, usize)) -> (RgbImage, f32) {
    let mut tile = faded(input, height);
    let (columns, rows) = module.positions;
    let cell = TILE as f32 / columns as f32;
    let every = (9.0 / cell).ceil().max(1.0) as usize;
    let positions: Vec<(usize, usize)> =
        (0..rows).step_by(every).flat_map(|row| (0..columns).step_by(every).map(move |column| (column, row))).collect();
    let mut lengths: Vec<f32> = positions.iter().map(|at| length(mean_shift(module, *at))).collect();
    lengths.sort_by(f32::total_cmp);
    let typical = lengths.get(lengths.len() * 95 / 100).copied().unwrap_or(0.0);
    let factor = if typical > 1e-6 { (0.9 * every as f32 / typical).clamp(1.0, 1000.0) } else { 1.0 };
    for at in positions {
        let (x, y) = mean_shift(module, at);
        let start = ((at.0 as f32 + 0.5) * cell, (at.1 as f32 + 0.5) * cell);
        let end = (start.0 + x * factor * cell, start.1 + y * factor * cell);
        draw_line_segment_mut(&mut tile, start, end, direction((x, y), 1.0));
        draw_filled_circle_mut(&mut tile, (start.0 as i32, start.1 as i32), 1, Rgb([20, 20, 20]));
    }
    let side = |count: usize| (count as f32 * cell) as u32;
    let frame = Rect::at(side(zoom.0) as i32, side(zoom.1) as i32).of_size(side(ZOOM.0).max(4), side(ZOOM.1).max(4));
    draw_hollow_rect_mut(&mut tile, frame, Rgb([0, 0, 0]));
    (tile, factor)
}

/// Positions as squares; the points of bilinear upsampling in white, and lines from them to the true points, a colour for each
/// group.
fn enlarged(input: &RgbImage, module: &Explained, height: u32, (left, top): (usize, usize)) -> RgbImage {
    let (columns, rows) = module.positions;
    let (wide, high) = (ZOOM.0.min(columns), ZOOM.1.min(rows));
    let cell = (TILE as f32 / wide as f32).min(height as f32 / high as f32);
    let pixels = input.width() as f32 / columns as f32;
    let part = imageops::crop_imm(
        input,
        (left as f32 * pixels) as u32,
        (top as f32 * pixels) as u32,
        (wide as f32 * pixels) as u32,
        (high as f32 * pixels) as u32,
    );
    let (across, down) = ((wide as f32 * cell) as u32, (high as f32 * cell) as u32);
    let mut shown = imageops::resize(&part.to_image(), across.max(1), down.max(1), imageops::FilterType::Triangle);
    shown.iter_mut().for_each(|value| *value = 90 + (f32::from(*value) * 0.6) as u8);
    for n in 0..=wide.max(high) {
        let at = n as f32 * cell;
        let line = Rgb([150, 150, 150]);
        draw_line_segment_mut(&mut shown, (at, 0.0), (at, down as f32), line);
        draw_line_segment_mut(&mut shown, (0.0, at), (across as f32, at), line);
    }
    let subpixels = module.scale * module.scale;
    for row in 0..high {
        for column in 0..wide {
            for channel in 0..module.groups * subpixels {
                let of =
                    |array: &ndarray::Array4<f32>, component| array[[component, channel, top + row, left + column]];
                let centre = |n: usize| n as f32 + 0.5;
                let point = |x: f32, y: f32| ((centre(column) + x) * cell, (centre(row) + y) * cell);
                let (x, y) = (of(&module.offsets, 0), of(&module.offsets, 1));
                let end = point(x, y);
                let start = point(x - of(&module.shifts, 0), y - of(&module.shifts, 1));
                let colour = group_colour(channel / subpixels);
                draw_line_segment_mut(&mut shown, start, end, colour);
                draw_filled_circle_mut(&mut shown, (start.0 as i32, start.1 as i32), 1, PAPER);
                draw_filled_circle_mut(&mut shown, (end.0 as i32, end.1 as i32), 2, colour);
            }
        }
    }
    let mut tile = RgbImage::from_pixel(TILE, height, PAPER);
    imageops::replace(&mut tile, &shown, 0, 0);
    tile
}

/// A small field for each group, side by side.
fn fields(module: &Explained, height: u32) -> RgbImage {
    let (columns, rows) = module.positions;
    let across = (module.groups as f32).sqrt().ceil() as usize;
    let down = module.groups.div_ceil(across);
    let (wide, high) = (TILE / across as u32, height / down as u32);
    let each = |group: usize| (0..rows).flat_map(move |row| (0..columns).map(move |column| (group, (column, row))));
    let mut lengths: Vec<f32> =
        (0..module.groups).flat_map(each).map(|(group, at)| length(shift(module, group, at))).collect();
    lengths.sort_by(f32::total_cmp);
    let strong = lengths.get(lengths.len() * 98 / 100).copied().unwrap_or(0.0).max(1e-6);
    let mut tile = RgbImage::from_pixel(TILE, height, PAPER);
    for group in 0..module.groups {
        let field = RgbImage::from_fn(columns as u32, rows as u32, |x, y| {
            let shift = shift(module, group, (x as usize, y as usize));
            direction(shift, (length(shift) / strong).min(1.0))
        });
        let field = imageops::resize(&field, wide - 2, high - 2, imageops::FilterType::Nearest);
        let (x, y) = ((group % across) as u32 * wide, (group / across) as u32 * high);
        imageops::replace(&mut tile, &field, i64::from(x + 1), i64::from(y + 1));
        write_text(&mut tile, (x as i32 + 6, y as i32 + 4), 15.0, &format!("{}", group + 1));
    }
    tile
}

fn length((x, y): (f32, f32)) -> f32 {
    x.hypot(y)
}

/// Hue by direction, as far from grey as `strength` says.
fn direction((x, y): (f32, f32), strength: f32) -> Rgb<u8> {
    let hue = (y.atan2(x) / std::f32::consts::TAU).rem_euclid(1.0) * 6.0;
    let channel = |offset: f32| {
        let k = (offset + hue) % 6.0;
        let pure = 1.0 - k.min(4.0 - k).clamp(0.0, 1.0);
        ((0.92 + (pure * 0.85 - 0.92) * strength) * 255.0).clamp(0.0, 255.0) as u8
    };
    Rgb([channel(5.0), channel(3.0), channel(1.0)])
}

fn group_colour(group: usize) -> Rgb<u8> {
    const COLOURS: [[u8; 3]; 6] =
        [[215, 40, 50], [20, 110, 220], [20, 140, 60], [150, 60, 190], [200, 120, 0], [0, 140, 150]];
    Rgb(COLOURS[group % COLOURS.len()])
}

fn range_of(maps: &[&Array2<f32>]) -> (f32, f32) {
    let values = maps.iter().flat_map(|map| map.iter());
    values.fold((f32::MAX, f32::MIN), |(low, high), value| (low.min(*value), high.max(*value)))
}

/// Dark blue over green to yellow, as `viridis`, positions as squares.
fn coloured(map: &Array2<f32>, (low, high): (f32, f32), height: u32) -> RgbImage {
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

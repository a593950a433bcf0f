//! For each module where it samples, and the maps before and after.

use image::{Rgb, RgbImage, imageops};
use imageproc::drawing::{draw_filled_circle_mut, draw_hollow_rect_mut, draw_line_segment_mut};
use imageproc::rect::Rect;
use ndarray::s;
use yolo9::output::write_text;

use super::maps::{PAPER, Sheet, TILE, coloured, range_of};
use super::module::Explained;

/// Positions across and down in the enlarged part, and at most in one that was asked for.
const ZOOM: (usize, usize) = (8, 6);
const MOST: (usize, usize) = (24, 18);

/// What the colours and points of [`block`] mean.
pub(super) fn legend(groups: usize) -> Vec<(Option<Rgb<u8>>, String)> {
    let line = |text: &str| (None, text.to_owned());
    let mut lines = vec![
        line(
            "Arrows: how the points of a position move with the image, from their mean over it; lengthened as the caption says.",
        ),
        line("Their colour is the direction; in the small fields, the paler, the shorter:"),
    ];
    for (shift, name) in [((1.0, 0.0), "right"), ((0.0, 1.0), "down"), ((-1.0, 0.0), "left"), ((0.0, -1.0), "up")] {
        lines.push((Some(direction(shift, 1.0)), name.to_owned()));
    }
    lines.push(line(
        "Enlarged: from the points of bilinear upsampling (white) to those that are sampled, by group of channels:",
    ));
    lines.extend((0..groups.min(6)).map(|group| (Some(group_colour(group)), format!("group {}", group + 1))));
    lines.push(line(
        "Maps: all channels as one value, the length (L2 norm) of their vector at each position; from the lowest",
    ));
    lines.push(line("(dark blue) to the highest (yellow). Nearest, bilinear and DySample share a scale."));
    lines
}

/// Where a module samples, and the maps before and after. `zoom` are the positions that are enlarged.
pub(super) fn block(sheet: &mut Sheet, input: &RgbImage, module: &Explained, zoom: Zoom) {
    let height = sheet.height;
    let (columns, rows) = module.positions;
    let title = format!(
        "DySample of layer {}: {}; {columns}x{rows} positions become {}x{}, {} groups of channels",
        module.layer,
        module.conclusion(),
        columns * module.scale,
        rows * module.scale,
        module.groups,
    );
    let most = module.difference.iter().fold(1e-12f32, |most, value| most.max(*value));
    let range = range_of(&[&module.nearest, &module.bilinear, &module.output]);
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
    sheet.block(&title, &tiles);
}

/// Positions that are drawn large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Zoom {
    left: usize,
    top: usize,
    wide: usize,
    high: usize,
}

impl Zoom {
    /// Those that hold an area of the network's input, given by its corners in pixels; at most [`MOST`].
    pub(super) fn of_area(module: &Explained, [x1, y1, x2, y2]: [f32; 4], input: &RgbImage) -> Self {
        let axis = |from: f32, to: f32, pixels: u32, positions: usize, most: usize| {
            let side = pixels as f32 / positions as f32;
            let first = ((from / side).floor().max(0.0) as usize).min(positions - 1);
            let end = ((to / side).ceil().max(0.0) as usize).clamp(first + 1, positions);
            (first, (end - first).min(most))
        };
        let (left, wide) = axis(x1, x2, input.width(), module.positions.0, MOST.0);
        let (top, high) = axis(y1, y2, input.height(), module.positions.1, MOST.1);
        Self { left, top, wide, high }
    }

    /// Those where points move most.
    pub(super) fn busiest(module: &Explained) -> Self {
        let (columns, rows) = module.positions;
        let (wide, high) = (ZOOM.0.min(columns), ZOOM.1.min(rows));
        let activity = |left: usize, top: usize| -> f32 {
            let part = module.moves.slice(s![.., .., top..top + high, left..left + wide]);
            part.iter().map(|value| value.abs()).sum()
        };
        let places = (0..=rows - high).flat_map(|top| (0..=columns - wide).map(move |left| (left, top)));
        let (left, top) = places.max_by(|a, b| activity(a.0, a.1).total_cmp(&activity(b.0, b.1))).unwrap_or_default();
        Self { left, top, wide, high }
    }
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

fn faded(input: &RgbImage, height: u32) -> RgbImage {
    let mut small = imageops::thumbnail(input, TILE, height);
    small.iter_mut().for_each(|value| *value = 90 + (f32::from(*value) * 0.6) as u8);
    small
}

/// An arrow for each position, or for blocks of them where there are many; and how much longer they are than true.
fn arrows(input: &RgbImage, module: &Explained, height: u32, zoom: Zoom) -> (RgbImage, f32) {
    let mut tile = faded(input, height);
    let (columns, rows) = module.positions;
    let per_position = TILE as f32 / columns as f32;
    let every = (9.0 / per_position).ceil().max(1.0) as usize;
    let positions: Vec<(usize, usize)> =
        (0..rows).step_by(every).flat_map(|row| (0..columns).step_by(every).map(move |column| (column, row))).collect();
    let mut lengths: Vec<f32> = positions.iter().map(|at| length(mean_shift(module, *at))).collect();
    lengths.sort_by(f32::total_cmp);
    let typical = lengths.get(lengths.len() * 95 / 100).copied().unwrap_or(0.0);
    let factor = if typical > 1e-6 { (0.9 * every as f32 / typical).clamp(1.0, 1000.0) } else { 1.0 };
    for at in positions {
        let (x, y) = mean_shift(module, at);
        let start = ((at.0 as f32 + 0.5) * per_position, (at.1 as f32 + 0.5) * per_position);
        let end = (start.0 + x * factor * per_position, start.1 + y * factor * per_position);
        draw_line_segment_mut(&mut tile, start, end, direction((x, y), 1.0));
        draw_filled_circle_mut(&mut tile, (start.0 as i32, start.1 as i32), 1, Rgb([20, 20, 20]));
    }
    let side = |count: usize| (count as f32 * per_position) as u32;
    let frame = Rect::at(side(zoom.left) as i32, side(zoom.top) as i32);
    let frame = frame.of_size(side(zoom.wide).max(4), side(zoom.high).max(4));
    draw_hollow_rect_mut(&mut tile, frame, Rgb([0, 0, 0]));
    (tile, factor)
}

/// Positions as squares; the points of bilinear upsampling in white, and lines from them to the true points, a colour for each
/// group.
fn enlarged(input: &RgbImage, module: &Explained, height: u32, zoom: Zoom) -> RgbImage {
    let Zoom { left, top, wide, high } = zoom;
    let columns = module.positions.0;
    let per_position = (TILE as f32 / wide as f32).min(height as f32 / high as f32);
    let pixels = input.width() as f32 / columns as f32;
    let part = imageops::crop_imm(
        input,
        (left as f32 * pixels) as u32,
        (top as f32 * pixels) as u32,
        (wide as f32 * pixels) as u32,
        (high as f32 * pixels) as u32,
    );
    let (across, down) = ((wide as f32 * per_position) as u32, (high as f32 * per_position) as u32);
    let mut shown = imageops::resize(&part.to_image(), across.max(1), down.max(1), imageops::FilterType::Triangle);
    shown.iter_mut().for_each(|value| *value = 90 + (f32::from(*value) * 0.6) as u8);
    for n in 0..=wide.max(high) {
        let at = n as f32 * per_position;
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
                let point = |x: f32, y: f32| ((centre(column) + x) * per_position, (centre(row) + y) * per_position);
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

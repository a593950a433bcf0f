//! Where the output pixels of a group sample the map, and how much each position weighs.

use std::ops::Range;

use super::Simd;
use crate::dysample::Geometry;
use crate::dysample::geometry::Part;

/// The points of eight neighbouring output pixels. Order of starts and weights: upper left, upper right, lower left,
/// lower right.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(64))]
pub(super) struct PointsOf8 {
    /// Where the positions begin in a tile: `8 · (row · W + column)`.
    pub(super) starts: [[u32; 8]; 4],
    /// Between 0 and 1; the four of a pixel add up to 1, but for rounding.
    pub(super) weights: [[f32; 8]; 4],
}

/// Rows of points that are computed at once: eight, so that they are whole [`PointsOf8`] for any width.
const ROWS: usize = 8;

/// The points of a band of output rows of one group, in the order of the pixels, padded with points at position 0.
#[derive(Debug, Default)]
pub(super) struct Points {
    pub(super) table: Vec<PointsOf8>,
    /// Every start in the table is that of one of as many positions.
    pub(super) positions: usize,
    /// Points that are not padding.
    pub(super) pixels: usize,
    /// Columns and rows of the points of `ROWS` rows.
    columns: Vec<f32>,
    rows: Vec<f32>,
}

/// The output rows in bands of about that many pixels, whole multiples of `ROWS` but for the last.
pub(super) fn bands(geometry: &Geometry, pixels: usize) -> Vec<Range<usize>> {
    let rows = geometry.height * geometry.scale;
    let line = geometry.width * geometry.scale;
    let height = (pixels / line).max(1).next_multiple_of(ROWS);
    (0..rows).step_by(height).map(|start| start..(start + height).min(rows)).collect()
}

impl Points {
    /// Computes the points of some output rows of the group that a part belongs to.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(
        &mut self,
        simd: S,
        geometry: &Geometry,
        offset: &[f32],
        part: &Part,
        band: Range<usize>,
    ) {
        let line = geometry.width * geometry.scale;
        let strip = ROWS * line;
        self.positions = geometry.positions();
        self.pixels = band.len() * line;
        // Every entry is written below, the padded last one too: there are as many strips as pieces of the table.
        self.table.resize(self.pixels.div_ceil(8), PointsOf8::default());
        self.columns.resize(strip, 0.0);
        self.rows.resize(strip, 0.0);
        for (table, first) in self.table.chunks_mut(strip / 8).zip(band.clone().step_by(ROWS)) {
            let rows = first..(first + ROWS).min(band.end);
            let used = rows.len() * line;
            for (row, columns) in rows.clone().zip(self.columns.chunks_exact_mut(line)) {
                coordinates(columns, geometry, offset, part, [0, row]);
            }
            for (row, rows) in rows.zip(self.rows.chunks_exact_mut(line)) {
                coordinates(rows, geometry, offset, part, [1, row]);
            }
            // Pads the last strip.
            self.columns[used..].fill(0.0);
            self.rows[used..].fill(0.0);
            let (columns, rows) = (self.columns.as_chunks().0, self.rows.as_chunks().0);
            for ((to, columns), rows) in table.iter_mut().zip(columns).zip(rows) {
                simd.points(columns, rows, geometry.width as u32, to);
            }
        }
    }
}

/// One coordinate, column (0) or row (1), of the points of an output row, clamped to the map.
#[inline(always)]
fn coordinates(line: &mut [f32], geometry: &Geometry, offset: &[f32], part: &Part, at: [usize; 2]) {
    let [component, output_row] = at;
    let scale = geometry.scale;
    let (row, i) = (output_row / scale, output_row % scale);
    let plane = |j: usize| &offset[geometry.offset_row(part.image, part.group, [component, i, j, row])];
    let (start, step, last) = match component {
        0 => (0.0, 1.0, (geometry.width - 1) as f32),
        _ => (row as f32, 0.0, (geometry.height - 1) as f32),
    };
    // `max` gives 0 for NaN.
    let coordinate = |n: i32, offset: f32| (start + step * n as f32 + offset).max(0.0).min(last);
    if scale == 2 {
        // By far the most frequent scale; both columns of a position at once are what the compiler makes vectors of.
        for ((pair, (a, b)), n) in line.as_chunks_mut::<2>().0.iter_mut().zip(plane(0).iter().zip(plane(1))).zip(0..) {
            *pair = [coordinate(n, *a), coordinate(n, *b)];
        }
    } else {
        for j in 0..scale {
            for ((to, offset), n) in line[j..].iter_mut().step_by(scale).zip(plane(j)).zip(0..) {
                *to = coordinate(n, *offset);
            }
        }
    }
}

/// What [`Simd::points`] computes, for one pixel after the other.
#[inline(always)]
pub(super) fn scalar(columns: &[f32; 8], rows: &[f32; 8], width: u32, to: &mut PointsOf8) {
    for lane in 0..8 {
        // Neither is negative, so that truncation is the floor.
        let (left, top) = (columns[lane] as u32, rows[lane] as u32);
        let (fx, fy) = (columns[lane] - left as f32, rows[lane] - top as f32);
        let start = 8 * (top * width + left);
        let right = if fx > 0.0 { 8 } else { 0 };
        let down = if fy > 0.0 { 8 * width } else { 0 };
        let starts = [start, start + right, start + down, start + down + right];
        let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
        for n in 0..4 {
            to.starts[n][lane] = starts[n];
            to.weights[n][lane] = weights[n];
        }
    }
}

//! Where the output pixels of a group sample the map, and how much each cell weighs.
#![allow(unsafe_code, reason = "indices are checked when the table is made, not at each of its many uses")]

use super::Simd;
use crate::dysample::Geometry;
use crate::dysample::geometry::Part;

/// The points of eight neighbouring output pixels. Order of cells and weights: upper left, upper right, lower left,
/// lower right.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(64))]
pub(super) struct PointsOf8 {
    /// Cell numbers, `row · W + column`.
    pub(super) cells: [[u32; 8]; 4],
    /// Between 0 and 1; the four of a pixel add up to 1, but for rounding.
    pub(super) weights: [[f32; 8]; 4],
}

/// Rows of points that are computed at once: eight, so that they are whole [`PointsOf8`] for any width.
const ROWS: usize = 8;

/// All points of one group, in the order of its output pixels, padded with points at cell 0.
#[derive(Debug, Default)]
pub(super) struct Points {
    table: Vec<PointsOf8>,
    /// Every cell number in the table is smaller.
    cells: usize,
    /// Columns and rows of the points of `ROWS` rows.
    columns: Vec<f32>,
    rows: Vec<f32>,
}

impl Points {
    /// The table, whose cell numbers are all smaller than the given number.
    #[inline(always)]
    pub(super) fn table(&self) -> (&[PointsOf8], usize) {
        (&self.table, self.cells)
    }

    /// Computes the points of the group that a part belongs to.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(&mut self, simd: S, geometry: &Geometry, offset: &[f32], part: &Part) {
        let line = geometry.width * geometry.scale;
        let output_rows = geometry.height * geometry.scale;
        let pixels = ROWS * line;
        self.cells = geometry.cells();
        self.table.resize(geometry.pixels().div_ceil(8), PointsOf8::default());
        self.columns.resize(pixels, 0.0);
        self.rows.resize(pixels, 0.0);
        for (strip, table) in self.table.chunks_mut(pixels / 8).enumerate() {
            let first = strip * ROWS;
            let rows = ROWS.min(output_rows - first);
            for (n, columns) in self.columns.chunks_exact_mut(line).take(rows).enumerate() {
                coordinates(columns, geometry, offset, part, [0, first + n]);
            }
            for (n, rows) in self.rows.chunks_exact_mut(line).take(rows).enumerate() {
                coordinates(rows, geometry, offset, part, [1, first + n]);
            }
            // Pads the last strip.
            self.columns[rows * line..].fill(0.0);
            self.rows[rows * line..].fill(0.0);
            let columns = self.columns.as_chunks().0;
            let rows = self.rows.as_chunks().0;
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
    let plane = |j: usize| &offset[geometry.offset_row(part.picture, part.group, [component, i, j, row])];
    let (start, step, last) = match component {
        0 => (0.0, 1.0, (geometry.width - 1) as f32),
        _ => (row as f32, 0.0, (geometry.height - 1) as f32),
    };
    // `max` gives 0 for NaN.
    let coordinate = |n: i32, offset: f32| (start + step * n as f32 + offset).max(0.0).min(last);
    if scale == 2 {
        // By far the most frequent scale; both columns of a cell at once are what the compiler makes vectors of.
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
        let right = u32::from(fx > 0.0);
        let down = if fy > 0.0 { width } else { 0 };
        let cell = top * width + left;
        let cells = [cell, cell + right, cell + down, cell + down + right];
        let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
        for n in 0..4 {
            to.cells[n][lane] = cells[n];
            to.weights[n][lane] = weights[n];
        }
    }
}

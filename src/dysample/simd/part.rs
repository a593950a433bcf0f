//! The algorithm, over the operations of any instruction set.
#![allow(unsafe_code, reason = "indices are checked when the table is made, not at each of its many uses")]

use super::{Points, PointsOf8, Simd, Tile};
use crate::dysample::Geometry;
use crate::dysample::geometry::Part;

/// The tensors of one upsampling, of the lengths that the geometry gives.
#[derive(Debug, Clone, Copy)]
pub(in crate::dysample) struct Inputs<'a> {
    pub(in crate::dysample) geometry: &'a Geometry,
    pub(in crate::dysample) x: &'a [f32],
    pub(in crate::dysample) offset: &'a [f32],
}

/// Memory that one part needs and the next one can use again.
#[derive(Debug, Default)]
pub(in crate::dysample) struct Workspace {
    points: Points,
    tile: Tile,
}

/// Everything that computing one part takes.
pub(super) struct PartRun<'a> {
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) part: &'a Part,
    pub(super) workspace: &'a mut Workspace,
    /// The part's own piece of the result, `[channels of the part, scale·H, scale·W]`.
    pub(super) output: &'a mut [f32],
}

impl PartRun<'_> {
    #[inline(always)]
    pub(super) fn with<S: Simd>(self, simd: S) {
        let Inputs { geometry, x, offset } = *self.inputs;
        let Workspace { points, tile } = self.workspace;
        let (cells, pixels) = (geometry.cells(), geometry.pixels());
        let first = self.part.picture * geometry.channels + self.part.channels.start;
        let x = &x[first * cells..][..self.part.channels.len() * cells];
        points.fill(simd, geometry, offset, self.part);
        let eight = Geometry::LANES;
        for (x, output) in x.chunks(eight * cells).zip(self.output.chunks_mut(eight * pixels)) {
            tile.fill(simd, x, cells);
            sample(simd, tile, points, output, pixels);
        }
    }
}

/// Samples up to eight channels at all points.
#[inline(always)]
fn sample<S: Simd>(simd: S, tile: &Tile, points: &Points, output: &mut [f32], pixels: usize) {
    let (table, cells) = points.table();
    // What makes the unchecked accesses below sound.
    assert!(tile.cells().len() >= cells);
    let whole = if output.len() == 8 * pixels { pixels / 8 } else { 0 };
    let start = output.as_mut_ptr();
    for (n, points) in table.iter().enumerate() {
        let channels = simd.transpose(eight_pixels(simd, tile.cells(), points));
        if n < whole {
            for (channel, vector) in channels.into_iter().enumerate() {
                // SAFETY: `output` has eight planes of `pixels` values, and pixels 8n to 8n + 8 are within a plane
                // because n < pixels / 8; nothing else refers to them.
                let to = unsafe { &mut *start.add(channel * pixels + 8 * n).cast::<[f32; 8]>() };
                simd.store(vector, to);
            }
        } else {
            // Fewer than eight channels, or the last pixels of the map.
            let last = pixels.min(8 * n + 8);
            for (plane, vector) in output.chunks_exact_mut(pixels).zip(channels) {
                let mut values = [0.0; 8];
                simd.store(vector, &mut values);
                let to = &mut plane[8 * n..last];
                to.copy_from_slice(&values[..to.len()]);
            }
        }
    }
}

/// Eight pixels, each of eight channels.
// Here and in all that `PartRun::with` calls, loops stand where closures would read better: only what is certain to be
// inlined may call intrinsics.
#[inline(always)]
fn eight_pixels<S: Simd>(simd: S, cells: &[[f32; 8]], points: &PointsOf8) -> [S::Vector; 8] {
    let mut pixels = [simd.splat(0.0); 8];
    for (n, pixel) in pixels.iter_mut().enumerate() {
        let mut weighted = [simd.splat(0.0); 4];
        for (corner, weighted) in weighted.iter_mut().enumerate() {
            let cell = points.cells[corner][n] as usize;
            // SAFETY: `points` is from a table for a map of at most as many cells, as `sample` asserts.
            let cell = unsafe { cells.get_unchecked(cell) };
            *weighted = simd.mul(simd.splat(points.weights[corner][n]), simd.load(cell));
        }
        let [upper_left, upper_right, lower_left, lower_right] = weighted;
        *pixel = simd.add(simd.add(upper_left, upper_right), simd.add(lower_left, lower_right));
    }
    pixels
}

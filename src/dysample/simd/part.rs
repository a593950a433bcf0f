//! The algorithm, over the operations of any instruction set.
#![allow(unsafe_code, reason = "indices are checked when the table is made, not at each of its many uses")]

use super::{Points, PointsOf8, Simd, points, tile};
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
    tiles: Vec<[f32; 8]>,
}

/// Everything that computing one part takes.
pub(super) struct PartRun<'a> {
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) part: &'a Part,
    pub(super) workspace: &'a mut Workspace,
    /// The part's own piece of the result, `[channels of the part, scale·H, scale·W]`.
    pub(super) output: &'a mut [f32],
}

/// The points of that many pixels (256 kB) stay in a second-level cache beside a tile while all tiles use them.
const BAND_PIXELS: usize = 8192;

impl PartRun<'_> {
    #[inline(always)]
    pub(super) fn with<S: Simd>(self, simd: S) {
        let Inputs { geometry, x, offset } = *self.inputs;
        let Workspace { points, tiles } = self.workspace;
        let (positions, pixels) = (geometry.positions(), geometry.pixels());
        let channels = self.part.channels.len();
        let first = self.part.image * geometry.channels + self.part.channels.start;
        let x = &x[first * positions..][..channels * positions];

        let bands = points::bands(geometry, BAND_PIXELS);
        // The tiles of a part are filled once and kept for the next band, if there is one.
        let kept = if bands.len() > 1 { channels.div_ceil(8) } else { 1 };
        tiles.resize(kept * positions, [0.0; 8]);
        for band in bands {
            points.fill(simd, geometry, offset, self.part, band.clone());
            let start = band.start * geometry.width * geometry.scale;
            for (n, (x, output)) in x.chunks(8 * positions).zip(self.output.chunks_mut(8 * pixels)).enumerate() {
                let tile = &mut tiles[(n % kept) * positions..][..positions];
                if band.start == 0 {
                    tile::fill(simd, tile, x, positions);
                }
                sample(simd, tile, points, output, Plane { pixels, start });
            }
        }
    }
}

/// A channel of the result, and where the band begins in it.
#[derive(Clone, Copy)]
struct Plane {
    pixels: usize,
    start: usize,
}

/// Samples up to eight channels at all points of a band.
#[inline(always)]
fn sample<S: Simd>(simd: S, tile: &[[f32; 8]], points: &Points, output: &mut [f32], plane: Plane) {
    // These make the unchecked accesses below sound.
    let Plane { pixels, start } = plane;
    let live = points.pixels;
    assert!(tile.len() >= points.positions);
    assert!(start + live <= pixels);
    let whole = if output.len() == 8 * pixels { live / 8 } else { 0 };
    let to = output.as_mut_ptr();
    for (n, points) in points.table.iter().enumerate() {
        let channels = simd.transpose(eight_pixels(simd, tile.as_flattened(), points));
        if n < whole {
            for (channel, vector) in channels.into_iter().enumerate() {
                let at = channel * pixels + start + 8 * n;
                // SAFETY: `output` has eight planes of `pixels` values, and the eight from start + 8n on are within a
                // plane because 8n + 8 <= live and start + live <= pixels; nothing else refers to them.
                let to = unsafe { &mut *to.add(at).cast::<[f32; 8]>() };
                simd.store(vector, to);
            }
        } else {
            // Fewer than eight channels, or the last pixels of the map.
            let (first, last) = (start + 8 * n, start + live.min(8 * n + 8));
            for (plane, vector) in output.chunks_exact_mut(pixels).zip(channels) {
                let mut values = [0.0; 8];
                simd.store(vector, &mut values);
                plane[first..last].copy_from_slice(&values[..last - first]);
            }
        }
    }
}

/// Eight pixels, each of eight channels.
// Here and in all that `PartRun::with` calls, loops stand where closures would read better: only what is certain to be
// inlined may call intrinsics.
#[inline(always)]
fn eight_pixels<S: Simd>(simd: S, tile: &[f32], points: &PointsOf8) -> [S::Vector; 8] {
    let zero = simd.splat(0.0);
    let mut pixels = [zero; 8];
    for (n, pixel) in pixels.iter_mut().enumerate() {
        let mut weighted = [zero; 4];
        for (corner, weighted) in weighted.iter_mut().enumerate() {
            let start = points.starts[corner][n] as usize;
            // SAFETY: `points` is from a table for a map of at most tile.len() / 8 positions, as `sample` asserts, so that
            // a whole position begins at `start`.
            let position = unsafe { &*tile.as_ptr().add(start).cast::<[f32; 8]>() };
            *weighted = simd.mul(simd.splat(points.weights[corner][n]), simd.load(position));
        }
        let [upper_left, upper_right, lower_left, lower_right] = weighted;
        *pixel = simd.add(simd.add(upper_left, upper_right), simd.add(lower_left, lower_right));
    }
    pixels
}

//! Eight channels of the map, side by side in each cell.

use super::Simd;

/// `[H·W][8]`: the values of up to eight channels at each cell. Missing channels have any value.
#[derive(Debug, Default)]
pub(super) struct Tile {
    cells: Vec<[f32; 8]>,
}

impl Tile {
    pub(super) fn cells(&self) -> &[[f32; 8]] {
        &self.cells
    }

    /// Takes one to eight channels, which follow each other in `x`, of that many cells each.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(&mut self, simd: S, x: &[f32], cells: usize) {
        self.cells.resize(cells, [0.0; 8]);
        let channels = x.len() / cells;
        let mut whole = 0;
        if channels == 8 {
            let planes: [&[[f32; 8]]; 8] = std::array::from_fn(|channel| x[channel * cells..][..cells].as_chunks().0);
            whole = cells / 8;
            for (n, to) in self.cells.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                let mut rows = [simd.splat(0.0); 8];
                for (row, plane) in rows.iter_mut().zip(planes) {
                    *row = simd.load(&plane[n]);
                }
                for (to, vector) in to.iter_mut().zip(simd.transpose(rows)) {
                    simd.store(vector, to);
                }
            }
        }
        for (channel, plane) in x.chunks_exact(cells).enumerate() {
            for (to, value) in self.cells.iter_mut().zip(plane).skip(8 * whole) {
                to[channel] = *value;
            }
        }
    }
}

//! Eight channels of the map, side by side in each position.

use super::Simd;

/// Fills `tile`, `[H·W][8]`, with one to eight channels of that many positions each, which follow each other in `x`.
/// Missing channels keep any value.
#[inline(always)]
pub(super) fn fill<S: Simd>(simd: S, tile: &mut [[f32; 8]], x: &[f32], positions: usize) {
    let mut whole = 0;
    if x.len() == 8 * positions {
        let planes: [&[[f32; 8]]; 8] =
            std::array::from_fn(|channel| x[channel * positions..][..positions].as_chunks().0);
        whole = positions / 8;
        for (n, to) in tile.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let mut rows = [simd.splat(0.0); 8];
            for (row, plane) in rows.iter_mut().zip(planes) {
                *row = simd.load(&plane[n]);
            }
            for (to, vector) in to.iter_mut().zip(simd.transpose(rows)) {
                simd.store(vector, to);
            }
        }
    }
    for (channel, plane) in x.chunks_exact(positions).enumerate() {
        for (to, value) in tile.iter_mut().zip(plane).skip(8 * whole) {
            to[channel] = *value;
        }
    }
}

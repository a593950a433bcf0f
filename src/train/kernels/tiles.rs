//! The two inner loops of a convolution, over tiles that stay in registers.
//!
//! Plain code over arrays of fixed length, which compilers turn into vector instructions of the set that `pulp` finds at run
//! time: four outputs by twenty-four positions are twelve registers of AVX2.

use super::{Real, has_fused_multiply_add, vectorised};

/// Outputs of a tile.
pub(super) const OUTPUTS: usize = 4;
/// Positions of a tile.
pub(super) const WIDTH: usize = 24;

/// Positions that are gone through for all outputs before the next ones: their sources stay in the cache.
const CHUNK: usize = 40 * WIDTH;

/// Dot products of a tile, and the lanes that each is summed in.
const DOT_OUTPUTS: usize = 4;
const DOT_TAPS: usize = 3;
const LANES: usize = 8;
/// Positions after which the lanes are summed.
const DOT_CHUNK: usize = 1024;

/// `outputs` rows of `taps` weights, in groups of [`OUTPUTS`] by tap; rows that are missing in the last group are zero.
pub(super) fn packed<T: Real>(outputs: usize, taps: usize, weight: impl Fn(usize, usize) -> T) -> Vec<[T; OUTPUTS]> {
    let mut packed = Vec::with_capacity(outputs.div_ceil(OUTPUTS) * taps);
    for first in (0..outputs).step_by(OUTPUTS) {
        for tap in 0..taps {
            packed.push(std::array::from_fn(|n| if first + n < outputs { weight(first + n, tap) } else { T::zero() }));
        }
    }
    packed
}

/// `result[o][p] = Σ_t weights[o][t] · source[taps[t] + p]` for `p` below `positions`. Rows of `result` are `positions` long,
/// or [`WIDTH`] if that is more; then the source must go on for as long.
pub(super) fn accumulate<T: Real>(
    weights: &[[T; OUTPUTS]],
    taps: &[usize],
    source: &[T],
    result: &mut [T],
    (outputs, positions): (usize, usize),
) {
    let fused = has_fused_multiply_add();
    vectorised!(result, |result| match fused {
        true => accumulate_in::<T, true>(weights, taps, source, result, (outputs, positions)),
        false => accumulate_in::<T, false>(weights, taps, source, result, (outputs, positions)),
    });
}

#[inline(always)]
fn multiply_add<T: Real, const FUSED: bool>(a: T, b: T, sum: T) -> T {
    if FUSED { a.mul_add(b, sum) } else { a * b + sum }
}

#[inline(always)]
fn accumulate_in<T: Real, const FUSED: bool>(
    weights: &[[T; OUTPUTS]],
    taps: &[usize],
    source: &[T],
    result: &mut [T],
    (outputs, positions): (usize, usize),
) {
    let length = positions.max(WIDTH);
    let last = taps.iter().max().map_or(0, |tap| tap + length);
    assert!(last <= source.len(), "the source goes on for all positions after each tap");
    for chunk in (0..length).step_by(CHUNK) {
        let end = (chunk + CHUNK).min(length);
        for (group, weights) in weights.chunks_exact(taps.len()).enumerate() {
            let mut start = chunk;
            while start < end {
                // The last tile goes back over positions that are done.
                let at = start.min(length - WIDTH);
                let sums = tile_of_sums::<T, FUSED>(weights, taps, &source[at..]);
                for (output, sums) in sums.iter().enumerate().take(outputs - (group * OUTPUTS).min(outputs)) {
                    let to = (group * OUTPUTS + output) * length + at;
                    result[to..to + WIDTH].copy_from_slice(sums);
                }
                start += WIDTH;
            }
        }
    }
}

/// Nothing in here can panic, so that the sums stay in registers.
#[inline(always)]
fn tile_of_sums<T: Real, const FUSED: bool>(
    weights: &[[T; OUTPUTS]],
    taps: &[usize],
    source: &[T],
) -> [[T; WIDTH]; OUTPUTS] {
    let mut sums = [[T::zero(); WIDTH]; OUTPUTS];
    for (weights, tap) in weights.iter().zip(taps) {
        let Some(values) = source.get(*tap..).and_then(<[T]>::first_chunk::<WIDTH>) else { break };
        for output in 0..OUTPUTS {
            for n in 0..WIDTH {
                sums[output][n] = multiply_add::<T, FUSED>(values[n], weights[output], sums[output][n]);
            }
        }
    }
    sums
}

/// Adds to `result[a][b]` the products of `left[starts[a]..]` and `right[taps[b]..]` over `positions`.
pub(super) fn dots<T: Real>(left: (&[T], &[usize]), right: (&[T], &[usize]), positions: usize, result: &mut [T]) {
    let fused = has_fused_multiply_add();
    vectorised!(result, |result| match fused {
        true => dots_in::<T, true>(left, right, positions, result),
        false => dots_in::<T, false>(left, right, positions, result),
    });
}

#[inline(always)]
fn dots_in<T: Real, const FUSED: bool>(
    (left, starts): (&[T], &[usize]),
    (right, taps): (&[T], &[usize]),
    positions: usize,
    result: &mut [T],
) {
    for chunk in (0..positions).step_by(DOT_CHUNK) {
        let count = DOT_CHUNK.min(positions - chunk);
        for (row, starts) in starts.chunks(DOT_OUTPUTS).enumerate() {
            for (column, of) in taps.chunks(DOT_TAPS).enumerate() {
                // Missing ones repeat the last, and are thrown away.
                let a: [&[T]; DOT_OUTPUTS] =
                    std::array::from_fn(|n| &left[starts[n.min(starts.len() - 1)] + chunk..][..count]);
                let b: [&[T]; DOT_TAPS] = std::array::from_fn(|n| &right[of[n.min(of.len() - 1)] + chunk..][..count]);
                let sums = tile_of_dots::<T, FUSED>(a, b);
                for (n, sums) in sums.iter().enumerate().take(starts.len()) {
                    let to = (row * DOT_OUTPUTS + n) * taps.len() + column * DOT_TAPS;
                    result[to..].iter_mut().zip(&sums[..of.len()]).for_each(|(to, sum)| *to = *to + *sum);
                }
            }
        }
    }
}

#[inline(always)]
fn tile_of_dots<T: Real, const FUSED: bool>(
    a: [&[T]; DOT_OUTPUTS],
    b: [&[T]; DOT_TAPS],
) -> [[T; DOT_TAPS]; DOT_OUTPUTS] {
    let mut lanes = [[[T::zero(); LANES]; DOT_TAPS]; DOT_OUTPUTS];
    let count = a[0].len();
    let whole = count / LANES * LANES;
    let mut at = 0;
    'positions: while at < whole {
        // None is missing, but a panic in here would keep the sums out of registers.
        let (mut left, mut right) = ([[T::zero(); LANES]; DOT_OUTPUTS], [[T::zero(); LANES]; DOT_TAPS]);
        for (left, a) in left.iter_mut().zip(a) {
            let Some(values) = a.get(at..).and_then(<[T]>::first_chunk) else { break 'positions };
            *left = *values;
        }
        for (right, b) in right.iter_mut().zip(b) {
            let Some(values) = b.get(at..).and_then(<[T]>::first_chunk) else { break 'positions };
            *right = *values;
        }
        at += LANES;
        for i in 0..DOT_OUTPUTS {
            for j in 0..DOT_TAPS {
                for n in 0..LANES {
                    lanes[i][j][n] = multiply_add::<T, FUSED>(left[i][n], right[j][n], lanes[i][j][n]);
                }
            }
        }
    }
    let mut sums = [[T::zero(); DOT_TAPS]; DOT_OUTPUTS];
    for i in 0..DOT_OUTPUTS {
        for j in 0..DOT_TAPS {
            let [a0, a1, a2, a3, a4, a5, a6, a7] = lanes[i][j];
            let mut sum = ((a0 + a4) + (a2 + a6)) + ((a1 + a5) + (a3 + a7));
            for n in whole..count {
                sum = multiply_add::<T, FUSED>(a[i][n], b[j][n], sum);
            }
            sums[i][j] = sum;
        }
    }
    sums
}

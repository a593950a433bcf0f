//! The most arithmetic that a core can do: fused multiply-adds on registers, without memory. `docs/performance.md` holds
//! networks against it: `cargo bench -p yolo9-benches --bench peak`.

#![allow(clippy::print_stdout, reason = "it prints a figure")]

use std::hint::black_box;
use std::time::Instant;

use pulp::{Arch, Simd, WithSimd};

/// Enough sums at a time that none waits for its own last addition: latency times throughput of current processors.
const CHAINS: usize = 12;
const STEPS: usize = 2_000_000;
const RUNS: usize = 20;

struct MultiplyAdd;

impl WithSimd for MultiplyAdd {
    /// Floating-point operations.
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let (factor, term) = (simd.splat_f32s(black_box(0.999_999)), simd.splat_f32s(black_box(1e-6)));
        let mut sums = [simd.splat_f32s(0.5); CHAINS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, factor, term);
            }
        }
        for sum in sums {
            black_box(simd.reduce_sum_f32s(sum));
        }
        2 * STEPS * CHAINS * S::F32_LANES
    }
}

fn main() {
    let arch = Arch::new();
    let rate = || {
        let start = Instant::now();
        let operations = arch.dispatch(MultiplyAdd);
        operations as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    let mut rates: Vec<f64> = (0..RUNS).map(|_| rate()).collect();
    // Without the list of features behind it.
    let name = format!("{arch:?}");
    let name = name.split('(').next().unwrap_or_default();
    rates.sort_by(f64::total_cmp);
    println!(
        "f32 multiply-add, one core, {name}: {:.1} GFLOP/s (median of {RUNS}; most {:.1})",
        rates[RUNS / 2],
        rates[RUNS - 1]
    );
}

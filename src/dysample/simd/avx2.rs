//! x86-64 with AVX2.
#![allow(unsafe_code, reason = "intrinsics")]

use std::arch::x86_64::{
    __m256, __m256i, _CMP_GT_OQ, _mm256_add_epi32, _mm256_add_ps, _mm256_and_si256, _mm256_castps_si256, _mm256_cmp_ps,
    _mm256_cvtepi32_ps, _mm256_cvttps_epi32, _mm256_loadu_ps, _mm256_mul_ps, _mm256_mullo_epi32,
    _mm256_permute2f128_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_shuffle_ps, _mm256_slli_epi32,
    _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
};

use super::part::PartRun;
use super::{PointsOf8, Simd};

/// Proof that the processor has AVX2: [`Avx2::detect`] is the only way to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        std::arch::is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    pub(super) fn run(self, run: PartRun<'_>) {
        #[target_feature(enable = "avx2")]
        fn run_with_avx2(avx2: Avx2, run: PartRun<'_>) {
            run.with(avx2);
        }
        // SAFETY: `self` proves that the processor has AVX2.
        unsafe { run_with_avx2(self, run) }
    }
}

/// Calls intrinsics. They become single instructions where everything is inlined into `run_with_avx2`.
macro_rules! avx2 {
    ($body:expr) => {{
        // SAFETY: the method's receiver proves that the processor has AVX2; memory is touched through references to
        // eight values only.
        unsafe { $body }
    }};
}

impl Simd for Avx2 {
    type Vector = __m256;

    #[inline(always)]
    fn load(self, from: &[f32; 8]) -> __m256 {
        avx2!(_mm256_loadu_ps(from.as_ptr()))
    }

    #[inline(always)]
    fn store(self, vector: __m256, to: &mut [f32; 8]) {
        avx2!(_mm256_storeu_ps(to.as_mut_ptr(), vector));
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        avx2!(_mm256_set1_ps(value))
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        avx2!(_mm256_add_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        avx2!(_mm256_mul_ps(a, b))
    }

    /// Interleaves pairs of rows, then pairs of pairs, then exchanges the halves of registers.
    #[inline(always)]
    fn transpose(self, r: [__m256; 8]) -> [__m256; 8] {
        const LOW: i32 = 0b01_00_01_00;
        const HIGH: i32 = 0b11_10_11_10;
        avx2!({
            let (a, b) = (_mm256_unpacklo_ps(r[0], r[1]), _mm256_unpackhi_ps(r[0], r[1]));
            let (c, d) = (_mm256_unpacklo_ps(r[2], r[3]), _mm256_unpackhi_ps(r[2], r[3]));
            let (e, f) = (_mm256_unpacklo_ps(r[4], r[5]), _mm256_unpackhi_ps(r[4], r[5]));
            let (g, h) = (_mm256_unpacklo_ps(r[6], r[7]), _mm256_unpackhi_ps(r[6], r[7]));
            let upper = [
                _mm256_shuffle_ps::<LOW>(a, c),
                _mm256_shuffle_ps::<HIGH>(a, c),
                _mm256_shuffle_ps::<LOW>(b, d),
                _mm256_shuffle_ps::<HIGH>(b, d),
            ];
            let lower = [
                _mm256_shuffle_ps::<LOW>(e, g),
                _mm256_shuffle_ps::<HIGH>(e, g),
                _mm256_shuffle_ps::<LOW>(f, h),
                _mm256_shuffle_ps::<HIGH>(f, h),
            ];
            [
                _mm256_permute2f128_ps::<0x20>(upper[0], lower[0]),
                _mm256_permute2f128_ps::<0x20>(upper[1], lower[1]),
                _mm256_permute2f128_ps::<0x20>(upper[2], lower[2]),
                _mm256_permute2f128_ps::<0x20>(upper[3], lower[3]),
                _mm256_permute2f128_ps::<0x31>(upper[0], lower[0]),
                _mm256_permute2f128_ps::<0x31>(upper[1], lower[1]),
                _mm256_permute2f128_ps::<0x31>(upper[2], lower[2]),
                _mm256_permute2f128_ps::<0x31>(upper[3], lower[3]),
            ]
        })
    }

    /// As [`points::scalar`](super::points::scalar); the compiler does not find the vectors in that.
    #[inline(always)]
    fn points(self, columns: &[f32; 8], rows: &[f32; 8], width: u32, to: &mut PointsOf8) {
        let (x, y) = (self.load(columns), self.load(rows));
        let [upper_left, upper_right, lower_left, lower_right] = &mut to.starts;
        avx2!({
            let (left, top) = (_mm256_cvttps_epi32(x), _mm256_cvttps_epi32(y));
            let fx = _mm256_sub_ps(x, _mm256_cvtepi32_ps(left));
            let fy = _mm256_sub_ps(y, _mm256_cvtepi32_ps(top));
            let zero = _mm256_setzero_ps();
            let between_columns = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GT_OQ>(fx, zero));
            let between_rows = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GT_OQ>(fy, zero));
            let width = _mm256_set1_epi32(width.cast_signed());
            let start = _mm256_slli_epi32::<3>(_mm256_add_epi32(_mm256_mullo_epi32(top, width), left));
            let right = _mm256_and_si256(between_columns, _mm256_set1_epi32(8));
            let down = _mm256_and_si256(between_rows, _mm256_slli_epi32::<3>(width));
            let below = _mm256_add_epi32(start, down);
            for (to, starts) in [
                (upper_left, start),
                (upper_right, _mm256_add_epi32(start, right)),
                (lower_left, below),
                (lower_right, _mm256_add_epi32(below, right)),
            ] {
                _mm256_storeu_si256(to.as_mut_ptr().cast::<__m256i>(), starts);
            }
            let one = _mm256_set1_ps(1.0);
            let (gx, gy) = (_mm256_sub_ps(one, fx), _mm256_sub_ps(one, fy));
            let weights = [(gx, gy), (fx, gy), (gx, fy), (fx, fy)];
            for (to, (a, b)) in to.weights.iter_mut().zip(weights) {
                self.store(_mm256_mul_ps(a, b), to);
            }
        });
    }
}

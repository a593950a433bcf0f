//! aarch64 with NEON, which every processor that runs a standard operating system has. A vector is two registers.
#![allow(unsafe_code, reason = "intrinsics")]

use std::arch::aarch64::{
    float32x4_t, vaddq_f32, vdupq_n_f32, vld1q_f32, vmulq_f32, vreinterpretq_f32_f64, vreinterpretq_f64_f32, vst1q_f32,
    vtrn1q_f32, vtrn1q_f64, vtrn2q_f32, vtrn2q_f64,
};

use super::Simd;
use super::part::PartRun;

/// Proof that the processor has NEON: [`Neon::detect`] is the only way to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Neon(());

impl Neon {
    pub(super) fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    pub(super) fn run(self, run: PartRun<'_>) {
        #[target_feature(enable = "neon")]
        fn run_with_neon(neon: Neon, run: PartRun<'_>) {
            run.with(neon);
        }
        // SAFETY: `self` proves that the processor has NEON.
        unsafe { run_with_neon(self, run) }
    }
}

/// Calls intrinsics, which become single instructions where everything is inlined into `run_with_neon`.
macro_rules! neon {
    ($body:expr) => {{
        // SAFETY: the method's receiver proves that the processor has NEON; memory is touched through references to
        // eight values only.
        unsafe { $body }
    }};
}

impl Neon {
    /// A block of four rows of four values.
    #[inline(always)]
    fn transpose_4x4(self, r: [float32x4_t; 4]) -> [float32x4_t; 4] {
        neon!({
            let a = vreinterpretq_f64_f32(vtrn1q_f32(r[0], r[1]));
            let b = vreinterpretq_f64_f32(vtrn2q_f32(r[0], r[1]));
            let c = vreinterpretq_f64_f32(vtrn1q_f32(r[2], r[3]));
            let d = vreinterpretq_f64_f32(vtrn2q_f32(r[2], r[3]));
            [
                vreinterpretq_f32_f64(vtrn1q_f64(a, c)),
                vreinterpretq_f32_f64(vtrn1q_f64(b, d)),
                vreinterpretq_f32_f64(vtrn2q_f64(a, c)),
                vreinterpretq_f32_f64(vtrn2q_f64(b, d)),
            ]
        })
    }
}

impl Simd for Neon {
    type Vector = [float32x4_t; 2];

    #[inline(always)]
    fn load(self, from: &[f32; 8]) -> Self::Vector {
        neon!([vld1q_f32(from.as_ptr()), vld1q_f32(from.as_ptr().add(4))])
    }

    #[inline(always)]
    fn store(self, vector: Self::Vector, to: &mut [f32; 8]) {
        neon!({
            vst1q_f32(to.as_mut_ptr(), vector[0]);
            vst1q_f32(to.as_mut_ptr().add(4), vector[1]);
        });
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        neon!([vdupq_n_f32(value); 2])
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        neon!([vaddq_f32(a[0], b[0]), vaddq_f32(a[1], b[1])])
    }

    #[inline(always)]
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        neon!([vmulq_f32(a[0], b[0]), vmulq_f32(a[1], b[1])])
    }

    /// Four blocks, each transposed, the two off the diagonal exchanged.
    #[inline(always)]
    fn transpose(self, r: [Self::Vector; 8]) -> [Self::Vector; 8] {
        let upper_left = self.transpose_4x4([r[0][0], r[1][0], r[2][0], r[3][0]]);
        let upper_right = self.transpose_4x4([r[0][1], r[1][1], r[2][1], r[3][1]]);
        let lower_left = self.transpose_4x4([r[4][0], r[5][0], r[6][0], r[7][0]]);
        let lower_right = self.transpose_4x4([r[4][1], r[5][1], r[6][1], r[7][1]]);
        [
            [upper_left[0], lower_left[0]],
            [upper_left[1], lower_left[1]],
            [upper_left[2], lower_left[2]],
            [upper_left[3], lower_left[3]],
            [upper_right[0], lower_right[0]],
            [upper_right[1], lower_right[1]],
            [upper_right[2], lower_right[2]],
            [upper_right[3], lower_right[3]],
        ]
    }
}

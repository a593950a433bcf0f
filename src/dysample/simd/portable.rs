//! Plain Rust, for processors without one of the other instruction sets.

use super::Simd;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Portable;

impl Simd for Portable {
    type Vector = [f32; 8];

    #[inline(always)]
    fn load(self, from: &[f32; 8]) -> Self::Vector {
        *from
    }

    #[inline(always)]
    fn store(self, vector: Self::Vector, to: &mut [f32; 8]) {
        *to = vector;
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        [value; 8]
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    fn transpose(self, rows: [Self::Vector; 8]) -> [Self::Vector; 8] {
        std::array::from_fn(|lane| std::array::from_fn(|row| rows[row][lane]))
    }
}

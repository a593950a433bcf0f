//! The sampling step on vectors of eight values.
//!
//! Neighbouring output pixels sample arbitrary places of the map, so a vector of *pixels* would have to be gathered
//! value by value. A vector of *channels* need not: all channels of a group share their points. So eight channels of
//! `x` (or twice eight) are transposed into positions of eight values ([`tile`]); each output pixel then takes four whole
//! positions, weights and adds them; and eight pixels of eight channels are transposed back and stored. The points and
//! weights of a group ([`Points`]) are computed once and serve all its channels.
//!
//! The algorithm is written once ([`part`]) over the operations of an instruction set ([`Simd`]). No operation fuses or
//! reorders arithmetic, so that every instruction set gives the bits of [`reference`](super::reference).
//!
//! [`Kernel`] is the one place where the instruction set is chosen.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;
mod part;
mod points;
mod portable;
mod tile;

use std::fmt;

use part::PartRun;
pub(super) use part::{Inputs, Workspace};
use points::{Points, PointsOf8};

/// Operations on vectors of eight f32. A value of the implementing type is proof that the processor has the
/// instructions.
trait Simd: Copy {
    type Vector: Copy;

    fn load(self, from: &[f32; 8]) -> Self::Vector;
    fn store(self, vector: Self::Vector, to: &mut [f32; 8]);
    fn splat(self, value: f32) -> Self::Vector;
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// Row `i`, lane `j` to row `j`, lane `i`.
    fn transpose(self, rows: [Self::Vector; 8]) -> [Self::Vector; 8];

    /// Positions and weights of eight points of a map of that width. All coordinates are within the map.
    #[inline(always)]
    fn points(self, columns: &[f32; 8], rows: &[f32; 8], width: u32, to: &mut PointsOf8) {
        points::scalar(columns, rows, width, to);
    }
}

/// An implementation of the sampling step: one instruction set. All give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(InstructionSet);

// Private, so that nobody has the value whose processor has not the instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InstructionSet {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(neon::Neon),
}

impl Kernel {
    /// The fastest kernel that this processor can run.
    #[must_use]
    pub fn best() -> Self {
        Self::available()[0]
    }

    /// Every kernel that this processor can run, from the fastest to the slowest.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut kernels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        kernels.extend(avx2::Avx2::detect().map(|avx2| Self(InstructionSet::Avx2(avx2))));
        #[cfg(target_arch = "aarch64")]
        kernels.extend(neon::Neon::detect().map(|neon| Self(InstructionSet::Neon(neon))));
        kernels.push(Self(InstructionSet::Portable));
        kernels
    }

    /// Name of the instruction set.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            InstructionSet::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2(_) => "AVX2",
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon(_) => "NEON",
        }
    }

    /// Computes one part. `output` is the part's own piece of the result.
    pub(super) fn run(
        self,
        inputs: &Inputs<'_>,
        part: &super::geometry::Part,
        workspace: &mut Workspace,
        output: &mut [f32],
    ) {
        let run = PartRun { inputs, part, workspace, output };
        match self.0 {
            InstructionSet::Portable => run.with(portable::Portable),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2(avx2) => avx2.run(run),
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon(neon) => neon.run(run),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transposes<S: Simd>(simd: S) {
        let rows: [[f32; 8]; 8] = std::array::from_fn(|i| std::array::from_fn(|j| (i * 8 + j) as f32));
        let transposed = simd.transpose(rows.each_ref().map(|row| simd.load(row)));
        for (j, vector) in transposed.into_iter().enumerate() {
            let mut row = [0.0; 8];
            simd.store(vector, &mut row);
            assert_eq!(row, std::array::from_fn(|i| rows[i][j]));
        }
    }

    #[test]
    fn every_instruction_set_transposes() {
        for kernel in Kernel::available() {
            match kernel.0 {
                InstructionSet::Portable => transposes(portable::Portable),
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2(avx2) => transposes(avx2),
                #[cfg(target_arch = "aarch64")]
                InstructionSet::Neon(neon) => transposes(neon),
            }
        }
    }

    #[test]
    fn the_portable_kernel_is_always_there_and_never_preferred() {
        let kernels = Kernel::available();
        assert_eq!(kernels.last().map(|kernel| kernel.name()), Some("portable"));
        assert_eq!(Kernel::best(), kernels[0]);
        #[cfg(target_arch = "x86_64")]
        let vectors = std::arch::is_x86_feature_detected!("avx2");
        #[cfg(not(target_arch = "x86_64"))]
        let vectors = cfg!(target_arch = "aarch64");
        assert_eq!(kernels.len(), 1 + usize::from(vectors));
    }
}

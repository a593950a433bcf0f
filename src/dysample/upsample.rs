//! The sampling step on ndarray views and on slices.

use std::sync::{Mutex, PoisonError};

use ndarray::{Array4, ArrayView4};

use super::geometry::Part;
use super::simd::{Inputs, Kernel, Workspace};
use super::{Geometry, GeometryError};

/// Samples `x` at the points that `offset` names.
///
/// `x` is `[N, C, H, W]`, `offset` `[N, 2·groups·scale², H, W]` in positions of `x`, in the channel order of
/// [`OffsetKernels`](super::OffsetKernels); the result is `[N, C, scale·H, scale·W]`. Output channel `c` belongs to
/// group `c / (C / groups)`. Its pixel `(scale·h + i, scale·w + j)` is the bilinear interpolation of `x` at column
/// `w + offset_x` and row `h + offset_y` for the offsets of that group and `(i, j)`, clamped to the map.
///
/// Offsets may have any value: far or infinitely far outside, the nearest edge is sampled; NaN stands for coordinate 0.
/// Values of `x` follow the arithmetic of floating point: a pixel whose point touches an infinity or NaN is infinite or
/// NaN. The bits of the result depend on neither processor, kernel nor number of threads, except which NaN a NaN is.
///
/// Runs on this thread with the best kernel; [`Upsampling`] leaves both to the caller.
///
/// # Errors
/// [`GeometryError`] when the shapes, scale (1 to 8) and groups do not belong together.
///
/// # Examples
/// Without offsets, every pixel is the position it lies in: nearest upsampling.
/// ```
/// use ndarray::{Array4, array};
/// use yolo9::dysample::upsample;
///
/// let x = array![[[[1.0, 2.0]]]];
/// let offset = Array4::zeros((1, 2 * 4, 1, 2));
/// let y = upsample(x.view(), offset.view(), 2, 1)?;
/// assert_eq!(y, array![[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]);
/// # Ok::<(), yolo9::dysample::GeometryError>(())
/// ```
pub fn upsample(
    x: ArrayView4<'_, f32>,
    offset: ArrayView4<'_, f32>,
    scale: usize,
    groups: usize,
) -> Result<Array4<f32>, GeometryError> {
    let geometry = Geometry::new(x.shape(), offset.shape(), scale, groups)?;
    let (x, offset) = (x.as_standard_layout(), offset.as_standard_layout());
    let mut y = Array4::zeros(geometry.output_shape());
    if let (Some(x), Some(offset), Some(y)) = (x.as_slice(), offset.as_slice(), y.as_slice_mut()) {
        Upsampling::new(Kernel::best(), geometry, Tensors { x, offset, y }, &ScratchPool::default(), 1).run_all();
    }
    Ok(y)
}

/// The tensors of an upsampling, row-major.
#[derive(Debug)]
pub struct Tensors<'a> {
    /// `[N, C, H, W]`.
    pub x: &'a [f32],
    /// `[N, 2·groups·scale², H, W]`.
    pub offset: &'a [f32],
    /// The result, `[N, C, scale·H, scale·W]`.
    pub y: &'a mut [f32],
}

/// Memory that upsamplings work in, to be used again by later ones. For each thread 32 bytes for each pixel of a band of
/// rows (about 8192 pixels, but at least eight rows), and eight channels of `x`, or all that a part has if its map takes
/// more than one band.
#[derive(Debug, Default)]
pub struct ScratchPool(Mutex<Vec<Workspace>>);

/// An upsampling divided into parts, for the caller to run in any order and on any threads.
#[derive(Debug)]
pub struct Upsampling<'a> {
    kernel: Kernel,
    geometry: Geometry,
    x: &'a [f32],
    offset: &'a [f32],
    parts: Vec<(Part, Mutex<&'a mut [f32]>)>,
    scratch: &'a ScratchPool,
}

impl<'a> Upsampling<'a> {
    /// Prepares the parts, as many as keep that number of threads busy.
    ///
    /// # Panics
    /// If a tensor does not have the length that the geometry gives.
    #[must_use]
    pub fn new(
        kernel: Kernel,
        geometry: Geometry,
        tensors: Tensors<'a>,
        scratch: &'a ScratchPool,
        threads: usize,
    ) -> Self {
        let Tensors { x, offset, y } = tensors;
        assert_eq!(x.len(), geometry.x_len(), "length of x");
        assert_eq!(offset.len(), geometry.offset_len(), "length of offset");
        assert_eq!(y.len(), geometry.output_len(), "length of y");
        let mut rest = y;
        let mut parts = Vec::new();
        for part in geometry.parts(threads) {
            let (output, after) = rest.split_at_mut(part.channels.len() * geometry.pixels());
            parts.push((part, Mutex::new(output)));
            rest = after;
        }
        Self { kernel, geometry, x, offset, parts, scratch }
    }

    /// Number of parts.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Computes the part of that number, below [`parts`](Self::parts).
    pub fn run(&self, part: usize) {
        let Some((part, output)) = self.parts.get(part) else { return };
        // Nobody leaves a lock broken: there is nothing in here that panics.
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = || self.scratch.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut workspace = pool().pop().unwrap_or_default();
        let inputs = Inputs { geometry: &self.geometry, x: self.x, offset: self.offset };
        self.kernel.run(&inputs, part, &mut workspace, &mut output);
        pool().push(workspace);
    }

    /// Computes all parts on this thread.
    pub fn run_all(&self) {
        (0..self.parts()).for_each(|part| self.run(part));
    }
}

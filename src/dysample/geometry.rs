//! The shapes of one upsampling, checked once, and its division into independent parts.

use std::ops::Range;

use thiserror::Error;

/// Column and row numbers are exact in f32 up to here.
const MAX_SIDE: usize = 1 << 24;
/// The kernels count eight values for each position in a u32.
const MAX_POSITIONS: usize = 1 << 29;

/// Shapes that do not make an upsampling, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct GeometryError(String);

/// Shapes that belong together: `x` is `[N, C, H, W]`, `offset` `[N, 2·groups·scale², H, W]` and the result
/// `[N, C, scale·H, scale·W]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    pub(super) batch: usize,
    pub(super) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) scale: usize,
    pub(super) groups: usize,
}

/// Channels of one image and one group: what is computed in one piece, and contiguous in the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) image: usize,
    pub(super) group: usize,
    pub(super) channels: Range<usize>,
}

impl Geometry {
    /// Channels that a kernel samples at once. Parts have a multiple of it, as far as their group has.
    const CHANNELS_AT_ONCE: usize = 8;

    /// Checks that shapes, scale and groups belong together.
    ///
    /// # Errors
    /// [`GeometryError`]: scale outside 1 to 8, channels not divisible by groups, offsets of another shape, or sizes
    /// that overflow.
    pub fn new(x: &[usize], offset: &[usize], scale: usize, groups: usize) -> Result<Self, GeometryError> {
        let four = |tensor, shape: &[usize]| {
            let wrong = |_| GeometryError(format!("{tensor} has shape {shape:?}; expected four axes"));
            <[usize; 4]>::try_from(shape).map_err(wrong)
        };
        let (x, offset) = (four("x", x)?, four("offset", offset)?);
        let [batch, channels, height, width] = x;
        if !(1..=8).contains(&scale) {
            return Err(GeometryError(format!("scale is {scale}; expected 1 to 8")));
        }
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(GeometryError(format!("{channels} channels cannot be split into {groups} groups")));
        }
        let geometry = Self { batch, channels, height, width, scale, groups };
        let positions = height.checked_mul(width).filter(|positions| *positions < MAX_POSITIONS);
        let counted = positions.is_some() && height.max(width) <= MAX_SIDE;
        if !counted || geometry.checked_output().is_none() {
            return Err(GeometryError(format!(
                "x of {x:?} upsampled by {scale} is too large: sides up to {MAX_SIDE}, maps of less than {MAX_POSITIONS} \
                 positions"
            )));
        }
        let expected = geometry.offset_shape();
        if offset != expected {
            return Err(GeometryError(format!(
                "offset has shape {offset:?}; expected {expected:?}, that is [N, 2·{groups} groups·{scale}², H, W] for an x \
                 of {x:?}"
            )));
        }
        Ok(geometry)
    }

    fn checked_output(&self) -> Option<usize> {
        let offsets = self.groups.checked_mul(2 * self.scale * self.scale)?;
        let widest = self.channels.checked_mul(self.scale * self.scale)?.max(offsets);
        self.batch.checked_mul(widest)?.checked_mul(self.positions()).filter(|n| *n <= isize::MAX as usize / 4)
    }

    /// Shape of the upsampled map.
    #[must_use]
    pub fn output_shape(&self) -> [usize; 4] {
        [self.batch, self.channels, self.height * self.scale, self.width * self.scale]
    }

    /// Shape of the offsets.
    #[must_use]
    pub fn offset_shape(&self) -> [usize; 4] {
        [self.batch, 2 * self.groups * self.scale * self.scale, self.height, self.width]
    }

    /// Channels that share their sampling points.
    pub(crate) fn group_channels(&self) -> usize {
        self.channels / self.groups
    }

    /// Where the offset lies that moves an output pixel (row, column), of component 0 (x) or 1 (y); `part` counts the
    /// groups of all images.
    #[cfg(feature = "train")]
    pub(crate) fn offset_at(&self, part: usize, component: usize, [row, column]: [usize; 2]) -> usize {
        let (image, group, s) = (part / self.groups, part % self.groups, self.scale);
        self.offset_row(image, group, [component, row % s, column % s, row / s]).start + column / s
    }

    /// Positions of one channel of `x`.
    pub(crate) fn positions(&self) -> usize {
        self.height * self.width
    }

    /// Pixels of one channel of the result.
    pub(crate) fn pixels(&self) -> usize {
        self.positions() * self.scale * self.scale
    }

    pub(super) fn x_len(&self) -> usize {
        self.batch * self.channels * self.positions()
    }

    pub(super) fn offset_len(&self) -> usize {
        self.offset_shape().iter().product()
    }

    pub(super) fn output_len(&self) -> usize {
        self.batch * self.channels * self.pixels()
    }

    /// One row of offsets: those of component 0 (x) or 1 (y), of position `(i, j)` of the output pixels of row `row`.
    #[inline(always)]
    pub(super) fn offset_row(&self, image: usize, group: usize, at: [usize; 4]) -> Range<usize> {
        let [component, i, j, row] = at;
        let s = self.scale;
        let q = (component * self.groups + group) * s * s + i * s + j;
        let start = ((image * 2 * self.groups * s * s + q) * self.height + row) * self.width;
        start..start + self.width
    }

    /// Parts in the order of the result, which they cover. The sampling points are computed once per part, so there
    /// are no more parts than keep `threads` threads busy.
    pub(super) fn parts(&self, threads: usize) -> Vec<Part> {
        if self.output_len() == 0 {
            return Vec::new();
        }
        let per_group = self.group_channels();
        let wanted = if threads > 1 { threads.saturating_mul(2).div_ceil(self.batch * self.groups) } else { 1 };
        let size = per_group.div_ceil(wanted).next_multiple_of(Self::CHANNELS_AT_ONCE);
        let mut parts = Vec::new();
        for image in 0..self.batch {
            for group in 0..self.groups {
                let channels = group * per_group..(group + 1) * per_group;
                for start in channels.clone().step_by(size) {
                    parts.push(Part { image, group, channels: start..(start + size).min(channels.end) });
                }
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_result_in_order() {
        for (channels, groups, threads) in [(512, 4, 1), (512, 4, 2), (36, 4, 16), (12, 1, 3), (7, 7, 64)] {
            let offset = [2, 2 * groups * 4, 3, 5];
            let geometry = Geometry::new(&[2, channels, 3, 5], &offset, 2, groups).unwrap();
            let parts = geometry.parts(threads);
            let covered: Vec<_> =
                parts.iter().flat_map(|part| part.channels.clone().map(|channel| (part.image, channel))).collect();
            let all: Vec<_> = (0..2).flat_map(|image| (0..channels).map(move |channel| (image, channel))).collect();
            assert_eq!(covered, all);
            let per_group = channels / groups;
            assert!(parts.iter().all(|part| part.channels.clone().all(|channel| channel / per_group == part.group)));
        }
    }

    #[test]
    fn shapes_that_do_not_belong_together_are_named() {
        let check = |x: &[usize], offset: &[usize], scale, groups| {
            Geometry::new(x, offset, scale, groups).unwrap_err().to_string()
        };
        assert!(check(&[1, 8, 4], &[1, 32, 4, 4], 2, 4).contains("x has shape [1, 8, 4]"));
        assert!(check(&[1, 8, 4, 4], &[1, 32, 4, 4], 9, 4).contains("scale is 9"));
        assert!(check(&[1, 8, 4, 4], &[1, 32, 4, 4], 0, 4).contains("scale is 0"));
        assert!(check(&[1, 9, 4, 4], &[1, 32, 4, 4], 2, 4).contains("9 channels cannot be split into 4 groups"));
        assert!(check(&[1, 8, 4, 4], &[1, 16, 4, 4], 2, 4).contains("expected [1, 32, 4, 4]"));
        assert!(check(&[1, 8, 4, 4], &[2, 32, 4, 4], 2, 4).contains("offset has shape [2, 32, 4, 4]"));
        let side = 1 << 20;
        assert!(check(&[1, 8, side, side], &[1, 32, side, side], 2, 4).contains("too large"));
        assert!(check(&[usize::MAX, 8, 4, 4], &[1, 32, 4, 4], 2, 4).contains("too large"));
    }
}

//! Where everything lies in the padded planes of a convolution.

use super::Real;
use super::tiles::WIDTH;
use crate::architecture::Convolution;

/// Sizes, and where everything lies in the padded planes.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) batch: usize,
    pub(super) groups: usize,
    /// Channels of a group.
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) out_height: usize,
    pub(super) out_width: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) dilation: usize,
    /// How many positions a tap can lie beyond the first one, along an axis of a phase.
    pub(super) reach: usize,
    /// Rows and columns of a padded plane.
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Layout {
    pub(super) fn new([batch, channels, height, width]: [usize; 4], of: &Convolution) -> Self {
        let Convolution { output, kernel, stride, padding, dilation, groups, .. } = *of;
        let span = (kernel - 1) * dilation;
        let out = |side: usize| (side + 2 * padding - span - 1) / stride + 1;
        let reach = span / stride;
        let plane = |side: usize| (out(side) + reach).max((side + 2 * padding).div_ceil(stride));
        Self {
            batch,
            groups,
            inputs: channels / groups,
            outputs: output / groups,
            height,
            width,
            out_height: out(height),
            out_width: out(width),
            kernel,
            stride,
            padding,
            dilation,
            reach,
            rows: plane(height),
            columns: plane(width),
        }
    }

    pub(super) fn area(&self) -> usize {
        self.height * self.width
    }

    pub(super) fn out_area(&self) -> usize {
        self.out_height * self.out_width
    }

    /// Positions of a padded plane.
    pub(super) fn plane(&self) -> usize {
        self.rows * self.columns
    }

    /// Output positions in the width of a plane, those between rows included.
    pub(super) fn positions(&self) -> usize {
        (self.out_height - 1) * self.columns + self.out_width
    }

    /// Whether a plane is the map itself.
    pub(super) fn is_plain(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.padding == 0
    }

    /// Places of the kernel along an axis: the phase, and the distance within it.
    pub(super) fn places(&self) -> Vec<(usize, usize)> {
        (0..self.kernel).map(|k| (k * self.dilation % self.stride, k * self.dilation / self.stride)).collect()
    }

    /// Where the taps of a group lie in the padded image.
    pub(super) fn taps(&self) -> Vec<usize> {
        let places = self.places();
        let mut taps = Vec::with_capacity(self.inputs * places.len() * places.len());
        for channel in 0..self.inputs {
            for (row_phase, row) in &places {
                for (column_phase, column) in &places {
                    let plane = (channel * self.stride + row_phase) * self.stride + column_phase;
                    taps.push(plane * self.plane() + row * self.columns + column);
                }
            }
        }
        taps
    }

    /// Copies the channels of a group into padded planes by phase. What lies around them is zero already.
    pub(super) fn pad<T: Real>(&self, x: &[T], padded: &mut [T]) {
        let (s, plane) = (self.stride, self.plane());
        for (channel, map) in x.chunks_exact(self.area()).enumerate() {
            for (y, line) in map.chunks_exact(self.width).enumerate() {
                let (row, phase) = ((y + self.padding) / s, (y + self.padding) % s);
                let start = (channel * s + phase) * s * plane + row * self.columns;
                if s == 1 {
                    padded[start + self.padding..][..self.width].copy_from_slice(line);
                    continue;
                }
                for column_phase in 0..s {
                    let first = (column_phase + s - self.padding % s) % s;
                    let to = start + column_phase * plane + (first + self.padding) / s;
                    let values = line.iter().skip(first).step_by(s);
                    padded[to..].iter_mut().zip(values).for_each(|(to, value)| *to = *value);
                }
            }
        }
    }

    /// Length of all padded planes of a group; a tile more, for tiles that begin near the end.
    pub(super) fn padded_length(&self) -> usize {
        self.inputs * self.stride * self.stride * self.plane() + WIDTH
    }

    /// The padded gradient of a group: rows and columns of zeros before each plane's own.
    pub(super) fn gradient_plane(&self) -> usize {
        (self.rows + self.reach + 1) * self.columns
    }

    /// Where the first value lies in a padded plane of the gradient.
    pub(super) fn gradient_start(&self) -> usize {
        self.reach * self.columns + self.reach
    }

    pub(super) fn pad_gradient<T: Real>(&self, dy: &[T], padded: &mut [T]) {
        let planes = padded.chunks_exact_mut(self.gradient_plane());
        for (map, plane) in dy.chunks_exact(self.out_area()).zip(planes) {
            let rows = plane[self.gradient_start()..].chunks_mut(self.columns);
            map.chunks_exact(self.out_width)
                .zip(rows)
                .for_each(|(line, row)| row[..self.out_width].copy_from_slice(line));
        }
    }

    pub(super) fn padded_gradient_length(&self) -> usize {
        self.outputs * self.gradient_plane() + WIDTH + self.reach
    }
}

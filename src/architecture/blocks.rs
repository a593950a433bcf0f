//! The blocks of YOLOv9 (arXiv 2402.13616), each as a composition of primitive operations.
//!
//! Parameter names follow the official modules: `at(path, "cv1")` is the submodule `cv1` of the block at `path`.

use super::builder::{Builder, Built};
use super::operation::Value;

/// Channels of a block with a hidden split: `c2`, `c3`, `c4` of the official constructors.
#[derive(Clone, Copy)]
pub(super) struct Widths {
    pub(super) output: usize,
    /// After the first convolution, before the split.
    pub(super) part: usize,
    /// Of each further branch.
    pub(super) process: usize,
}

pub(super) fn at(path: &str, name: &str) -> String {
    format!("{path}.{name}")
}

/// Downsampling: 2x2 mean at stride 1, then a 3x3 convolution at stride 2.
///
/// The mean cannot be folded into a 4x4 convolution: the zero padding applies to the averaged map.
pub(super) fn aconv(b: &mut Builder, x: Value, path: &str, output: usize) -> Built {
    let x = b.average_pool(x, 2, 1)?;
    b.conv(x, at(path, "cv1"), output, 3, 2)
}

/// Downsampling in two halves: a strided convolution, and a max-pool followed by a 1x1 convolution.
pub(super) fn adown(b: &mut Builder, x: Value, path: &str, output: usize) -> Built {
    let x = b.average_pool(x, 2, 1)?;
    let [x1, x2] = b.halves(x)?;
    if !output.is_multiple_of(2) {
        return Err(format!("{output} output channels cannot be halved"));
    }
    let x1 = b.conv(x1, at(path, "cv1"), output / 2, 3, 2)?;
    let x2 = b.max_pool(x2, 3, 2, 1)?;
    let x2 = b.conv(x2, at(path, "cv2"), output / 2, 1, 1)?;
    b.concat(&[x1, x2])
}

/// Efficient layer aggregation with two 3x3 convolutions.
pub(super) fn elan1(b: &mut Builder, x: Value, path: &str, widths: Widths) -> Built {
    let y = b.conv(x, at(path, "cv1"), widths.part, 1, 1)?;
    let [y0, y1] = b.halves(y)?;
    let y2 = b.conv(y1, at(path, "cv2"), widths.process, 3, 1)?;
    let y3 = b.conv(y2, at(path, "cv3"), widths.process, 3, 1)?;
    let y = b.concat(&[y0, y1, y2, y3])?;
    b.conv(y, at(path, "cv4"), widths.output, 1, 1)
}

/// GELAN: layer aggregation whose branches are CSP blocks of re-parameterised convolutions.
pub(super) fn rep_ncsp_elan4(b: &mut Builder, x: Value, path: &str, widths: Widths, repeats: usize) -> Built {
    let branch = |b: &mut Builder, x: Value, name: &str| {
        let path = at(path, name);
        let y = rep_ncsp(b, x, &at(&path, "0"), widths.process, repeats)?;
        b.conv(y, at(&path, "1"), widths.process, 3, 1)
    };
    let y = b.conv(x, at(path, "cv1"), widths.part, 1, 1)?;
    let [y0, y1] = b.halves(y)?;
    let y2 = branch(b, y1, "cv2")?;
    let y3 = branch(b, y2, "cv3")?;
    let y = b.concat(&[y0, y1, y2, y3])?;
    b.conv(y, at(path, "cv4"), widths.output, 1, 1)
}

/// Cross-stage partial block over `repeats` bottlenecks.
fn rep_ncsp(b: &mut Builder, x: Value, path: &str, output: usize, repeats: usize) -> Built {
    let hidden = output / 2;
    let mut y = b.conv(x, at(path, "cv1"), hidden, 1, 1)?;
    let skip = b.conv(x, at(path, "cv2"), hidden, 1, 1)?;
    for n in 0..repeats {
        y = rep_nbottleneck(b, y, &format!("{path}.m.{n}"))?;
    }
    let y = b.concat(&[y, skip])?;
    b.conv(y, at(path, "cv3"), output, 1, 1)
}

/// Two 3x3 convolutions, the first re-parameterised, and a residual. Channels stay.
fn rep_nbottleneck(b: &mut Builder, x: Value, path: &str) -> Built {
    let y = b.rep_conv(x, at(path, "cv1"), x.channels)?;
    let y = b.conv(y, at(path, "cv2"), x.channels, 3, 1)?;
    b.add(x, y)
}

/// Spatial pyramid: three chained 5x5 max-pools, all joined.
pub(super) fn spp_elan(b: &mut Builder, x: Value, path: &str, output: usize, hidden: usize) -> Built {
    let p0 = b.conv(x, at(path, "cv1"), hidden, 1, 1)?;
    let p1 = b.max_pool(p0, 5, 1, 2)?;
    let p2 = b.max_pool(p1, 5, 1, 2)?;
    let p3 = b.max_pool(p2, 5, 1, 2)?;
    let y = b.concat(&[p0, p1, p2, p3])?;
    b.conv(y, at(path, "cv5"), output, 1, 1)
}

/// The spatial pyramid of YOLOv7: parallel 5x5, 9x9 and 13x13 max-pools inside a CSP block.
pub(super) fn spp_cspc(b: &mut Builder, x: Value, path: &str, output: usize, hidden: usize) -> Built {
    let y = b.conv(x, at(path, "cv1"), hidden, 1, 1)?;
    let y = b.conv(y, at(path, "cv3"), hidden, 3, 1)?;
    let y = b.conv(y, at(path, "cv4"), hidden, 1, 1)?;
    let pooled = [5, 9, 13].map(|kernel| b.max_pool(y, kernel, 1, kernel / 2));
    let [p5, p9, p13] = pooled;
    let y = b.concat(&[y, p5?, p9?, p13?])?;
    let y = b.conv(y, at(path, "cv5"), hidden, 1, 1)?;
    let y = b.conv(y, at(path, "cv6"), hidden, 3, 1)?;
    let skip = b.conv(x, at(path, "cv2"), hidden, 1, 1)?;
    let y = b.concat(&[y, skip])?;
    b.conv(y, at(path, "cv7"), output, 1, 1)
}

//! The detection head: per level a box branch (64 channels: 4 sides of 16 bins) and a class branch.
//!
//! Dual and triple heads list their auxiliary levels first; only the last group serves inference. Its parameters carry
//! the names `cv4`/`cv5` (dual) or `cv6`/`cv7` (triple).

use super::Role;
use super::blocks::at;
use super::builder::{Builder, Built, make_divisible};
use super::operation::{Convolution, Value};
use crate::config::{ConfigFormat, LayerSpec, ModelConfig, ModuleKind};

/// Bins of the distribution over the distance to each side (`reg_max`).
pub const REG_MAX: usize = 16;

/// Form of a head branch that released checkpoints choose differently from the official formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadWidths {
    /// Hidden channels of the box branch (`c2`).
    pub boxes: usize,
    /// Groups of the second and third convolution of the box branch: 4 in `DDetect`, else 1.
    pub box_groups: usize,
    /// Hidden channels of the class branch (`c3`).
    pub classes: usize,
    /// Whether the class branch has a depth-wise 3x3 and a 1x1 convolution in the place of each 3x3 one, as Ultralytics
    /// built it for some months from version 8.3.0 on.
    pub depthwise: bool,
}

/// One level of a branch.
#[derive(Debug, Clone, Copy)]
pub struct HeadLevel {
    /// Input pixels per anchor point.
    pub stride: usize,
    /// Box distributions, `[N, 64, H, W]`: left, top, right, bottom with 16 bins each.
    pub boxes: Value,
    /// Class logits, `[N, nc, H, W]`.
    pub classes: Value,
}

/// One group of levels with its own parameters.
#[derive(Debug, Clone)]
pub struct HeadBranch {
    /// The last group is the main one.
    pub role: Role,
    /// Prefix of the box branch, such as `model.22.cv2`.
    pub box_path: String,
    /// Prefix of the class branch, such as `model.22.cv3`.
    pub class_path: String,
    /// Path of the constant DFL convolution, such as `model.22.dfl`.
    pub dfl_path: String,
    /// Hidden widths.
    pub widths: HeadWidths,
    /// From the finest to the coarsest.
    pub levels: Vec<HeadLevel>,
}

/// The head of a network.
#[derive(Debug, Clone)]
pub struct Head {
    /// Index of its layer.
    pub layer: usize,
    /// Number of classes.
    pub classes: usize,
    /// Auxiliary branches first, the main one last; never empty.
    pub branches: Vec<HeadBranch>,
}

impl Head {
    /// The branch that inference uses.
    ///
    /// # Panics
    /// Never: a head has at least one branch.
    #[must_use]
    pub fn main(&self) -> &HeadBranch {
        self.branches.last().expect("a head is built with at least one branch")
    }
}

/// Builds all branches. `widths` overrides the formula for the first branches.
pub(super) fn build(
    b: &mut Builder,
    inputs: &[Value],
    layer: &LayerSpec,
    config: &ModelConfig,
    widths: &[HeadWidths],
) -> Built<Head> {
    let (count, classes) = (branch_count(layer.module), config.classes);
    if inputs.is_empty() || !inputs.len().is_multiple_of(count) {
        return Err(format!("{} inputs cannot be divided among {count} branches of levels", inputs.len()));
    }
    let path = format!("model.{}", layer.index);
    let mut branches = Vec::with_capacity(count);
    for (n, levels) in inputs.chunks_exact(inputs.len() / count).enumerate() {
        let widths = widths.get(n).copied().unwrap_or_else(|| default_widths(layer.module, config, levels[0].channels));
        let mut branch = HeadBranch {
            role: if n + 1 == count { Role::Main } else { Role::Auxiliary },
            box_path: at(&path, &format!("cv{}", 2 * n + 2)),
            class_path: at(&path, &format!("cv{}", 2 * n + 3)),
            dfl_path: at(&path, &if n == 0 { "dfl".to_owned() } else { format!("dfl{}", n + 1) }),
            widths,
            levels: Vec::with_capacity(levels.len()),
        };
        for (level, x) in levels.iter().enumerate() {
            branch.levels.push(build_level(b, *x, (&branch, level), classes)?);
        }
        branches.push(branch);
    }
    Ok(Head { layer: layer.index, classes, branches })
}

fn build_level(b: &mut Builder, x: Value, place: (&HeadBranch, usize), classes: usize) -> Built<HeadLevel> {
    let (HeadBranch { widths, box_path, class_path, .. }, level) = place;
    let (boxes, cls) = (at(box_path, &level.to_string()), at(class_path, &level.to_string()));
    let activation = b.activation;
    let grouped = |y: Value, part: &str, output: usize, kernel: usize| {
        Convolution::same(y, at(&boxes, part), output, kernel, 1).grouped(widths.box_groups)
    };

    let y = b.conv(x, at(&boxes, "0"), widths.boxes, 3, 1)?;
    let y = b.convolution(y, grouped(y, "1", widths.boxes, 3).normalised(activation))?;
    let boxes = b.convolution(y, grouped(y, "2", 4 * REG_MAX, 1))?;

    let y = if widths.depthwise {
        let depthwise = |b: &mut Builder, x: Value, path: String| {
            let same = Convolution::same(x, path, x.channels, 3, 1);
            b.convolution(x, same.grouped(x.channels).normalised(activation))
        };
        let y = depthwise(b, x, at(&cls, "0.0"))?;
        let y = b.conv(y, at(&cls, "0.1"), widths.classes, 1, 1)?;
        let y = depthwise(b, y, at(&cls, "1.0"))?;
        b.conv(y, at(&cls, "1.1"), widths.classes, 1, 1)?
    } else {
        let y = b.conv(x, at(&cls, "0"), widths.classes, 3, 1)?;
        b.conv(y, at(&cls, "1"), widths.classes, 3, 1)?
    };
    let classes = b.convolution(y, Convolution::same(y, at(&cls, "2"), classes, 1, 1))?;
    Ok(HeadLevel { stride: 0, boxes, classes })
}

fn branch_count(kind: ModuleKind) -> usize {
    match kind {
        ModuleKind::DualDetect | ModuleKind::DualDDetect => 2,
        ModuleKind::TripleDetect | ModuleKind::TripleDDetect => 3,
        _ => 1,
    }
}

/// The widths of the config format's constructors, from the channels of the branch's first level.
fn default_widths(kind: ModuleKind, config: &ModelConfig, first: usize) -> HeadWidths {
    let classes = config.classes;
    let boxes = (first / 4).max(4 * REG_MAX);
    let decoupled = matches!(kind, ModuleKind::DDetect | ModuleKind::DualDDetect | ModuleKind::TripleDDetect);
    let hidden = if config.format == ConfigFormat::Ultralytics { classes.min(100) } else { (2 * classes).min(128) };
    HeadWidths {
        boxes: if decoupled { make_divisible(boxes as f64, 4) } else { boxes },
        box_groups: if decoupled { 4 } else { 1 },
        classes: first.max(hidden),
        depthwise: false,
    }
}

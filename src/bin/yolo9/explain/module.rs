//! What one DySample module does to an image, in numbers and words.

use anyhow::Context;
use ndarray::{Array2, Array4, Axis, s};
use serde_json::{Value, json};
use yolo9::Size;
use yolo9::dysample::{init_pos, upsample};
use yolo9::graph::DySampleValues;

use crate::statistics::Spread;

/// Below this distance in positions, points are those of a fixed upsampler.
const SAME: f64 = 0.01;

/// Below it they are close to them: a quarter of the distance between points of a module of scale 2.
const CLOSE: f64 = 0.125;

pub(super) struct Explained {
    pub(super) layer: usize,
    pub(super) scale: usize,
    pub(super) groups: usize,
    /// Positions across and down.
    pub(super) positions: (usize, usize),
    /// How far each point lies from where bilinear upsampling would sample, in positions: `[2, groups, scale, scale, H, W]`
    /// flattened to four axes, the middle three as one.
    pub(super) shifts: Array4<f32>,
    /// The same points relative to the centre of their position.
    pub(super) offsets: Array4<f32>,
    /// The same points relative to their mean over all positions: what the image decides.
    pub(super) moves: Array4<f32>,
    /// Length of the channel vectors: of the input, of nearest and bilinear upsampling, and of what the module gives.
    pub(super) input: Array2<f32>,
    pub(super) nearest: Array2<f32>,
    pub(super) bilinear: Array2<f32>,
    pub(super) output: Array2<f32>,
    /// Length of the difference to nearest upsampling.
    pub(super) difference: Array2<f32>,
    /// Of all groups.
    distances: Distances,
}

/// Distances in positions, of all points or of those of a group.
struct Distances {
    from_bilinear: Spread,
    from_nearest: Spread,
    /// How much points move about their mean over the image: 0 for a fixed upsampler.
    variation: f64,
}

impl Distances {
    /// Of some channels of the shifts from bilinear points, and of the offsets from nearest ones.
    fn of([shifts, offsets]: [&Array4<f32>; 2], channels: std::ops::Range<usize>) -> Self {
        let quartiles = |array: &Array4<f32>| {
            let (x, y) = (array.slice(s![0, channels.clone(), .., ..]), array.slice(s![1, channels.clone(), .., ..]));
            Spread::of(x.iter().zip(&y).map(|(x, y)| f64::from(*x).hypot(f64::from(*y))))
        };
        let each = (0..2).flat_map(|component| channels.clone().map(move |channel| (component, channel)));
        let spread: f64 = each.map(|(c, n)| f64::from(offsets.slice(s![c, n, .., ..]).std(0.0))).sum();
        Self {
            from_bilinear: quartiles(shifts),
            from_nearest: quartiles(offsets),
            variation: spread / (2 * channels.len()).max(1) as f64,
        }
    }
}

impl Explained {
    pub(super) fn new(values: &DySampleValues, [input, offset, output]: [&Array4<f32>; 3]) -> anyhow::Result<Self> {
        let definition = &values.definition;
        let (scale, groups) = (definition.scale, definition.groups);
        let (_, channels, rows, columns) = offset.dim();
        let bilinear_points = Array4::from_shape_vec((1, channels, 1, 1), init_pos(definition))
            .context("the offsets have another number of channels than the config says")?;
        let points = |constant: &Array4<f32>| {
            constant.broadcast((1, channels, rows, columns)).map(|view| view.to_owned()).context("offsets of one image")
        };
        let centres = Array4::zeros((1, channels, 1, 1));
        let nearest = upsample(input.view(), points(&centres)?.view(), scale, groups)?;
        let bilinear = upsample(input.view(), points(&bilinear_points)?.view(), scale, groups)?;
        let by_component = |array: Array4<f32>| {
            array
                .into_shape_with_order((2, groups * scale * scale, rows, columns))
                .context("two components of each offset")
        };
        let offsets = by_component(offset.clone())?;
        let sums = offsets.sum_axis(Axis(3)).sum_axis(Axis(2));
        let mean = (sums / (rows * columns).max(1) as f32).insert_axis(Axis(2)).insert_axis(Axis(3));
        let shifts = by_component(offset - &bilinear_points)?;
        Ok(Self {
            layer: values.layer,
            scale,
            groups,
            positions: (columns, rows),
            distances: Distances::of([&shifts, &offsets], 0..groups * scale * scale),
            shifts,
            moves: &offsets - &mean,
            offsets,
            input: lengths(input),
            difference: lengths(&(output - &nearest)),
            nearest: lengths(&nearest),
            bilinear: lengths(&bilinear),
            output: lengths(output),
        })
    }

    /// What the module comes to, in a few words.
    pub(super) fn conclusion(&self) -> &'static str {
        let Distances { from_bilinear, from_nearest, variation } = &self.distances;
        let (bilinear, nearest) = (from_bilinear.median, from_nearest.median);
        let (columns, rows) = self.positions;
        match *variation {
            v if v < 1e-6 && columns * rows > 1 && nearest < SAME => "the same as nearest upsampling",
            v if v < 1e-6 && columns * rows > 1 && bilinear < SAME => "the same as bilinear upsampling",
            v if v < 1e-6 && columns * rows > 1 => "fixed points, whatever the image shows",
            _ if bilinear < CLOSE => "close to bilinear upsampling",
            _ if nearest < CLOSE => "close to nearest upsampling",
            _ if bilinear < 1.0 => "between neighbouring positions, unlike nearest or bilinear upsampling",
            _ => "beyond the neighbouring positions",
        }
    }

    /// Where it samples, and what that comes to.
    pub(super) fn headline(&self) -> String {
        let Distances { from_bilinear, from_nearest, .. } = &self.distances;
        let (bilinear, nearest) = (from_bilinear.median, from_nearest.median);
        let (of, distance) = if nearest < bilinear { ("nearest", nearest) } else { ("bilinear", bilinear) };
        format!("layer {} is {} ({distance:.2} positions from {of}, median)", self.layer, self.conclusion())
    }

    /// Map sizes and distances.
    pub(super) fn sentence(&self, input: Size) -> String {
        let (columns, rows) = self.positions;
        let Distances { from_bilinear, from_nearest, variation } = &self.distances;
        format!(
            "layer {}: {columns}x{rows} to {}x{} positions of {:.0} pixels of the input, {} groups: {}\n    from the points of bilinear \
             upsampling, in positions: {}\n    from those of nearest: {}; they vary by {variation:.3} over the image",
            self.layer,
            columns * self.scale,
            rows * self.scale,
            input.width as f64 / columns as f64,
            self.groups,
            self.conclusion(),
            from_bilinear.text(false),
            from_nearest.text(false)
        )
    }

    pub(super) fn json(&self) -> Value {
        let (columns, rows) = self.positions;
        let distances = |distances: &Distances| {
            json!({
                "from_bilinear": distances.from_bilinear,
                "from_nearest": distances.from_nearest,
                "variation": distances.variation,
            })
        };
        let group = |group: usize| {
            let subpixels = self.scale * self.scale;
            let channels = group * subpixels..(group + 1) * subpixels;
            let mean = |component: usize| self.shifts.slice(s![component, channels.clone(), .., ..]).mean();
            let mut of = distances(&Distances::of([&self.shifts, &self.offsets], channels.clone()));
            of["group"] = json!(group);
            of["mean_shift"] = json!([mean(0), mean(1)]);
            of
        };
        let mut all = distances(&self.distances);
        all["layer"] = json!(self.layer);
        all["conclusion"] = json!(self.conclusion());
        all["scale"] = json!(self.scale);
        all["positions"] = json!([columns, rows]);
        all["groups"] = (0..self.groups).map(group).collect();
        all
    }
}

/// Length of the vector of channels at each position: how channels become one value.
pub(super) fn lengths(map: &Array4<f32>) -> Array2<f32> {
    map.index_axis(Axis(0), 0).map(|value| value * value).sum_axis(Axis(0)).map(|sum| sum.sqrt())
}

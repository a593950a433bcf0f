//! What 8-bit integers change: AP on a dataset, or the boxes of the calibration images.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use yolo9::Model;
use yolo9::compare::{Change, compare_detections};
use yolo9::detect::{DetectorOptions, Engine, Preset};
use yolo9::evaluate::{CocoEvaluation, CocoMetrics, Dataset, Difference, ap_differences};
use yolo9::image::{Image, ImageLimits, InputShape};
use yolo9::runtime::{OrtBackend, Precision};

use super::Work;
use crate::console::print_line;
use crate::options;
use crate::report::counted;
use crate::val::{Inference, Placement, RESAMPLES};

/// What was measured.
pub(super) enum Effect {
    /// AP of both.
    Accuracy { f32: CocoMetrics, int8: CocoMetrics, difference: Difference },
    /// Boxes of f32 on that many images, and what became of them.
    Boxes { images: usize, counts: BTreeMap<Change, usize> },
}

impl Work<'_> {
    /// AP before and after; nothing if somebody asked to stop.
    pub(super) fn accuracy(&self, before: Model, after: Model, dataset: &Dataset) -> anyhow::Result<Option<Effect>> {
        let all = options::session(&self.args.runtime).spinning(false);
        let of = |model: Model, precision: Precision| {
            let inference = Inference {
                runtime: self.runtime.clone(),
                limits: ImageLimits::default(),
                session: all.clone().precision(Some(precision)),
                interrupt: self.interrupt.clone(),
                shown: Preset::default().postprocess(),
                bar: self.bar(dataset.images.len(), "accuracy"),
            };
            // Both pad to the same input, or the letterbox would be a part of the difference.
            let shape = if self.args.fixed { InputShape::Square } else { InputShape::Rectangular };
            let letterbox = model.letterbox(Some(self.args.imgsz), shape, Preset::default().box_rescaling())?;
            inference.run(dataset, model, DetectorOptions::new(letterbox, Preset::evaluation()), Placement::AsDetect)
        };
        let (a, b) = (of(before, Precision::F32)?, of(after, Precision::Int8)?);
        if a.interrupted || b.interrupted {
            return Ok(None);
        }
        let [f32, int8] = [a, b].map(|evaluated| CocoEvaluation::new(&evaluated.images, dataset.class_names.len()));
        let difference = ap_differences(&f32, &int8, dataset.images.len(), RESAMPLES, 1).by_area[0];
        Ok(Some(Effect::Accuracy { f32: f32.metrics(), int8: int8.metrics(), difference }))
    }

    /// What becomes of the boxes of the calibration images.
    pub(super) fn changes(&self, mut a: Engine<OrtBackend>, after: Model, images: &[Image]) -> anyhow::Result<Effect> {
        let session = options::session(&self.args.runtime).precision(Some(Precision::Int8));
        let mut b = Engine::new(after.into_sessions(self.runtime, &session, 1)?.remove(0), a.options().clone());
        let mut counts: BTreeMap<Change, usize> = BTreeMap::new();
        for image in images {
            let found = [a.detect(&image.pixels)?.detections, b.detect(&image.pixels)?.detections];
            for compared in compare_detections(&found[0], &found[1]) {
                *counts.entry(compared.change).or_default() += 1;
            }
        }
        Ok(Effect::Boxes { images: images.len(), counts })
    }
}

/// How many boxes there are of a change.
fn count(counts: &BTreeMap<Change, usize>, change: Change) -> usize {
    counts.get(&change).copied().unwrap_or_default()
}

/// Those of f32.
fn before(counts: &BTreeMap<Change, usize>) -> usize {
    counts.values().sum::<usize>() - count(counts, Change::OnlyB)
}

impl Effect {
    pub(super) fn print(&self) -> anyhow::Result<()> {
        match self {
            Effect::Accuracy { f32: a, int8: b, difference } => {
                let interval = interval(difference);
                print_line!("AP    {:.4} in f32, {:.4} in int8: {:+.4}{interval}", a.ap, b.ap, b.ap - a.ap);
                print_line!("AP50  {:.4} in f32, {:.4} in int8: {:+.4}", a.ap50, b.ap50, b.ap50 - a.ap50);
            }
            Effect::Boxes { images, counts } => {
                print_line!(
                    "Of {} in f32 on {}: {} the same, {} moved, {} with another confidence, {} lost; {} new",
                    counted(before(counts), "box"),
                    counted(*images, "calibration image"),
                    count(counts, Change::Same),
                    count(counts, Change::Moved),
                    count(counts, Change::Rescored),
                    count(counts, Change::OnlyA),
                    count(counts, Change::OnlyB)
                );
                print_line!("Give --data for what that does to AP");
            }
        }
        Ok(())
    }

    /// Either `accuracy` or `boxes`.
    pub(super) fn json(&self) -> Value {
        match self {
            Effect::Accuracy { f32: a, int8: b, difference } => {
                let scores = |ap: f64, ap50: f64| json!({ "AP": ap, "AP50": ap50 });
                json!({ "accuracy": {
                    "f32": scores(a.ap, a.ap50),
                    "int8": scores(b.ap, b.ap50),
                    "AP_int8_minus_f32": b.ap - a.ap,
                    "interval": difference.interval,
                }})
            }
            Effect::Boxes { counts, .. } => json!({ "boxes": {
                "f32": before(counts),
                "same": count(counts, Change::Same),
                "moved": count(counts, Change::Moved),
                "confidence changed": count(counts, Change::Rescored),
                "lost": count(counts, Change::OnlyA),
                "new": count(counts, Change::OnlyB),
            }}),
        }
    }
}

fn interval(difference: &Difference) -> String {
    let text = |[low, high]: [f64; 2]| format!(" (95 % interval {low:+.4} to {high:+.4})");
    // Too few images have none.
    difference.interval.map(text).unwrap_or_default()
}

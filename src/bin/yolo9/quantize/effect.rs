//! What 8-bit integers change: AP on a dataset, or the boxes of the calibration images.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use yolo9::Model;
use yolo9::compare::{Change, compare_detections};
use yolo9::detect::{DetectorOptions, Engine, Preset};
use yolo9::evaluate::{Dataset, Difference, ap_differences};
use yolo9::image::{Image, ImageLimits, InputShape};
use yolo9::runtime::{OrtBackend, Precision};

use super::Work;
use crate::console::print_line;
use crate::options;
use crate::report::counted;
use crate::val::{Inference, Placement, RESAMPLES, SHOWN, Scores};

/// What was measured.
pub(super) enum Effect {
    Accuracy(Box<Accuracy>),
    Boxes(Boxes),
}

/// AP of both.
pub(super) struct Accuracy {
    f32: Scores,
    int8: Scores,
    difference: Difference,
}

/// Boxes of f32, and what became of them.
pub(super) struct Boxes {
    images: usize,
    counts: BTreeMap<Change, usize>,
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
        let [f32, int8] = [a, b].map(|evaluated| Scores::of(&evaluated.images, &evaluated.shown, SHOWN, dataset));
        let differences = ap_differences(&f32.evaluation, &int8.evaluation, dataset.images.len(), RESAMPLES, 1);
        let difference = differences.by_area[0];
        Ok(Some(Effect::Accuracy(Box::new(Accuracy { f32, int8, difference }))))
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
        Ok(Effect::Boxes(Boxes { images: images.len(), counts }))
    }
}

impl Boxes {
    fn count(&self, change: Change) -> usize {
        self.counts.get(&change).copied().unwrap_or_default()
    }

    /// In f32.
    fn before(&self) -> usize {
        self.counts.values().sum::<usize>() - self.count(Change::OnlyB)
    }
}

impl Effect {
    pub(super) fn print(&self) -> anyhow::Result<()> {
        match self {
            Effect::Accuracy(accuracy) => {
                let Accuracy { f32: Scores { coco: a, .. }, int8: Scores { coco: b, .. }, difference } = &**accuracy;
                let interval = interval(difference);
                print_line!("AP    {:.4} in f32, {:.4} in int8: {:+.4}{interval}", a.ap, b.ap, b.ap - a.ap);
                print_line!("AP50  {:.4} in f32, {:.4} in int8: {:+.4}", a.ap50, b.ap50, b.ap50 - a.ap50);
            }
            Effect::Boxes(boxes) => {
                print_line!(
                    "Of {} in f32 on {}: {} the same, {} moved, {} with another confidence, {} lost; {} new",
                    counted(boxes.before(), "box"),
                    counted(boxes.images, "calibration image"),
                    boxes.count(Change::Same),
                    boxes.count(Change::Moved),
                    boxes.count(Change::Rescored),
                    boxes.count(Change::OnlyA),
                    boxes.count(Change::OnlyB)
                );
                print_line!("Give --data for what that does to AP");
            }
        }
        Ok(())
    }

    /// Either `accuracy` or `boxes`.
    pub(super) fn json(&self) -> Value {
        match self {
            Effect::Accuracy(accuracy) => {
                let Accuracy { f32: Scores { coco: a, .. }, int8: Scores { coco: b, .. }, difference } = &**accuracy;
                let scores = |ap: f64, ap50: f64| json!({ "AP": ap, "AP50": ap50 });
                let known = !difference.interval[0].is_nan();
                json!({ "accuracy": {
                    "f32": scores(a.ap, a.ap50),
                    "int8": scores(b.ap, b.ap50),
                    "AP_int8_minus_f32": b.ap - a.ap,
                    "interval": known.then_some(difference.interval),
                }})
            }
            Effect::Boxes(boxes) => json!({ "boxes": {
                "f32": boxes.before(),
                "same": boxes.count(Change::Same),
                "moved": boxes.count(Change::Moved),
                "confidence changed": boxes.count(Change::Rescored),
                "lost": boxes.count(Change::OnlyA),
                "new": boxes.count(Change::OnlyB),
            }}),
        }
    }
}

fn interval(difference: &Difference) -> String {
    let [low, high] = difference.interval;
    // Too few images have none.
    if low.is_nan() { String::new() } else { format!(" (95 % interval {low:+.4} to {high:+.4})") }
}

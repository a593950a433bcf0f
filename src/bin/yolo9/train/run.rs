//! The epochs of a run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::json;
use yolo9::detect::{DetectorOptions, Preset};
use yolo9::evaluate::{Dataset, yolo_metrics};
use yolo9::image::{BoxRescaling, ImageLimits, InputShape};
use yolo9::model::ModelFile;
use yolo9::runtime::{Runtime, SessionOptions};
use yolo9::train::{Augmentation, EpochRecord, EpochScores, LossItems, Plan, Trainer, TrainingSet};
use yolo9::{Model, Size};

use super::folder::{DRAWN_BATCHES, Folder, weights};
use super::settings::TrainSettings;
use crate::cli::Globals;
use crate::console::{event, logs_json, say};
use crate::exit::ExitStatus;
use crate::interrupt::Interrupt;
use crate::report::{bar, counted};
use crate::val::{Evaluated, Inference, Placement};

/// What a run works with.
pub(super) struct TrainingRun<'a> {
    pub(super) settings: &'a TrainSettings,
    pub(super) trainer: Trainer,
    pub(super) set: Arc<TrainingSet>,
    pub(super) validation: Dataset,
    pub(super) folder: Folder,
    pub(super) runtime: Runtime,
    pub(super) interrupt: Interrupt,
    /// Threads that prepare batches.
    pub(super) workers: usize,
    pub(super) save_every: Duration,
    pub(super) globals: &'a Globals,
    /// Whether validation images that cannot be read have been listed.
    pub(super) has_warned: bool,
}

/// Of validation images that are left out.
fn warn_of(failed: &[(PathBuf, String)]) {
    if let Some((path, reason)) = failed.first() {
        let count = counted(failed.len(), "validation image");
        log::warn!("{count} left out, which cannot be read; the first is {}: {reason}", path.display());
    }
}

impl TrainingRun<'_> {
    pub(super) fn train(&mut self) -> anyhow::Result<ExitStatus> {
        let mut saved = Instant::now();
        while self.trainer.progress().epoch < self.settings.epochs {
            let start = Instant::now();
            let before = self.trainer.progress().batch;
            if !self.epoch(&mut saved)? {
                return self.interrupted();
            }
            // The last batch of an epoch may have fewer.
            let images = self.set.len().saturating_sub(before * self.settings.batch);
            let rate = images as f64 / start.elapsed().as_secs_f64();
            let Some(evaluated) = self.validate()? else { return self.interrupted() };
            if !self.has_warned {
                self.has_warned = true;
                warn_of(&evaluated.failed);
            }
            let scores = scores(&evaluated, &self.validation);
            let is_best = self.trainer.end_epoch(Some(scores));
            self.folder.end_epoch(&self.trainer, self.settings, is_best)?;
            saved = Instant::now();
            if let Some(record) = self.trainer.progress().history.last() {
                self.report(record, start.elapsed(), rate);
            }
        }
        Ok(ExitStatus::Done)
    }

    fn interrupted(&self) -> anyhow::Result<ExitStatus> {
        self.folder.save(&self.trainer, self.settings)?;
        let progress = self.trainer.progress();
        say!(
            "Interrupted in epoch {} of {}, after {} of it; go on with: yolo9 train --resume {}",
            progress.epoch + 1,
            self.settings.epochs,
            counted(progress.batch, "batch"),
            self.folder.0.display()
        );
        Ok(ExitStatus::Interrupted)
    }

    /// The batches of an epoch that are left. False if somebody asked to stop.
    fn epoch(&mut self, saved: &mut Instant) -> anyhow::Result<bool> {
        let epoch = self.trainer.progress().epoch;
        let plan = self.plan(epoch)?;
        if epoch > 0 && epoch + self.settings.close_mosaic == self.settings.epochs {
            log::info!("No mosaics from here on");
        }
        let first = self.trainer.progress().batch;
        let bar = self.bar(epoch, first, plan.batches());
        for batch in plan.epoch(epoch, first..plan.batches(), self.workers) {
            let batch = match batch {
                Ok(batch) => batch,
                Err(unused) => {
                    self.folder.save(&self.trainer, self.settings)?;
                    anyhow::bail!("{}: {}; it could be read when the run began", unused.path.display(), unused.reason);
                }
            };
            let number = self.trainer.progress().batch;
            if epoch == 0 && number < DRAWN_BATCHES {
                self.folder.draw(number, &batch, &self.validation.class_names)?;
            }
            let items = self.trainer.learn(&batch)?;
            bar.set_message(losses(&items));
            bar.inc(1);
            if saved.elapsed() >= self.save_every {
                self.folder.save(&self.trainer, self.settings)?;
                *saved = Instant::now();
            }
            if self.interrupt.requested() {
                bar.finish_and_clear();
                return Ok(false);
            }
        }
        bar.finish_and_clear();
        Ok(true)
    }

    pub(super) fn plan(&self, epoch: usize) -> anyhow::Result<Plan> {
        let mosaic = epoch + self.settings.close_mosaic < self.settings.epochs;
        let augmentation = Augmentation { hyperparameters: self.settings.hyperparameters()?, mosaic };
        let Self { set, settings, .. } = self;
        Ok(Plan { set: Arc::clone(set), batch: settings.batch, seed: settings.seed, augmentation })
    }

    /// Detections of the averaged weights on the validation split; nothing if somebody asked to stop.
    fn validate(&self) -> anyhow::Result<Option<Evaluated>> {
        let checkpoint = weights(&self.trainer, self.settings)?;
        self.evaluate(Model::new("the averaged weights", ModelFile::Checkpoint(checkpoint), None, None)?)
    }

    pub(super) fn evaluate(&self, model: Model) -> anyhow::Result<Option<Evaluated>> {
        let size = Some(Size::square(self.settings.imgsz));
        let letterbox = model.letterbox(size, InputShape::Rectangular, BoxRescaling::Official)?;
        let inference = Inference {
            runtime: self.runtime.clone(),
            session: SessionOptions::default().threads(self.settings.threads).spinning(false),
            limits: ImageLimits::default(),
            interrupt: self.interrupt.clone(),
            shown: Preset::default().postprocess(),
            bar: ProgressBar::hidden(),
        };
        let detector = DetectorOptions::new(letterbox, Preset::evaluation());
        let evaluated = inference.run(&self.validation, model, detector, Placement::AsDetect)?;
        Ok(Some(evaluated).filter(|evaluated| !evaluated.interrupted))
    }

    fn bar(&self, epoch: usize, first: usize, batches: usize) -> ProgressBar {
        let template = format!(
            "epoch {}/{} {{bar:24}} {{pos}}/{{len}} {{msg}}  {{rate}} images/s ETA {{eta}}",
            epoch + 1,
            self.settings.epochs
        );
        bar(Some(batches as u64), &template, self.settings.batch, self.globals.quiet).with_position(first as u64)
    }

    fn report(&self, record: &EpochRecord, time: Duration, rate: f64) {
        let EpochRecord { epoch, loss, scores, .. } = record;
        if self.globals.quiet {
            return;
        }
        if logs_json() {
            let scores = scores
                .map(|s| json!({ "precision": s.precision, "recall": s.recall, "mAP50": s.map50, "mAP50_95": s.map }));
            return event(
                "info",
                "epoch",
                json!({
                    "epoch": epoch, "epochs": self.settings.epochs, "seconds": time.as_secs_f64(), "images_per_second": rate,
                    "loss": { "box": loss.bbox, "cls": loss.class, "dfl": loss.dfl }, "scores": scores,
                }),
            );
        }
        let scores = scores.map_or_else(String::new, |s| {
            format!("P {:.3}  R {:.3}  mAP50 {:.3}  mAP50-95 {:.3}", s.precision, s.recall, s.map50, s.map)
        });
        let best = if self.trainer.progress().best().map(|best| best.epoch) == Some(*epoch) { "  best" } else { "" };
        say!(
            "epoch {epoch}/{}: {}  {scores}  {:.0} s, {rate:.1} images/s{best}",
            self.settings.epochs,
            losses(loss),
            time.as_secs_f64()
        );
    }
}

fn losses(items: &LossItems) -> String {
    format!("box {:.3} cls {:.3} dfl {:.3}", items.bbox, items.class, items.dfl)
}

/// By the rules of the official val.py. An image that cannot be read has no detections.
fn scores(evaluated: &Evaluated, dataset: &Dataset) -> EpochScores {
    let metrics = yolo_metrics(&evaluated.images, dataset.class_names.len(), Preset::Yolov9);
    let known = |value: f64| if value.is_nan() { 0.0 } else { value };
    EpochScores {
        precision: known(metrics.precision),
        recall: known(metrics.recall),
        map50: known(metrics.map50),
        map: known(metrics.map),
    }
}

//! The files of a run.

use std::fmt::Write;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use image::{ImageFormat, RgbImage};
use yolo9::checkpoint::Checkpoint;
use yolo9::detect::BoxXyxy;
use yolo9::output::{Mark, class_colour, delete_if_there, draw_marks, encode_image, write_atomically};
use yolo9::train::{Batch, EpochRecord, Progress, Trainer};

use super::settings::TrainSettings;
use crate::report::counted;
use crate::run::lock::lock;
use crate::val::WORST_SHEET;

/// What a run can be continued from.
pub(super) const STATE: &str = "state.safetensors";
/// Averaged weights of the best epoch.
pub(super) const BEST: &str = "best.safetensors";
/// Averaged weights of the last epoch.
pub(super) const LAST: &str = "last.safetensors";

/// A line for each epoch.
const RESULTS: &str = "results.csv";
/// The page about it.
pub(super) const REPORT: &str = "report.html";

/// Batches that are drawn.
pub(super) const DRAWN_BATCHES: usize = 3;

/// The drawing of one of them.
pub(super) fn batch_file(number: usize) -> String {
    format!("train-batch{number}.jpg")
}

/// Most images of a batch that are drawn.
const DRAWN: usize = 16;
/// Side of one of them, in pixels.
const TILE: u32 = 320;

/// The folder of a run, for this process alone as long as it lives.
pub(super) struct Folder(pub(super) PathBuf, #[allow(dead_code, reason = "held for its lock")] File);

/// Whose lock says that a run is at work.
const LOCK: &str = "train.lock";

impl Folder {
    pub(super) fn lock(folder: PathBuf) -> anyhow::Result<Self> {
        let file = lock(&folder.join(LOCK))?.with_context(|| {
            format!("{}: another run is at work in this folder; wait for it, or take another --out", folder.display())
        })?;
        Ok(Self(folder, file))
    }

    /// Removes what an earlier run left, so that nothing of it is taken for the new one's. The state goes first: what is
    /// left after an interruption cannot be resumed.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        let drawn = (0..DRAWN_BATCHES).map(|number| self.file(&batch_file(number)));
        let own = [STATE, BEST, LAST, RESULTS, REPORT, WORST_SHEET].map(|name| self.file(name));
        for path in own.into_iter().chain(drawn) {
            delete_if_there(&path)
                .with_context(|| format!("{} of an earlier run cannot be removed", path.display()))?;
        }
        Ok(())
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The state, which replaces the earlier one when it is complete.
    pub(super) fn save(&self, trainer: &Trainer, settings: &TrainSettings) -> anyhow::Result<()> {
        let state = trainer.state(&serde_json::to_string(settings)?);
        Ok(write_atomically(&self.file(STATE), &state)?)
    }

    /// The files of an epoch that has ended; the state last, so that a run that is killed in between does it again.
    pub(super) fn end_epoch(&self, trainer: &Trainer, settings: &TrainSettings, is_best: bool) -> anyhow::Result<()> {
        let bytes = weights(trainer, settings)?.to_safetensors()?;
        write_atomically(&self.file(LAST), &bytes)?;
        if is_best {
            write_atomically(&self.file(BEST), &bytes)?;
        }
        write_atomically(&self.file(RESULTS), results(trainer.progress()).as_bytes())?;
        self.save(trainer, settings)
    }

    /// An augmented batch with its boxes.
    pub(super) fn draw(&self, number: usize, batch: &Batch, names: &[String]) -> anyhow::Result<()> {
        let sheet = sheet(batch, names);
        let bytes = encode_image(&sheet, ImageFormat::Jpeg)?;
        Ok(write_atomically(&self.file(&batch_file(number)), &bytes)?)
    }
}

/// The averaged weights, with what they come from.
pub(super) fn weights(trainer: &Trainer, settings: &TrainSettings) -> anyhow::Result<Checkpoint> {
    let mut checkpoint = trainer.averaged("the averaged weights");
    let last = trainer.progress().history.last();
    let mut set = |key: &str, value: &str| checkpoint.set_metadata(key, value);
    set("trained_by", concat!("yolo9 ", env!("CARGO_PKG_VERSION")));
    let public = public(settings);
    set("trained_from", public.weights.as_deref().unwrap_or("random values"));
    set("trained_on", &public.data.to_string_lossy());
    set("trained_with", &serde_json::to_string(&public)?);
    if let Some(EpochRecord { epoch, scores: Some(scores), .. }) = last {
        set("epoch", &epoch.to_string());
        set("val_map50", &format!("{:.5}", scores.map50));
        set("val_map50_95", &format!("{:.5}", scores.map));
    }
    Ok(checkpoint)
}

/// Settings without the places of a machine.
fn public(settings: &TrainSettings) -> TrainSettings {
    let name = |path: &PathBuf| PathBuf::from(file_name(path));
    let text = |text: &String| file_name(Path::new(text));
    TrainSettings {
        started_in: PathBuf::new(),
        data: name(&settings.data),
        val_data: settings.val_data.as_ref().map(name),
        images: None,
        val_images: None,
        weights: settings.weights.as_ref().map(text),
        config: settings.config.as_ref().map(text),
        ..settings.clone()
    }
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A line for each epoch, with the columns that people plot.
fn results(progress: &Progress) -> String {
    let mut text = String::from("epoch,box_loss,cls_loss,dfl_loss,lr,precision,recall,mAP50,mAP50-95\n");
    for EpochRecord { epoch, loss, learning_rate, scores } in &progress.history {
        // Writing into a String cannot fail.
        let _ = write!(text, "{epoch},{:.5},{:.5},{:.5},{learning_rate:.8}", loss.bbox, loss.class, loss.dfl);
        let _ = match scores {
            Some(s) => writeln!(text, ",{:.5},{:.5},{:.5},{:.5}", s.precision, s.recall, s.map50, s.map),
            None => writeln!(text, ",,,,"),
        };
    }
    text
}

/// Four images in a row.
fn sheet(batch: &Batch, names: &[String]) -> RgbImage {
    let [count, _, height, width] = batch.shape;
    let area = height * width;
    let tile = |number: usize| {
        let planes = &batch.images[number * 3 * area..(number + 1) * 3 * area];
        let pixel = |x: u32, y: u32| {
            let at = y as usize * width + x as usize;
            image::Rgb([planes[at], planes[area + at], planes[2 * area + at]])
        };
        let mut image = RgbImage::from_fn(width as u32, height as u32, pixel);
        let marks = batch.targets[number].iter().map(|target| {
            let [x1, y1, x2, y2] = target.corners.map(|edge| edge as f32);
            let text = names.get(target.class).cloned().unwrap_or_default();
            Mark { bbox: BoxXyxy { x1, y1, x2, y2 }, text, colour: class_colour(target.class) }
        });
        draw_marks(&mut image, &marks.collect::<Vec<_>>(), None);
        (image, counted(batch.targets[number].len(), "object"))
    };
    crate::val::sheet(&(0..count.min(DRAWN)).map(tile).collect::<Vec<_>>(), 4, TILE, "An augmented batch")
}

//! The images that a run learns from, and those that it is validated on.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use yolo9::evaluate::{Dataset, LabelProblem};
use yolo9::train::{TrainingSet, UnusedImage};

use super::settings::TrainSettings;
use crate::cli::Globals;
use crate::console::say;
use crate::interrupt::Interrupt;
use crate::report::{counted, progress_bar};

/// Problems that are written out; of more the number is enough.
const SHOWN: usize = 10;

/// Both splits.
pub(super) struct Data {
    pub(super) training: Dataset,
    pub(super) validation: Dataset,
    problems: Vec<LabelProblem>,
}

impl Data {
    pub(super) fn open(settings: &TrainSettings) -> anyhow::Result<Self> {
        let TrainSettings { data, val_data, images, .. } = settings;
        let (training, problems) = Dataset::open_lenient(data, "train", images.as_deref())?;
        let is_json = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
        let validation = match val_data {
            Some(path) => Dataset::open_lenient(path, "val", None)?.0,
            None if is_json(data) => anyhow::bail!(
                "{}: a COCO annotation file has one split; name another one for validation with --val-data",
                data.display()
            ),
            None => Dataset::open_lenient(data, "val", None)?.0,
        };
        anyhow::ensure!(
            training.class_names == validation.class_names,
            "the classes of training and validation differ: {} and {}",
            training.class_names.join(", "),
            validation.class_names.join(", ")
        );
        anyhow::ensure!(validation.labels() > 0, "the validation split has no label: nothing could be measured");
        Ok(Self { training, validation, problems })
    }

    /// Files that the run reads, which it must not write over.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.training.images.iter().chain(&self.validation.images).map(|image| image.path.clone()).collect()
    }

    /// Reads all training images; says what is left out. Nothing if somebody asked to stop.
    pub(super) fn training_set(
        &self,
        size: usize,
        cache: usize,
        interrupt: &Interrupt,
        globals: &Globals,
    ) -> anyhow::Result<Option<Arc<TrainingSet>>> {
        let total = self.training.images.len();
        let bar = if globals.quiet { indicatif::ProgressBar::hidden() } else { progress_bar(total) };
        bar.set_message("training images");
        let (set, unused, more) = TrainingSet::read(&self.training, size, cache, |read| {
            bar.set_position(read as u64);
            !interrupt.requested()
        });
        bar.finish_and_clear();
        if interrupt.requested() {
            return Ok(None);
        }
        list_images(&unused);
        let problems: Vec<&LabelProblem> = self.problems.iter().chain(&more).collect();
        list_labels(&problems);
        let labels: usize = (0..set.len()).map(|image| set.objects(image).len()).sum();
        let first = unused.first().map(|unused| format!("{}: {}", unused.path.display(), unused.reason));
        if set.is_empty() {
            anyhow::bail!("no training image can be read; the first one is {}", first.context("there is none")?);
        }
        anyhow::ensure!(
            labels > 0,
            "no usable label in {}: there is nothing to learn",
            counted(set.len(), "training image")
        );
        let backgrounds = (0..set.len()).filter(|image| set.objects(*image).is_empty()).count();
        log::info!(
            "{}, {} of {}, {} without objects; validation: {}, {}",
            counted(set.len(), "training image"),
            counted(labels, "object"),
            counted(self.training.class_names.len(), "class"),
            backgrounds,
            counted(self.validation.images.len(), "image"),
            counted(self.validation.labels(), "object"),
        );
        if set.cached() < set.len() {
            log::info!(
                "{} of {} images fit into --cache {} MB; the others are read in each epoch",
                set.cached(),
                set.len(),
                cache / 1_000_000
            );
        }
        Ok(Some(Arc::new(set)))
    }
}

fn list_images(unused: &[UnusedImage]) {
    if unused.is_empty() {
        return;
    }
    say!("warning: {} cannot be read and are left out:", counted(unused.len(), "training image"));
    unused.iter().take(SHOWN).for_each(|image| say!("  {}: {}", image.path.display(), image.reason));
    if unused.len() > SHOWN {
        say!("  and {} more", unused.len() - SHOWN);
    }
}

fn list_labels(problems: &[&LabelProblem]) {
    if problems.is_empty() {
        return;
    }
    say!("warning: {} in the training labels, passed over:", counted(problems.len(), "problem"));
    problems.iter().take(SHOWN).for_each(|problem| say!("  {}: {}", problem.file.display(), problem.message));
    if problems.len() > SHOWN {
        say!("  and {} more", problems.len() - SHOWN);
    }
}

//! The images that a run learns from, and those that it is validated on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use yolo9::Image;
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
    problems: [Vec<LabelProblem>; 2],
}

impl Data {
    pub(super) fn open(settings: &TrainSettings) -> anyhow::Result<Self> {
        let TrainSettings { data, val_data, images, val_images, .. } = settings;
        let (training, problems) = Dataset::open_lenient(data, "train", images.as_deref())?;
        let is_json = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
        let (validation, of_validation) = match val_data {
            Some(path) => Dataset::open_lenient(path, "val", val_images.as_deref())?,
            None if is_json(data) => anyhow::bail!(
                "{}: a COCO annotation file has one split; name another one for validation with --val-data",
                data.display()
            ),
            None => Dataset::open_lenient(data, "val", None)?,
        };
        anyhow::ensure!(
            training.class_names == validation.class_names,
            "the classes of training and validation differ: {} and {}",
            training.class_names.join(", "),
            validation.class_names.join(", ")
        );
        anyhow::ensure!(validation.labels() > 0, "the validation split has no label: nothing could be measured");
        let same = training.images.iter().zip(&validation.images).all(|(a, b)| a.path == b.path);
        if same && training.images.len() == validation.images.len() {
            log::warn!(
                "training and validation are the same images: the scores say how well they are learned by heart"
            );
        }
        let mut names = training.class_names.clone();
        names.sort();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            log::warn!("two classes are called `{}`; by its name only the first of them can be told", twice[0]);
        }
        Ok(Self { training, validation, problems: [problems, of_validation] })
    }

    /// Files that the run reads, which it must not write over.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.training.files().chain(self.validation.files()).map(Path::to_path_buf).collect()
    }

    /// Looks for a validation image that can be read, before an epoch is spent on finding out.
    pub(super) fn check_validation(&self) -> anyhow::Result<()> {
        let open = |path: &Path| Image::open(path).err().map(|reason| format!("{}: {reason}", path.display()));
        let mut first = None;
        for image in &self.validation.images {
            match open(&image.path) {
                None => return Ok(()),
                Some(reason) => first = first.or(Some(reason)),
            }
        }
        anyhow::bail!(
            "no validation image can be read; the first one is {}",
            first.context("there is no validation image")?
        )
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
        let bar = progress_bar(total, globals.quiet);
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
        let [of_training, of_validation] = &self.problems;
        list_labels("training", &of_training.iter().chain(&more).collect::<Vec<_>>());
        list_labels("validation", &of_validation.iter().collect::<Vec<_>>());
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
    say!("warning: {} left out, which cannot be read:", counted(unused.len(), "training image"));
    list_first(unused, SHOWN, "", |image| format!("{}: {}", image.path.display(), image.reason));
}

/// The first ones, a line each, and how many more there are.
fn list_first<T>(all: &[T], shown: usize, hint: &str, line: impl Fn(&T) -> String) {
    all.iter().take(shown).for_each(|one| say!("  {}", line(one)));
    if let more @ 1.. = all.len().saturating_sub(shown) {
        say!("  and {more} more{hint}");
    }
}

/// Backgrounds by their number, the rest in full with -v.
fn list_labels(split: &str, problems: &[&LabelProblem]) {
    let (missing, problems): (Vec<&LabelProblem>, Vec<_>) =
        problems.iter().copied().partition(|problem| problem.missing);
    if let Some(first) = missing.first() {
        let are = if missing.len() == 1 {
            "image has no label file: it is a background"
        } else {
            "images have no label file: they are backgrounds"
        };
        log::info!("{} {split} {are} ({})", missing.len(), first.file.display());
    }
    if problems.is_empty() {
        return;
    }
    say!("warning: {} in the {split} labels, skipped:", counted(problems.len(), "problem"));
    let shown = if log::log_enabled!(log::Level::Debug) { problems.len() } else { SHOWN };
    let line = |problem: &&LabelProblem| format!("{}: {}", problem.file.display(), problem.message);
    list_first(&problems, shown, " (-v lists them all)", line);
}

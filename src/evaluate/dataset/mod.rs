//! Labelled images: in the layout of YOLO, or as a COCO annotation file.

mod coco_file;
mod yolo_layout;

use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

pub use yolo_layout::yolo_labels;

use super::{BoxXywh, GroundTruth};
use crate::Size;
use crate::config::ConfigError;

/// The largest public datasets have 1,203. What is taken for what is counted in a table of all pairs of classes.
const MAX_CLASSES: usize = 5_000;

/// Labels of an image, and detections of it that are evaluated: each is compared with each.
pub const MAX_OF_ONE: usize = 10_000;

/// Why a dataset cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The data YAML is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file or folder cannot be read.
    #[error("{path} cannot be read: {reason}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        reason: std::io::Error,
    },
    /// A file says something wrong.
    #[error("{path}: {message}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, where, and what was expected.
        message: String,
    },
}

/// Labelled images.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// One name per class.
    pub class_names: Vec<String>,
    /// The number of each class in COCO results for this dataset.
    pub category_ids: Vec<u64>,
    /// In the order of ids, or of names.
    pub images: Vec<Labelled>,
    /// Lists of images, and label files.
    texts: Vec<PathBuf>,
}

/// An image with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// Its file.
    pub path: PathBuf,
    /// How COCO results call it.
    pub image_id: Value,
    labels: Labels,
}

#[derive(Debug, Clone, PartialEq)]
enum Labels {
    Pixels(Vec<GroundTruth>),
    /// Class, centre and size as shares of the image.
    Shares(Vec<(usize, [f64; 4])>),
}

/// A label that is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelProblem {
    /// The file that it stands in.
    pub file: PathBuf,
    /// Where in the file, and what is wrong with it.
    pub message: String,
    /// Whether the file is missing, so that its image is a background.
    pub missing: bool,
}

/// What becomes of a label that is wrong.
enum Wrong<'a> {
    /// An evaluation that leaves labels out would flatter or mislead.
    Refuse,
    /// Training goes on without it.
    Collect(&'a mut Vec<LabelProblem>),
}

impl Wrong<'_> {
    fn found(&mut self, file: &Path, message: String) -> Result<(), DatasetError> {
        match self {
            Wrong::Refuse => Err(DatasetError::Content { path: file.into(), message }),
            Wrong::Collect(problems) => {
                problems.push(LabelProblem { file: file.into(), message, missing: false });
                Ok(())
            }
        }
    }

    /// What is odd, but not wrong enough to refuse the dataset.
    fn noticed(&mut self, file: &Path, message: String, missing: bool) {
        if let Wrong::Collect(problems) = self {
            problems.push(LabelProblem { file: file.into(), message, missing });
        }
    }
}

impl Dataset {
    /// Reads a data YAML with its label files, or a COCO annotation file (`.json`). `split` is the key of the YAML.
    /// `images` is where the images of an annotation file are, if not in one of the usual places beside it.
    ///
    /// # Errors
    /// [`DatasetError`] names the file, and the line of a label file.
    pub fn open(data: &Path, split: &str, images: Option<&Path>) -> Result<Self, DatasetError> {
        Self::read(data, split, images, &mut Wrong::Refuse)
    }

    /// As [`Dataset::open`], without the labels that are wrong (of a class that does not exist, outside the image, not a
    /// number, twice the same): they are listed, and so are images without a label file, which are backgrounds.
    ///
    /// # Errors
    /// As [`Dataset::open`], but for single labels.
    pub fn open_lenient(
        data: &Path,
        split: &str,
        images: Option<&Path>,
    ) -> Result<(Self, Vec<LabelProblem>), DatasetError> {
        let mut problems = Vec::new();
        let dataset = Self::read(data, split, images, &mut Wrong::Collect(&mut problems))?;
        Ok((dataset, problems))
    }

    fn read(data: &Path, split: &str, images: Option<&Path>, wrong: &mut Wrong<'_>) -> Result<Self, DatasetError> {
        let dataset = if data.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            coco_file::open(data, images, wrong)?
        } else {
            yolo_layout::open(data, split, wrong)?
        };
        dataset.checked(data)
    }

    /// As [`Dataset::open`], of a COCO annotation file in memory that would be at `path`.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub fn from_coco_json(path: &Path, json: &[u8], images: Option<&Path>) -> Result<Self, DatasetError> {
        coco_file::parse(path, json, images, &mut Wrong::Refuse)?.checked(path)
    }

    fn checked(self, data: &Path) -> Result<Self, DatasetError> {
        let too_large = |message| Err(DatasetError::Content { path: data.into(), message });
        if let Some(image) = self.images.iter().find(|image| image.labels() > MAX_OF_ONE) {
            let (path, labels) = (image.path.display(), image.labels());
            return too_large(format!("{path} has {labels} labels; at most {MAX_OF_ONE} can be evaluated"));
        }
        match self.class_names.len() {
            0..=MAX_CLASSES => Ok(self),
            classes => too_large(format!("it has {classes} classes; at most {MAX_CLASSES} can be evaluated")),
        }
    }

    /// How many labels there are.
    #[must_use]
    pub fn labels(&self) -> usize {
        self.images.iter().map(Labelled::labels).sum()
    }

    /// The files that it consists of beside the one that it was opened from: images, lists of them, label files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.images.iter().map(|image| &image.path).chain(&self.texts).map(PathBuf::as_path)
    }
}

impl Labelled {
    /// How many labels it has.
    #[must_use]
    pub fn labels(&self) -> usize {
        match &self.labels {
            Labels::Pixels(ground_truths) => ground_truths.len(),
            Labels::Shares(shares) => shares.len(),
        }
    }

    /// Whether its labels are known in pixels only with the image's size.
    #[must_use]
    pub fn needs_size(&self) -> bool {
        matches!(self.labels, Labels::Shares(_))
    }

    /// The labels in pixels of the image, upright.
    #[must_use]
    pub fn ground_truths(&self, size: Size) -> Vec<GroundTruth> {
        match &self.labels {
            Labels::Pixels(ground_truths) => ground_truths.clone(),
            Labels::Shares(shares) => shares.iter().map(|(class, share)| in_pixels(*class, *share, size)).collect(),
        }
    }
}

fn in_pixels(class: usize, [x, y, width, height]: [f64; 4], size: Size) -> GroundTruth {
    let (across, down) = (size.width as f64, size.height as f64);
    let bbox = BoxXywh {
        x: (x - width / 2.0) * across,
        y: (y - height / 2.0) * down,
        width: width * across,
        height: height * down,
    };
    GroundTruth { bbox, class, area: bbox.area(), crowd: false }
}

//! Labelled pictures: in the layout of YOLO, or as a COCO annotation file.

mod coco_file;
mod yolo_layout;

use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

pub use yolo_layout::yolo_labels;

use super::{Rectangle, Truth};
use crate::Size;
use crate::config::ConfigError;

/// The largest public datasets have 1,203. What is taken for what is counted in a table of all pairs of classes.
const MAX_CLASSES: usize = 5_000;

/// Labels of an image, and detections of it that are judged: each is compared with each.
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

/// Labelled pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// One name per class.
    pub class_names: Vec<String>,
    /// The number of each class in COCO results for this dataset.
    pub category_ids: Vec<u64>,
    /// In the order of ids, or of names.
    pub pictures: Vec<Labelled>,
}

/// A picture with its labels.
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
    Pixels(Vec<Truth>),
    /// Class, centre and size as shares of the picture.
    Shares(Vec<(usize, [f64; 4])>),
}

impl Dataset {
    /// Reads a data YAML with its label files, or a COCO annotation file (`.json`). `split` is the key of the YAML.
    /// `images` is where the pictures of an annotation file are, if not in one of the usual places beside it.
    ///
    /// # Errors
    /// [`DatasetError`] names the file, and the line of a label file.
    pub fn open(data: &Path, split: &str, images: Option<&Path>) -> Result<Self, DatasetError> {
        let dataset = if data.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            coco_file::open(data, images)?
        } else {
            yolo_layout::open(data, split)?
        };
        dataset.checked(data)
    }

    /// As [`Dataset::open`], of a COCO annotation file in memory that would be at `path`.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub fn from_coco_json(path: &Path, json: &[u8], images: Option<&Path>) -> Result<Self, DatasetError> {
        coco_file::parse(path, json, images)?.checked(path)
    }

    fn checked(self, data: &Path) -> Result<Self, DatasetError> {
        if let Some(picture) = self.pictures.iter().find(|picture| picture.labels() > MAX_OF_ONE) {
            return Err(DatasetError::Content {
                path: data.into(),
                message: format!(
                    "{} has {} labels; at most {MAX_OF_ONE} can be evaluated",
                    picture.path.display(),
                    picture.labels()
                ),
            });
        }
        match self.class_names.len() {
            0..=MAX_CLASSES => Ok(self),
            classes => Err(DatasetError::Content {
                path: data.into(),
                message: format!("it has {classes} classes; at most {MAX_CLASSES} can be evaluated"),
            }),
        }
    }

    /// How many labels there are.
    #[must_use]
    pub fn labels(&self) -> usize {
        self.pictures.iter().map(Labelled::labels).sum()
    }
}

impl Labelled {
    /// How many labels it has.
    #[must_use]
    pub fn labels(&self) -> usize {
        match &self.labels {
            Labels::Pixels(truths) => truths.len(),
            Labels::Shares(shares) => shares.len(),
        }
    }

    /// Whether its labels are known in pixels only with the picture's size.
    #[must_use]
    pub fn needs_size(&self) -> bool {
        matches!(self.labels, Labels::Shares(_))
    }

    /// The labels in pixels of the picture, upright.
    #[must_use]
    pub fn truths(&self, size: Size) -> Vec<Truth> {
        match &self.labels {
            Labels::Pixels(truths) => truths.clone(),
            Labels::Shares(shares) => shares.iter().map(|(class, share)| in_pixels(*class, *share, size)).collect(),
        }
    }
}

fn in_pixels(class: usize, [x, y, width, height]: [f64; 4], size: Size) -> Truth {
    let (across, down) = (size.width as f64, size.height as f64);
    let bbox = Rectangle {
        x: (x - width / 2.0) * across,
        y: (y - height / 2.0) * down,
        width: width * across,
        height: height * down,
    };
    Truth { bbox, class, area: bbox.area(), crowd: false }
}

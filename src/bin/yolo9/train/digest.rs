//! Whether a resumed run learns from what it was started on.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use yolo9::hexadecimal;
use yolo9::train::TrainingSet;

use crate::report::counted;

/// Of the images and objects that a run learns from; pixels are not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DataDigest {
    images: usize,
    objects: usize,
    /// SHA-256 over the images' file names and their objects.
    sha256: String,
}

impl DataDigest {
    pub(super) fn of(set: &TrainingSet) -> Self {
        let mut hasher = Sha256::new();
        let mut objects = 0;
        for image in 0..set.len() {
            hasher.update(set.path(image).file_name().unwrap_or_default().as_encoded_bytes());
            hasher.update([0]);
            for object in set.objects(image) {
                hasher.update(object.class.to_le_bytes());
                object.corners.iter().for_each(|edge| hasher.update(edge.to_le_bytes()));
                objects += 1;
            }
        }
        Self { images: set.len(), objects, sha256: hexadecimal(&hasher.finalize()) }
    }

    /// Says if it was another one at the beginning.
    pub(super) fn compare(&self, before: Option<&Self>) {
        if let Some(before) = before.filter(|before| *before != self) {
            log::warn!(
                "the training data are not those that the run began with: {} with {} then, {} with {} now, or others; the \
                 results will not be those of a run that was not interrupted",
                counted(before.images, "image"),
                counted(before.objects, "object"),
                counted(self.images, "image"),
                counted(self.objects, "object"),
            );
        }
    }
}

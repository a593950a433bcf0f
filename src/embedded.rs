//! The models and the sample image inside the program, so that `yolo9 detect` works at once and offline.

use std::borrow::Cow;

use crate::checkpoint::{Checkpoint, CheckpointError};

/// A model inside the program.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedModel {
    /// The name that `--weights` takes.
    pub name: &'static str,
    /// What it detects.
    pub detects: &'static str,
    /// How it is built.
    pub about: &'static str,
    /// Its file.
    pub bytes: &'static [u8],
}

/// All models inside the program; the first one is the default.
pub static MODELS: &[EmbeddedModel] = &[
    EmbeddedModel {
        name: "codes-dysample",
        detects: "QR codes, barcodes and other codes",
        about: "DySample upsampling",
        bytes: include_bytes!("../models/codes-dysample.safetensors"),
    },
    EmbeddedModel {
        name: "codes-nearest",
        detects: "QR codes, barcodes and other codes",
        about: "nearest upsampling",
        bytes: include_bytes!("../models/codes-nearest.safetensors"),
    },
];

/// File name of the sample image.
pub const SAMPLE_NAME: &str = "sample-parcels.jpg";

/// Parcels with 24 codes on them, some partly covered, 1280x960, drawn by a program.
pub const SAMPLE_IMAGE: &[u8] = include_bytes!("../models/sample-parcels.jpg");

/// How many objects the default model finds on the sample image with default settings.
pub const SAMPLE_DETECTIONS: usize = 23;

impl EmbeddedModel {
    /// Reads the model.
    ///
    /// # Errors
    /// Never for a program that was built from a whole source tree.
    pub fn checkpoint(&self) -> Result<Checkpoint, CheckpointError> {
        Checkpoint::from_bytes(self.name, Cow::Borrowed(self.bytes))
    }
}

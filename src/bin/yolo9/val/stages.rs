//! What a labelled image goes through: one run of the network, from which detections are made twice.

use yolo9::Size;
use yolo9::detect::{DetectOutput, Engine, PostprocessOptions, Prepared};
use yolo9::image::{ImageLimits, LetterboxOptions};
use yolo9::runtime::OrtBackend;

use super::Placement;
use crate::run::Turn;
use crate::run::images::read_image;
use crate::run::pipeline::Stages;
use crate::run::sessions::{Infer, failure};
use crate::run::sources::{Failure, Source};

/// Detections as scores need them, with hardly a threshold, and as `detect` shows them.
type TwoWays = [DetectOutput; 2];

pub(super) struct LabelledStages {
    pub(super) limits: ImageLimits,
    pub(super) letterbox: LetterboxOptions,
    pub(super) placement: Placement,
}

impl Stages for LabelledStages {
    type Item = (usize, Source);
    type Ready = Prepared;
    type Inferred = TwoWays;
    /// By the image's number in the dataset.
    type Done = (usize, Result<TwoWays, Failure>);

    fn decode(&self, (number, source): &mut (usize, Source), turn: Turn) -> Result<(Size, Prepared), Failure> {
        let (_, read) = read_image(source, &self.limits, turn);
        // The memory of the image is given back here.
        let (image, _held) = read?;
        let prepared = match &self.placement {
            Placement::AsDetect => Prepared::new(&image.pixels, &self.letterbox),
            Placement::Loader(letterboxes) => letterboxes[*number]
                .filter(|letterbox| letterbox.original == image.size())
                .map(|letterbox| Prepared::placed(&image.pixels, letterbox))
                .ok_or_else(|| Failure::from("its size changed while the dataset was read".to_owned()))?,
        };
        Ok((prepared.size(), prepared))
    }

    fn finish(&self, (number, _): (usize, Source), outcome: Result<TwoWays, Failure>) -> Self::Done {
        (number, outcome)
    }
}

/// A session that detects in both ways.
pub(super) fn session(mut engine: Engine<OrtBackend>, options: [PostprocessOptions; 2]) -> Infer<Prepared, TwoWays> {
    Box::new(move |batch| {
        let mut both = |prepared| engine.detect_with(prepared, &options).map_err(|error| failure(&error));
        batch.iter().map(&mut both).collect()
    })
}

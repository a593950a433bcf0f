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
pub(super) struct TwoWays {
    pub(super) evaluated: DetectOutput,
    pub(super) shown: DetectOutput,
}

pub(super) struct LabelledStages {
    pub(super) limits: ImageLimits,
    pub(super) letterbox: LetterboxOptions,
    pub(super) placement: Placement,
}

/// An image by its number in the dataset.
pub(super) struct LabelledDone {
    pub(super) number: usize,
    pub(super) outcome: Result<TwoWays, Failure>,
}

impl Stages for LabelledStages {
    type Item = (usize, Source);
    type Ready = Prepared;
    type Inferred = TwoWays;
    type Done = LabelledDone;

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

    fn finish(&self, (number, _): (usize, Source), outcome: Result<TwoWays, Failure>) -> LabelledDone {
        LabelledDone { number, outcome }
    }
}

/// A session that detects in both ways.
pub(super) fn session(
    mut engine: Engine<OrtBackend>,
    evaluated: PostprocessOptions,
    shown: PostprocessOptions,
) -> Infer<Prepared, TwoWays> {
    let options = [evaluated, shown];
    Box::new(move |batch| {
        let mut both = |prepared: &Prepared| {
            let mut outputs = engine.detect_with(prepared, &options).map_err(|error| failure(&error))?.into_iter();
            match (outputs.next(), outputs.next()) {
                (Some(evaluated), Some(shown)) => Ok(TwoWays { evaluated, shown }),
                _ => unreachable!("an output for each of the options"),
            }
        };
        batch.iter().map(&mut both).collect()
    })
}

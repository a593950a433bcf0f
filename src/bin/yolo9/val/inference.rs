//! A model run on a dataset.

use indicatif::ProgressBar;
use yolo9::Model;
use yolo9::detect::{DetectOutput, DetectorOptions, Engine, PostprocessOptions, Prepared};
use yolo9::evaluate::{Dataset, EvalImage, Prediction};
use yolo9::image::{Image, ImageLimits, Letterbox, LetterboxOptions};
use yolo9::runtime::{Runtime, SessionOptions};

use super::{Evaluated, mapping};
use crate::devices::Execution;
use crate::interrupt::Interrupt;
use crate::options;
use crate::report::counted;
use crate::run::numbered::Numbered;
use crate::run::sessions::{Infer, failure};
use crate::run::sources::{Failure, Source};
use crate::statistics::Spread;

/// Where images go in the network's input.
pub(crate) enum Placement {
    /// Each for itself.
    AsDetect,
    /// By their number in the dataset; nothing for those whose size cannot be read.
    Loader(Vec<Option<Letterbox>>),
}

impl Placement {
    /// An image of that number as the network reads it.
    fn prepared(&self, number: usize, image: &Image, letterbox: &LetterboxOptions) -> Result<Prepared, Failure> {
        match self {
            Self::AsDetect => Ok(Prepared::new(&image.pixels, letterbox)),
            Self::Loader(letterboxes) => letterboxes[number]
                .filter(|letterbox| letterbox.original == image.size())
                .map(|letterbox| Prepared::placed(&image.pixels, letterbox))
                .ok_or_else(|| Failure::from("its size changed while the dataset was read".to_owned())),
        }
    }
}

/// How a model is run on a dataset.
pub(crate) struct Inference {
    pub(crate) runtime: Runtime,
    /// With all threads that there are.
    pub(crate) session: SessionOptions,
    pub(crate) limits: ImageLimits,
    pub(crate) interrupt: Interrupt,
    /// What `detect` shows of an image.
    pub(crate) shown: PostprocessOptions,
    /// Goes on by one for each image.
    pub(crate) bar: ProgressBar,
}

impl Inference {
    pub(crate) fn run(
        &self,
        dataset: &Dataset,
        model: Model,
        detector: DetectorOptions,
        placement: Placement,
    ) -> anyhow::Result<Evaluated> {
        let Self { runtime, session: all, limits, interrupt, shown, bar } = self;
        let classes = mapping(model.class_names(), &dataset.class_names)?;
        let (all, limits, workers) = (all.clone(), *limits, all.threads);
        let count = options::session_count(&all).min(dataset.images.len().max(1));
        let backends = model.into_sessions(runtime, &options::shared_session(all, count), count)?;
        let execution = Execution::of(&backends[0], runtime);
        // Detections as scores need them, with hardly a threshold, and as `detect` shows them, from one run of the network.
        let session = |backend| -> Infer<Prepared, [DetectOutput; 2]> {
            let mut engine = Engine::new(backend, detector.clone());
            let options = [detector.postprocess.clone(), shown.clone()];
            Box::new(move |batch| {
                let both = |prepared| engine.detect_with(prepared, &options).map_err(|error| failure(&error));
                batch.iter().map(both).collect()
            })
        };
        let sessions = backends.into_iter().map(session).collect();
        let letterbox = detector.letterbox;
        let mut images = Numbered::new(limits, workers, sessions, move |number, image, _held| {
            let prepared = placement.prepared(number, &image, &letterbox)?;
            Ok((prepared.size(), prepared))
        })?;
        let mut times = Vec::new();
        let mut evaluated = Evaluated { execution: Some(execution), ..Evaluated::default() };
        let sources = dataset.images.iter().map(|labelled| Source::of_file(labelled.path.clone())).enumerate();
        evaluated.interrupted = images.run(sources, interrupt, |(number, _), outcome| {
            bar.inc(1);
            match outcome {
                Ok(outputs) => {
                    times.push(outputs[0].timing.inference);
                    let [image, shown] = outputs.map(|output| eval_image(dataset, number, &output, &classes));
                    evaluated.images.push(image);
                    evaluated.shown.push(shown);
                }
                Err(failure) => {
                    // A place for each image of the dataset, whatever became of it.
                    evaluated.images.push(EvalImage::default());
                    evaluated.shown.push(EvalImage::default());
                    evaluated.failed.push((dataset.images[number].path.clone(), failure.reason));
                }
            }
        })?;
        bar.finish_and_clear();
        if !times.is_empty() {
            let median = Spread::of_times(&times).median;
            evaluated.speed = format!("{median:.1} ms per image in each of {} (median)", counted(count, "session"));
        }
        let all_failed = evaluated.failed.len() == dataset.images.len();
        if let (true, Some((path, reason))) = (all_failed, evaluated.failed.first()) {
            anyhow::bail!("no image of the dataset can be read; the first one is {}: {reason}", path.display());
        }
        Ok(evaluated)
    }
}

/// Labels and detections of an image, in the classes of the dataset.
pub(crate) fn eval_image(
    dataset: &Dataset,
    number: usize,
    output: &DetectOutput,
    classes: &[Option<usize>],
) -> EvalImage {
    let prediction = |detection| {
        let prediction = Prediction::from(detection);
        let class = classes.get(prediction.class).copied().flatten()?;
        Some(Prediction { class, ..prediction })
    };
    EvalImage {
        ground_truths: dataset.images[number].ground_truths(output.image),
        predictions: output.detections.iter().filter_map(prediction).collect(),
    }
}

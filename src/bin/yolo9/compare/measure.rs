//! Both models on the same images, interleaved.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use yolo9::Size;
use yolo9::compare::{Compared, compare_detections};
use yolo9::detect::{DetectOutput, Detection, Engine, PostprocessOptions, Prepared, Preset, Timing};
use yolo9::evaluate::{Dataset, EvalImage, GroundTruth, right_detections};
use yolo9::image::{Image, ImageLimits};
use yolo9::runtime::OrtBackend;

use super::side::Side;
use crate::run::images::read_image;
use crate::run::pipeline::{Flow, Limits, Pipeline, Stages};
use crate::run::sessions::{Infer, Ready, failure};
use crate::run::sources::{Failure, Source};
use crate::run::{Held, Turn};
use crate::statistics::{Interleaved, Spread, alternately, interleaved};
use crate::val::{eval_image, mapping};

/// One image as both see it.
pub(super) struct ImageComparison {
    pub(super) source: Source,
    pub(super) compared: Vec<Compared>,
    /// Of each of them, whether the box of A and that of B are right; nothing without a box, or where nobody knows.
    pub(super) right: Vec<[Option<bool>; 2]>,
    /// Labels of the dataset.
    pub(super) labels: Vec<GroundTruth>,
}

/// What was measured.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) images: Vec<ImageComparison>,
    pub(super) failed: Vec<(PathBuf, String)>,
    /// Of each side, with labels.
    pub(super) evaluated: [Vec<EvalImage>; 2],
    /// The same with the boxes that are compared.
    pub(super) shown: [Vec<EvalImage>; 2],
    /// Of each side, in the order of runs.
    pub(super) timings: [Vec<Timing>; 2],
    /// Inputs of both networks for an image of which these have different sizes.
    pub(super) unlike: Option<[Size; 2]>,
}

/// Which class of the dataset each class of a side is.
type ClassMapping = Vec<Option<usize>>;

/// How it is measured.
pub(super) struct MeasurePlan<'a> {
    pub(super) sources: &'a [Source],
    pub(super) dataset: Option<&'a Dataset>,
    /// Of the boxes that are compared.
    pub(super) postprocess: PostprocessOptions,
    /// Least number of timed pairs.
    pub(super) runs: usize,
    pub(super) limits: ImageLimits,
}

/// Runs that are not timed: a new size of input costs a network its first ones.
const WARM_UPS: usize = 3;

/// Images that are run again until there are enough times.
const REPEATED: usize = 8;

impl Measured {
    /// Runs both networks on every image, and on the first ones again until there are enough times. `go_on` is asked after
    /// each.
    pub(super) fn of(
        sides: &[Side; 2],
        engines: [Engine<OrtBackend>; 2],
        plan: &MeasurePlan<'_>,
        go_on: impl Fn() -> bool,
    ) -> anyhow::Result<Option<Self>> {
        let mut measured = Self::default();
        let classes = match plan.dataset {
            Some(dataset) => Some([
                mapping(&sides[0].class_names, &dataset.class_names)?,
                mapping(&sides[1].class_names, &dataset.class_names)?,
            ]),
            None => None,
        };
        let limits = Limits { workers: 1, batch: 1, memory: plan.limits.max_bytes };
        let session = Pair { engines, options: [plan.postprocess.clone(), Preset::evaluation()], number: 0 }.session();
        let mut pipeline = Pipeline::new(Decoding { limits: plan.limits }, vec![session], limits)?;
        let mut repeated: Vec<(usize, Source)> = Vec::new();
        let inputs = plan.sources.iter().cloned().enumerate().map(Flow::<_, ()>::Image);
        let stopped = pipeline.run(
            inputs,
            || !go_on(),
            false,
            |flow| {
                let Flow::Image(Done { number, source, outcome }) = flow else { return Ok(ControlFlow::Continue(())) };
                let is_read = outcome.is_ok();
                measured.take(number, &source, outcome, (plan.dataset, classes.as_ref()), sides);
                if is_read && repeated.len() < plan.runs.min(REPEATED) {
                    repeated.push((number, source));
                }
                Ok(ControlFlow::Continue(()))
            },
        )?;
        if stopped {
            return Ok(None);
        }
        anyhow::ensure!(!repeated.is_empty(), "no image can be read{}", first_reason(&measured.failed));
        let missing = plan.runs.saturating_sub(measured.timings[0].len());
        let again = repeated.iter().cloned().cycle().take(missing).map(Flow::<_, ()>::Image);
        let stopped = pipeline.run(
            again,
            || !go_on(),
            false,
            |flow| {
                if let Flow::Image(Done { outcome: Ok(outputs), .. }) = flow {
                    measured.time(&outputs);
                }
                Ok(ControlFlow::Continue(()))
            },
        )?;
        Ok((!stopped).then_some(measured))
    }

    /// Notes what both networks gave for an image.
    fn take(
        &mut self,
        number: usize,
        source: &Source,
        outcome: Result<[Vec<DetectOutput>; 2], Failure>,
        (dataset, classes): (Option<&Dataset>, Option<&[ClassMapping; 2]>),
        sides: &[Side; 2],
    ) {
        let outputs = match outcome {
            Ok(outputs) => outputs,
            Err(failure) => {
                self.failed.push((source.name().into(), failure.reason));
                self.evaluated.iter_mut().for_each(|images| images.push(EvalImage::default()));
                return;
            }
        };
        self.time(&outputs);
        let mut of_labels: [Vec<Option<bool>>; 2] = outputs.each_ref().map(|of| vec![None; of[0].detections.len()]);
        let mut labels = Vec::new();
        if let (Some(dataset), Some(classes)) = (dataset, classes) {
            for side in 0..2 {
                let [shown, evaluated] = [0, 1].map(|way| {
                    let DetectOutput { image, detections, .. } = &outputs[side][way];
                    eval_image(dataset, number, *image, detections, &classes[side])
                });
                of_labels[side] = right_of(&outputs[side][0].detections, &shown, &classes[side]);
                labels.clone_from(&shown.ground_truths);
                self.shown[side].push(shown);
                self.evaluated[side].push(evaluated);
            }
        }
        if sides.iter().all(|side| side.has_weights) {
            let a = &outputs[0][0].detections;
            let b = renamed(&outputs[1][0].detections, sides);
            let compared = compare_detections(a, &b);
            let right = compared.iter().map(|compared| {
                let of_side = |found: Option<Detection>, all: &[Detection], side: usize| {
                    // No two boxes of a class are the same after NMS.
                    all.iter().position(|one| Some(*one) == found).and_then(|place| of_labels[side][place])
                };
                [of_side(compared.a, a, 0), of_side(compared.b, &b, 1)]
            });
            let right = right.collect();
            self.images.push(ImageComparison { source: source.clone(), compared, right, labels });
        }
    }

    fn time(&mut self, outputs: &[Vec<DetectOutput>; 2]) {
        let inputs = outputs.each_ref().map(|outputs| outputs[0].input);
        if inputs[0] != inputs[1] {
            self.unlike = Some(inputs);
        }
        for (timings, outputs) in self.timings.iter_mut().zip(outputs) {
            timings.push(outputs[0].timing);
        }
    }

    /// Times of a stage of both sides, and the ratio of B to A.
    pub(super) fn stage(&self, stage: fn(&Timing) -> Duration) -> ([Spread; 2], f64, [f64; 2]) {
        let [a, b] = self.timings.each_ref().map(|timings| timings.iter().map(stage).collect::<Vec<_>>());
        let Interleaved { spreads, ratio, interval } = interleaved(&a, &b);
        (spreads, ratio, interval)
    }
}

/// Whether each detection is right; a class that the dataset does not have is neither.
fn right_of(detections: &[Detection], shown: &EvalImage, classes: &[Option<usize>]) -> Vec<Option<bool>> {
    let mut judged = right_detections(shown).into_iter();
    let is_known = |detection: &Detection| classes.get(detection.class).copied().flatten().is_some();
    detections.iter().map(|detection| is_known(detection).then(|| judged.next().flatten()).flatten()).collect()
}

fn first_reason(failed: &[(PathBuf, String)]) -> String {
    failed.first().map(|(path, reason)| format!(": {}: {reason}", path.display())).unwrap_or_default()
}

/// Decodes the images; both networks get the same one.
struct Decoding {
    limits: ImageLimits,
}

struct DecodedImage(Image, Held);

impl Ready for DecodedImage {
    fn input_size(&self) -> yolo9::Size {
        self.0.size()
    }
}

/// What both networks gave for an image.
struct Done {
    number: usize,
    source: Source,
    outcome: Result<[Vec<DetectOutput>; 2], Failure>,
}

impl Stages for Decoding {
    type Item = (usize, Source);
    type Ready = DecodedImage;
    type Inferred = [Vec<DetectOutput>; 2];
    type Done = Done;

    fn decode(&self, (_, source): &mut (usize, Source), turn: Turn) -> Result<DecodedImage, Failure> {
        let (_, read) = read_image(source, &self.limits, turn);
        read.map(|(image, held)| DecodedImage(image, held))
    }

    fn finish(&self, (number, source): (usize, Source), outcome: Result<[Vec<DetectOutput>; 2], Failure>) -> Done {
        Done { number, source, outcome }
    }
}

/// Both networks in one session, so that whatever else the machine does hits both.
struct Pair {
    engines: [Engine<OrtBackend>; 2],
    options: [PostprocessOptions; 2],
    /// Images so far.
    number: usize,
}

impl Pair {
    fn session(mut self) -> Infer<DecodedImage, [Vec<DetectOutput>; 2]> {
        Box::new(move |batch| batch.into_iter().map(|DecodedImage(image, _held)| self.run(&image)).collect())
    }

    fn run(&mut self, image: &Image) -> Result<[Vec<DetectOutput>; 2], Failure> {
        let warm_ups = if self.number == 0 { WARM_UPS } else { 0 };
        let number = self.number;
        self.number += 1;
        let Self { engines, options, .. } = self;
        let letterboxes = engines.each_ref().map(|engine| engine.options().letterbox);
        let prepare = |side: usize| Prepared::new(&image.pixels, &letterboxes[side]);
        // The first ones find memory that nobody has touched yet.
        drop([prepare(0), prepare(1)]);
        let prepared = alternately(number, prepare);
        let mut run = |number| alternately(number, |side| engines[side].detect_with(&prepared[side], &options[..]));
        for number in 0..warm_ups {
            drop(run(number));
        }
        let [a, b] = run(number).map(|outputs| outputs.map_err(|error| failure(&error)));
        Ok([a?, b?])
    }
}

/// The detections of B with the class ids of A, by name; classes that A does not have come behind its own. Where no name
/// is the same but their number is, one side's are made up, and ids stay.
fn renamed(detections: &[Detection], sides: &[Side; 2]) -> Vec<Detection> {
    let [a, b] = sides.each_ref().map(|side| &side.class_names);
    let same = |name: &String, other: &String| name.eq_ignore_ascii_case(other);
    let by_position = a == b || a.len() == b.len() && !b.iter().any(|name| a.iter().any(|other| same(name, other)));
    let class = |class: usize| match b.get(class) {
        Some(name) if !by_position => a.iter().position(|other| same(name, other)).unwrap_or(a.len() + class),
        _ => class,
    };
    detections.iter().map(|detection| Detection { class: class(detection.class), ..*detection }).collect()
}

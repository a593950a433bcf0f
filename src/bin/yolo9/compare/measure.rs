//! All models on the same images, interleaved.

use std::path::PathBuf;
use std::time::Duration;

use yolo9::Size;
use yolo9::compare::{Compared, compare_detections};
use yolo9::detect::{DetectOutput, Detection, Engine, PostprocessOptions, Prepared, Preset, Timing};
use yolo9::evaluate::{Dataset, EvalImage, GroundTruth, match_ground_truths};
use yolo9::image::{Image, ImageLimits};
use yolo9::runtime::OrtBackend;

use super::side::Side;
use crate::interrupt::Interrupt;
use crate::run::Held;
use crate::run::numbered::Numbered;
use crate::run::sessions::{Infer, failure};
use crate::run::sources::{Failure, Source};
use crate::statistics::{Interleaved, interleaved, is_first, run_interleaved};
use crate::val::{Scores, eval_image, mapping};

/// One image as two models see it.
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
    /// Of two sides only.
    pub(super) images: Vec<ImageComparison>,
    pub(super) failed: Vec<(PathBuf, String)>,
    /// Of each side, with labels.
    pub(super) evaluated: Vec<Vec<EvalImage>>,
    /// The same with the boxes that are compared.
    pub(super) shown: Vec<Vec<EvalImage>>,
    /// Of each side, in the order of runs.
    pub(super) timings: Vec<Vec<Timing>>,
    /// Inputs of two networks for an image of which these have different sizes.
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
    /// Runs all networks on every image, and on the first ones again until there are enough times. `done` is called after
    /// each. Nothing if it was interrupted.
    pub(super) fn of(
        sides: &[Side],
        engines: Vec<Engine<OrtBackend>>,
        plan: &MeasurePlan<'_>,
        interrupt: &Interrupt,
        done: impl Fn(),
    ) -> anyhow::Result<Option<Self>> {
        let nothing = || vec![Vec::new(); sides.len()];
        let mut measured =
            Self { evaluated: nothing(), shown: nothing(), timings: vec![Vec::new(); sides.len()], ..Self::default() };
        let of_side = |dataset: &Dataset, side: &Side| mapping(&side.class_names, &dataset.class_names);
        let of_all = |dataset: &Dataset| sides.iter().map(|side| of_side(dataset, side)).collect::<Result<Vec<_>, _>>();
        let classes: Option<Vec<ClassMapping>> = plan.dataset.map(of_all).transpose()?;
        let interleaving = Interleaving {
            engines,
            options: [plan.postprocess.clone(), Preset::evaluation()],
            number: 0,
            interrupt: interrupt.clone(),
        };
        // All networks get the same pixels, whose memory is held until all are done with them.
        let ready = |_, image: Image, held| Ok((image.size(), (image, held)));
        let mut images = Numbered::new(plan.limits, 1, vec![interleaving.session()], ready)?;
        let mut repeated: Vec<(usize, Source)> = Vec::new();
        let all = plan.sources.iter().cloned().enumerate();
        let stopped = images.run(all, interrupt, |(number, source), outcome| {
            done();
            let is_read = outcome.is_ok();
            measured.take(number, &source, outcome, (plan.dataset, classes.as_deref()), sides);
            if is_read && repeated.len() < plan.runs.min(REPEATED) {
                repeated.push((number, source));
            }
        })?;
        if stopped {
            return Ok(None);
        }
        anyhow::ensure!(!repeated.is_empty(), "no image can be read{}", first_reason(&measured.failed));
        let missing = plan.runs.saturating_sub(measured.timings[0].len());
        let stopped = images.run(repeated.iter().cloned().cycle().take(missing), interrupt, |_, outcome| {
            done();
            if let Ok(outputs) = outcome {
                measured.time(&outputs);
            }
        })?;
        Ok((!stopped).then_some(measured))
    }

    /// Notes what the networks gave for an image.
    fn take(
        &mut self,
        number: usize,
        source: &Source,
        outcome: Result<Outputs, Failure>,
        (dataset, classes): (Option<&Dataset>, Option<&[ClassMapping]>),
        sides: &[Side],
    ) {
        let outputs = match outcome {
            Ok(outputs) => outputs,
            Err(failure) => {
                self.failed.push((source.name().into(), failure.reason));
                let both = self.evaluated.iter_mut().chain(&mut self.shown);
                both.for_each(|images| images.push(EvalImage::default()));
                return;
            }
        };
        self.time(&outputs);
        let mut of_labels: Vec<Vec<Option<bool>>> =
            outputs.iter().map(|of| vec![None; of[0].detections.len()]).collect();
        let mut labels = Vec::new();
        if let (Some(dataset), Some(classes)) = (dataset, classes) {
            for side in 0..sides.len() {
                let of = |output| eval_image(dataset, number, output, &classes[side]);
                let [shown, evaluated] = outputs[side].each_ref().map(of);
                of_labels[side] = right_of(&outputs[side][0].detections, &shown, &classes[side]);
                labels.clone_from(&shown.ground_truths);
                self.shown[side].push(shown);
                self.evaluated[side].push(evaluated);
            }
        }
        // Boxes are paired between two sides; more are ranked.
        if let Ok(sides) = <&[Side; 2]>::try_from(sides)
            && sides.iter().all(|side| side.has_weights)
        {
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

    fn time(&mut self, outputs: &Outputs) {
        let inputs = || outputs.iter().map(|outputs| outputs[0].input);
        if let Some([first, other]) = inputs().next().and_then(|a| Some([a, inputs().find(|b| *b != a)?])) {
            self.unlike = Some([first, other]);
        }
        for (timings, outputs) in self.timings.iter_mut().zip(outputs) {
            timings.push(outputs[0].timing);
        }
    }

    /// Times of a stage of two sides.
    pub(super) fn pair(&self, sides: [usize; 2], stage: fn(&Timing) -> Duration) -> Interleaved {
        let [a, b] = sides.map(|side| self.timings[side].iter().map(stage).collect::<Vec<_>>());
        interleaved(&a, &b, |number| is_first(number, self.timings.len(), sides))
    }

    /// How good a side is.
    pub(super) fn scores(&self, side: usize, dataset: &Dataset, confidence: f32) -> Scores {
        Scores::of(&self.evaluated[side], &self.shown[side], confidence, dataset)
    }
}

/// Whether each detection is right; a class that the dataset does not have is neither.
fn right_of(detections: &[Detection], shown: &EvalImage, classes: &[Option<usize>]) -> Vec<Option<bool>> {
    let mut matched = match_ground_truths(shown).right.into_iter();
    let is_known = |detection: &Detection| classes.get(detection.class).copied().flatten().is_some();
    detections.iter().map(|detection| is_known(detection).then(|| matched.next().flatten()).flatten()).collect()
}

fn first_reason(failed: &[(PathBuf, String)]) -> String {
    failed.first().map(|(path, reason)| format!(": {}: {reason}", path.display())).unwrap_or_default()
}

/// Of each network, the boxes that are compared and those that are evaluated.
type Outputs = Vec<[DetectOutput; 2]>;

/// All networks in one session, so that whatever else the machine does hits all of them.
struct Interleaving {
    engines: Vec<Engine<OrtBackend>>,
    options: [PostprocessOptions; 2],
    /// Images so far.
    number: usize,
    interrupt: Interrupt,
}

impl Interleaving {
    fn session(mut self) -> Infer<(Image, Held), Outputs> {
        Box::new(move |batch| batch.into_iter().map(|(image, _held)| self.run(&image)).collect())
    }

    fn run(&mut self, image: &Image) -> Result<Outputs, Failure> {
        let warm_ups = if self.number == 0 { WARM_UPS } else { 0 };
        let number = self.number;
        self.number += 1;
        let Self { engines, options, interrupt, .. } = self;
        let count = engines.len();
        let letterboxes: Vec<_> = engines.iter().map(|engine| engine.options().letterbox).collect();
        let mut prepare = |side: usize| Prepared::new(&image.pixels, &letterboxes[side]);
        // The first ones find memory that nobody has touched yet.
        drop((0..count).map(&mut prepare).collect::<Vec<_>>());
        let prepared = run_interleaved(number, count, prepare);
        let mut run = |number| {
            run_interleaved(number, count, |side| {
                let outputs = engines[side].detect_with(&prepared[side], options);
                outputs.map_err(|error| failure(&error))
            })
        };
        for number in (0..warm_ups).take_while(|_| !interrupt.requested()) {
            drop(run(number));
        }
        run(number).into_iter().collect()
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

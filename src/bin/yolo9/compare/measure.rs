//! Both models on the same pictures, in turn.

use std::path::PathBuf;
use std::time::Duration;

use yolo9::compare::{Compared, compare_detections};
use yolo9::detect::{Detection, Found, Prepared, Preset, Thresholds, Timing};
use yolo9::evaluate::{Dataset, Judged};
use yolo9::picture::Picture;

use super::side::Side;
use crate::engine::Searched;
use crate::sources::{Reading, Source};
use crate::statistics::{Spread, ratio};
use crate::val::{judged, mapping};

/// One picture as both see it.
pub(super) struct PictureComparison {
    pub(super) source: Source,
    pub(super) compared: Vec<Compared>,
}

/// What was measured.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) pictures: Vec<PictureComparison>,
    pub(super) failed: Vec<(PathBuf, String)>,
    /// Of each side, with labels.
    pub(super) judged: [Vec<Judged>; 2],
    /// Of each side, in the order of runs.
    pub(super) timings: [Vec<Timing>; 2],
}

/// How it is measured.
pub(super) struct Plan<'a> {
    pub(super) sources: &'a [Source],
    pub(super) dataset: Option<&'a Dataset>,
    pub(super) thresholds: Thresholds,
    /// Least number of timed pairs.
    pub(super) runs: usize,
    pub(super) reading: Reading,
}

impl Measured {
    /// Searches every picture by both, and the first ones again until there are enough times. `go_on` is asked after each.
    pub(super) fn of(
        sides: &mut [Side; 2],
        plan: &Plan<'_>,
        mut go_on: impl FnMut() -> bool,
    ) -> anyhow::Result<Option<Self>> {
        let mut measured = Self::default();
        let classes = match plan.dataset {
            Some(dataset) => {
                let of = |side: &Side| mapping(&side.class_names, &dataset.class_names);
                [of(&sides[0])?, of(&sides[1])?].into()
            }
            None => None,
        };
        let both = sides.iter().all(|side| side.has_weights);
        let mut kept: Vec<Picture> = Vec::new();
        for (number, source) in plan.sources.iter().enumerate() {
            let picture = match source.open(plan.reading) {
                Ok(picture) => picture,
                Err(failure) => {
                    measured.failed.push((source.name().into(), failure.reason));
                    measured.judged.iter_mut().for_each(|judged| judged.push(Judged::default()));
                    continue;
                }
            };
            let prepared = prepare_both(sides, &picture, number);
            if measured.timings[0].is_empty() {
                // A new size of input costs a network its first runs.
                for number in 0..WARM_UPS {
                    run_both(sides, &prepared, &plan.thresholds, number, &mut measured)?;
                }
                measured.timings.iter_mut().for_each(Vec::clear);
            }
            let found = run_both(sides, &prepared, &plan.thresholds, number, &mut measured)?;
            if both {
                let [a, b] = found.each_ref().map(|found| &found[0].detections);
                let compared = compare_detections(a, &renamed(b, sides));
                measured.pictures.push(PictureComparison { source: source.clone(), compared });
            }
            if let (Some(dataset), Some(classes)) = (plan.dataset, &classes) {
                judge(&mut measured, dataset, number, &picture, found, classes);
            }
            if kept.len() < plan.runs.min(8) {
                kept.push(picture);
            }
            if !go_on() {
                return Ok(None);
            }
        }
        anyhow::ensure!(!kept.is_empty(), "no picture can be read{}", first_reason(&measured.failed));
        let mut again = kept.iter().cycle();
        while measured.timings[0].len() < plan.runs {
            let Some(picture) = again.next() else { break };
            let number = measured.timings[0].len();
            let prepared = prepare_both(sides, picture, number);
            run_both(sides, &prepared, &plan.thresholds, number, &mut measured)?;
            if !go_on() {
                return Ok(None);
            }
        }
        Ok(Some(measured))
    }

    /// Median and middle half of a stage of both sides, and the ratio of B to A with its interval: that of all pairs,
    /// widened to hold those of the pairs with A first and with B first, since going second can be an advantage.
    pub(super) fn stage(&self, stage: fn(&Timing) -> Duration) -> ([Spread; 2], f64, [f64; 2]) {
        let times: [Vec<Duration>; 2] = self.timings.each_ref().map(|timings| timings.iter().map(stage).collect());
        let half = |times: &[Duration], first: usize| times.iter().skip(first).step_by(2).copied().collect::<Vec<_>>();
        let (all, mut interval) = ratio(&times[0], &times[1]);
        for first in [0, 1] {
            let (_, of_half) = ratio(&half(&times[0], first), &half(&times[1], first));
            interval = [interval[0].min(of_half[0]), interval[1].max(of_half[1])];
        }
        (times.each_ref().map(|times| Spread::of(times)), all, interval)
    }
}

fn first_reason(failed: &[(PathBuf, String)]) -> String {
    failed.first().map(|(path, reason)| format!(": {}: {reason}", path.display())).unwrap_or_default()
}

/// Runs that are not timed.
const WARM_UPS: usize = 3;

/// For A and B; every other time B goes first, so that neither always finds the caches as the other left them.
fn in_turn<T>(number: usize, mut of_side: impl FnMut(usize) -> T) -> [T; 2] {
    if number.is_multiple_of(2) {
        let a = of_side(0);
        [a, of_side(1)]
    } else {
        let b = of_side(1);
        [of_side(0), b]
    }
}

fn prepare_both(sides: &[Side; 2], picture: &Picture, number: usize) -> [Prepared; 2] {
    let prepare = |side: usize| Prepared::of(picture, &sides[side].detector.settings().fit);
    // The first ones find memory that nobody has touched yet.
    drop([prepare(0), prepare(1)]);
    in_turn(number, prepare)
}

fn run_both(
    sides: &mut [Side; 2],
    prepared: &[Prepared; 2],
    thresholds: &Thresholds,
    number: usize,
    measured: &mut Measured,
) -> anyhow::Result<[Vec<Found>; 2]> {
    let thresholds = [thresholds.clone(), Preset::evaluation()];
    let [a, b] = in_turn(number, |side| sides[side].detector.detect_with(&prepared[side], &thresholds));
    let found = [a?, b?];
    for (timings, found) in measured.timings.iter_mut().zip(&found) {
        timings.push(found[0].timing);
    }
    Ok(found)
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

fn judge(
    measured: &mut Measured,
    dataset: &Dataset,
    number: usize,
    picture: &Picture,
    found: [Vec<Found>; 2],
    classes: &[Vec<Option<usize>>; 2],
) {
    for ((side, mut found), classes) in measured.judged.iter_mut().zip(found).zip(classes) {
        let Found { detections, timing, .. } = found.swap_remove(1);
        side.push(judged(dataset, number, &Searched { size: picture.size(), detections, timing }, classes));
    }
}

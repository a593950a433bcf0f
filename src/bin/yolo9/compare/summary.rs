//! The comparison as sentences, as a table for one screen, and as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use yolo9::compare::{Change, Compared};
use yolo9::detect::{Preset, Timing};
use yolo9::evaluate::{AREAS, ApDifferences, Difference, LEAST_IMAGES};

use super::side::Side;
use super::{Accuracy, Comparison};
use crate::console::print_line;
use crate::statistics::{Interleaved, Spread};

/// Name of a stage, and where its time is.
pub(super) type Stage = (&'static str, fn(&Timing) -> Duration);

/// Stages that differ between models.
pub(super) const STAGES: [Stage; 3] =
    [("letterbox", |t| t.preprocess), ("inference", |t| t.inference), ("decode boxes, NMS", |t| t.postprocess)];

/// Those that mean something: random weights give a random number of boxes.
pub(super) fn stages(comparison: &Comparison) -> impl Iterator<Item = Stage> {
    let last = if comparison.sides.iter().all(|side| side.has_weights) { STAGES.len() } else { STAGES.len() - 1 };
    STAGES.into_iter().take(last)
}

/// Index of inference in [`STAGES`].
pub(super) const INFERENCE: usize = 1;

/// A difference in time that nobody notices.
const HARDLY: f64 = 0.03;

/// Boxes of both sides, and of one side alone with how many of these are right.
#[derive(Debug, Clone, Default)]
pub(super) struct BoxCounts {
    /// By change, in the order of [`Change::ALL`].
    changes: [usize; 5],
    /// Of those that only A and only B have, the right ones; with labels only.
    pub(super) right: [usize; 2],
}

impl BoxCounts {
    fn count(&mut self, compared: &Compared, right: [Option<bool>; 2]) {
        let place = Change::ALL.iter().position(|change| *change == compared.change).unwrap_or_default();
        self.changes[place] += 1;
        let alone = [Change::OnlyA, Change::OnlyB].iter().position(|change| *change == compared.change);
        if let Some(side) = alone {
            self.right[side] += usize::from(right[side] == Some(true));
        }
    }

    /// Those that only A and only B have.
    pub(super) fn alone(&self) -> [usize; 2] {
        let [.., only_a, only_b] = self.changes;
        [only_a, only_b]
    }

    pub(super) fn both(&self) -> usize {
        self.all() - self.alone().iter().sum::<usize>()
    }

    fn all(&self) -> usize {
        self.changes.iter().sum()
    }

    fn json(&self) -> Value {
        let changes = Change::ALL.iter().zip(self.changes);
        changes
            .map(|(change, count)| (change.name().to_owned(), json!(count)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// Of all objects, and of each class by name, those that differ most first.
pub(super) fn counts(comparison: &Comparison) -> (BoxCounts, Vec<(String, BoxCounts)>) {
    let mut total = BoxCounts::default();
    let mut classes: BTreeMap<usize, BoxCounts> = BTreeMap::new();
    for image in &comparison.measured.images {
        for (compared, right) in image.compared.iter().zip(&image.right) {
            total.count(compared, *right);
            classes.entry(compared.class()).or_default().count(compared, *right);
        }
    }
    let name = |class: usize| comparison.class_name(class);
    let mut classes: Vec<_> = classes.into_iter().map(|(class, counts)| (name(class), counts)).collect();
    classes.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.alone().iter().sum::<usize>()));
    (total, classes)
}

/// How boxes of both sides differ: IoU, and confidence of B less that of A, each as quartiles and median.
pub(super) fn agreement(comparison: &Comparison) -> Option<[Spread; 2]> {
    let pairs = || {
        let compared = comparison.measured.images.iter().flat_map(|image| &image.compared);
        compared.filter_map(|compared| compared.a.zip(compared.b))
    };
    pairs().next()?;
    Some([
        Spread::of(pairs().map(|(a, b)| f64::from(a.bbox.iou(&b.bbox)))),
        Spread::of(pairs().map(|(a, b)| f64::from(b.confidence - a.confidence))),
    ])
}

/// What a reader should take home, most important first.
pub(super) fn verdict(comparison: &Comparison) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(accuracy) = &comparison.accuracy {
        sentences.push(accuracy_sentence(&accuracy.differences.by_area[0]));
    }
    sentences.extend(boxes_sentence(comparison));
    sentences.push(time_sentence(comparison));
    sentences.extend(size_sentence(comparison));
    sentences
}

fn boxes_sentence(comparison: &Comparison) -> Option<String> {
    if comparison.measured.images.is_empty() {
        return None;
    }
    let (total, _) = counts(comparison);
    let at = format!("at confidence {}", comparison.conditions.confidence);
    if total.changes[0] == total.all() {
        return Some(format!("No difference in boxes {at}: all {} agree.", total.all()));
    }
    let (both, [only_a, only_b], [right_a, right_b]) = (total.both(), total.alone(), total.right);
    Some(match &comparison.accuracy {
        Some(Accuracy { scores: [a, b], .. }) => format!(
            "Boxes {at}: A has {} true and {} false positives, B {} and {}; of {only_a} that only A has {right_a} are true, of \
             {only_b} that only B has {right_b}.",
            a.counts.true_positives, a.counts.false_positives, b.counts.true_positives, b.counts.false_positives
        ),
        None => format!(
            "Boxes {at}: {both} of both, {only_a} of A alone, {only_b} of B alone; without labels nobody knows which are right."
        ),
    })
}

fn time_sentence(comparison: &Comparison) -> String {
    let Interleaved { spreads, ratio, interval: [low, high] } = comparison.measured.pair([0, 1], STAGES[INFERENCE].1);
    if let Some([a, b]) = comparison.measured.unlike {
        let [of_a, of_b] = spreads.map(|spread| format!("{:.2} ms", spread.median));
        return format!(
            "The inputs differ, A reads {a} and B {b} (width x height): their times ({of_a}, {of_b}) say nothing about the \
             networks."
        );
    }
    let time = format!("medians {:.2} ms and, of A, {:.2} ms", spreads[1].median, spreads[0].median);
    let interval = format!("95 % interval of the ratio {low:.3} to {high:.3}");
    if low <= 1.0 && high >= 1.0 {
        return format!("No significant difference in latency ({time}; {interval}).");
    }
    let hardly = if (ratio - 1.0).abs() < HARDLY { "hardly " } else { "" };
    let how = if ratio > 1.0 { "slower" } else { "faster" };
    format!("B is {hardly}{how}: the median ratio of its time to A's is {ratio:.3} ({interval}; {time}).")
}

/// Nothing for files whose size is not known.
fn size_sentence(comparison: &Comparison) -> Option<String> {
    let [a, b] = comparison.sides.each_ref().map(|side| &side.size);
    let parameters = (a.parameters?, b.parameters?);
    let gflops = (a.gflops?, b.gflops?);
    if parameters.0 == parameters.1 && gflops.0 == gflops.1 {
        return Some("No difference in parameters and GFLOPs.".into());
    }
    let change = |a: f64, b: f64| format!("{:+.1} %", 100.0 * (b / a - 1.0));
    Some(format!(
        "Size of B: {} parameters, {} GFLOPs.",
        change(parameters.0 as f64, parameters.1 as f64),
        change(gflops.0, gflops.1)
    ))
}

fn accuracy_sentence(difference: &Difference) -> String {
    let Difference { value, interval } = *difference;
    if value.is_nan() {
        return "There is no label to measure accuracy with.".into();
    }
    if value == 0.0 && interval.is_none_or(|interval| interval == [0.0; 2]) {
        return "No difference in accuracy: AP is the same.".into();
    }
    let Some([low, high]) = interval else {
        return format!("AP {value:+.3}, of fewer than {LEAST_IMAGES} images: too few to say which is better.");
    };
    let interval = format!("AP {value:+.3}, 95 % interval {low:+.3} to {high:+.3}");
    match difference.is_clear() {
        true if value > 0.0 => format!("B is more accurate: {interval}."),
        true => format!("A is more accurate: {interval}."),
        false => format!("No clear difference in accuracy: {interval}, which includes 0."),
    }
}

/// A row of the table of accuracy: name, A, B, and the difference where there is an interval.
pub(super) type AccuracyRow = (&'static str, f64, f64, Option<Difference>);

pub(super) fn accuracy_rows(accuracy: &Accuracy) -> Vec<AccuracyRow> {
    let [a, b] = accuracy.scores.each_ref().map(|scores| scores.coco.named());
    let ApDifferences { by_area, ap50, .. } = &accuracy.differences;
    let with_interval = |name: &str| match name {
        "AP" => Some(by_area[0]),
        "AP50" => Some(*ap50),
        "AP_small" => Some(by_area[1]),
        "AP_medium" => Some(by_area[2]),
        "AP_large" => Some(by_area[3]),
        _ => None,
    };
    a.into_iter().zip(b).map(|((name, a), (_, b))| (name, a, b, with_interval(name))).collect()
}

/// Precision and recall at the confidence threshold; name, A, B.
pub(super) fn count_rows(accuracy: &Accuracy) -> [(&'static str, [f64; 2]); 2] {
    let counts = accuracy.scores.each_ref().map(|scores| scores.counts);
    [("precision", counts.map(|counts| counts.precision())), ("recall", counts.map(|counts| counts.recall()))]
}

/// Nothing of few images.
pub(super) fn shown_interval(difference: &Difference) -> Option<String> {
    difference.interval.map(|[low, high]| format!("{low:+.3} to {high:+.3}"))
}

/// Name, A, B, and the ratio, as text; a dash where nothing is known.
pub(super) fn size_rows(comparison: &Comparison) -> Vec<(&'static str, [String; 2], String)> {
    let sizes = comparison.sides.each_ref().map(|side| &side.size);
    let row = |name, of: &dyn Fn(usize) -> Option<f64>, unit: &dyn Fn(f64) -> String| {
        let values = [of(0), of(1)];
        let ratio = values[0].zip(values[1]).map_or("-".into(), |(a, b)| format!("{:.3}", b / a));
        (name, values.map(|value| value.map_or("-".into(), unit)), ratio)
    };
    let million = |value: f64| format!("{:.3} M", value / 1e6);
    let megabytes = |value: f64| format!("{:.1} MB", value / 1e6);
    vec![
        row("parameters", &|side| sizes[side].parameters.map(|n| n as f64), &million),
        row("GFLOPs", &|side| sizes[side].gflops, &|value| format!("{value:.2}")),
        row("file", &|side| sizes[side].file_bytes.map(|n| n as f64), &megabytes),
        row("memory", &|side| sizes[side].memory_bytes.map(|n| n as f64), &megabytes),
    ]
}

/// A difference in AP; the interval of few images is null.
pub(super) fn ap_json(difference: &Difference) -> Value {
    json!({ "AP": difference.value, "interval": difference.interval })
}

fn accuracy_json(Accuracy { scores: [a, b], differences }: &Accuracy) -> Value {
    let areas = AREAS.iter().map(|(area, _)| *area).zip(&differences.by_area).chain([("AP50", &differences.ap50)]);
    let known = areas.filter(|(_, difference)| !difference.value.is_nan());
    let by_area: serde_json::Map<String, Value> =
        known.map(|(name, difference)| (name.to_owned(), ap_json(difference))).collect();
    let classes = a.per_class().into_iter();
    let classes: serde_json::Map<String, Value> =
        classes.map(|(name, class)| (name.to_owned(), ap_json(&differences.classes[class.class]))).collect();
    let preset = Preset::default();
    json!({ "a": a.json(preset), "b": b.json(preset), "b_minus_a": by_area, "classes_b_minus_a": classes })
}

/// Everything.
pub(super) fn json(comparison: &Comparison) -> Value {
    let ((total, classes), agreement) = (counts(comparison), agreement(comparison));
    let stages: serde_json::Map<String, Value> = stages(comparison)
        .map(|(name, stage)| {
            let Interleaved { spreads: [a, b], ratio, interval } = comparison.measured.pair([0, 1], stage);
            (name.to_owned(), json!({ "a": a, "b": b, "ratio": ratio, "interval": interval }))
        })
        .collect();
    json!({
        "environment": comparison.conditions.environment,
        "sides": comparison.sides.each_ref().map(Side::json),
        "subject": comparison.conditions.subject,
        "input": comparison.conditions.input,
        "verdict": verdict(comparison),
        "boxes": { "confidence": comparison.conditions.confidence, "all": total.json(),
            "alone": { "a": total.alone()[0], "b": total.alone()[1] },
            "alone_and_right": comparison.accuracy.as_ref().map(|_| json!({ "a": total.right[0], "b": total.right[1] })),
            "iou": agreement.map(|[iou, _]| iou), "confidence_b_minus_a": agreement.map(|[_, score]| score),
            "classes": classes.iter().map(|(name, counts)| (name.clone(), counts.json())).collect::<serde_json::Map<_, _>>() },
        "accuracy": comparison.accuracy.as_ref().map(accuracy_json),
        "layers": comparison.layers(),
        "time": stages,
        "failed": comparison.measured.failed.len(),
        "threads": comparison.conditions.threads,
        "runs": comparison.measured.timings[0].len(),
    })
}

/// The answer on one screen; everything else is in `--json` and in the report.
pub(super) fn print(comparison: &Comparison) -> anyhow::Result<()> {
    let [a, b] = &comparison.sides;
    for (letter, side) in [("A", a), ("B", b)] {
        print_line!("{letter}  {} ({})", side.name, side.execution);
        for note in &side.notes {
            print_line!("   note: {note}");
        }
    }
    print_line!("on {}, letterboxed to at most {}\n", comparison.conditions.subject, comparison.conditions.input);
    for sentence in verdict(comparison) {
        print_line!("{sentence}");
    }
    if let Some(accuracy) = &comparison.accuracy {
        print_line!("\n{:<24} {:>9} {:>9} {:>9}   95 % interval", "accuracy", "A", "B", "B - A");
        for (name, a, b, difference) in accuracy_rows(accuracy).into_iter().take(2).filter(|(_, a, ..)| !a.is_nan()) {
            let interval = difference.and_then(|difference| shown_interval(&difference)).unwrap_or_default();
            print_line!("{name:<24} {a:>9.3} {b:>9.3} {:>+9.3}   {interval}", b - a);
        }
        for (name, [a, b]) in count_rows(accuracy) {
            let name = format!("{name} at conf {}", comparison.conditions.confidence);
            print_line!("{name:<24} {a:>9.3} {b:>9.3} {:>+9.3}", b - a);
        }
    }
    if let Some([iou, confidence]) = agreement(comparison) {
        let (total, _) = counts(comparison);
        print_line!(
            "\nboxes of both: {}; IoU {}, confidence of B less A {}",
            total.both(),
            iou.text(false),
            confidence.text(true)
        );
    }
    let title = format!("time, {}", comparison.conditions.threads_text());
    print_line!("\n{title:<24} {:>9} {:>9} {:>9}   95 % interval", "A", "B", "B / A");
    let Interleaved { spreads, ratio, interval: [low, high] } = comparison.measured.pair([0, 1], STAGES[INFERENCE].1);
    let [a, b] = spreads.map(|spread| format!("{:.2} ms", spread.median));
    print_line!("{:<24} {a:>9} {b:>9} {ratio:>9.3}   {low:.3} to {high:.3}", "inference");
    for (name, [a, b], ratio) in size_rows(comparison) {
        print_line!("{name:<24} {a:>9} {b:>9} {ratio:>9}");
    }
    Ok(())
}

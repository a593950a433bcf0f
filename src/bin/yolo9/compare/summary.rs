//! The comparison as sentences, as a table for one screen, and as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use yolo9::compare::Change;
use yolo9::detect::Timing;
use yolo9::evaluate::{AREAS, Difference, LEAST_IMAGES};

use super::Comparison;
use crate::console::print_line;
use crate::val::Scores;

/// Name of a stage, and where its time is.
pub(super) type Stage = (&'static str, fn(&Timing) -> Duration);

/// Stages that differ between models.
const STAGES: [Stage; 3] =
    [("letterbox", |t| t.preprocess), ("inference", |t| t.inference), ("decode boxes, NMS", |t| t.postprocess)];

/// Those that mean something: random weights give a random number of boxes.
pub(super) fn stages(comparison: &Comparison) -> impl Iterator<Item = Stage> {
    let last = if comparison.sides.iter().all(|side| side.has_weights) { STAGES.len() } else { STAGES.len() - 1 };
    STAGES.into_iter().take(last)
}

/// Index of inference in [`STAGES`].
const INFERENCE: usize = 1;

/// A difference in time that nobody notices.
const HARDLY: f64 = 0.03;

/// Classes in the table on the screen; all are in the report.
const CLASSES: usize = 6;

/// Counts by change, in the order of [`Change::ALL`].
pub(super) type Counts = [usize; 5];

/// Of all objects, and of each class by name, those that differ most first.
pub(super) fn counts(comparison: &Comparison) -> (Counts, Vec<(String, Counts)>) {
    let mut total = Counts::default();
    let mut classes: BTreeMap<usize, Counts> = BTreeMap::new();
    for compared in comparison.measured.images.iter().flat_map(|image| &image.compared) {
        let place = Change::ALL.iter().position(|change| *change == compared.change).unwrap_or_default();
        total[place] += 1;
        classes.entry(compared.class()).or_default()[place] += 1;
    }
    let name = |class: usize| comparison.class_name(class);
    let mut classes: Vec<(String, Counts)> = classes.into_iter().map(|(class, counts)| (name(class), counts)).collect();
    classes.sort_by_key(|(_, counts)| std::cmp::Reverse(counts[1..].iter().sum::<usize>()));
    (total, classes)
}

/// What a reader should take home, most important first.
pub(super) fn verdict(comparison: &Comparison) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some((_, differences)) = &comparison.accuracy {
        sentences.push(accuracy_sentence(&differences[0]));
    } else if !comparison.measured.images.is_empty() {
        let (total, _) = counts(comparison);
        let all: usize = total.iter().sum();
        sentences.push(match all - total[0] {
            0 => format!("Both find the same: all {all} boxes agree."),
            different => format!("{different} of {all} boxes differ; without labels nobody knows which are better."),
        });
    }
    let (spreads, ratio, [low, high]) = comparison.measured.stage(STAGES[INFERENCE].1);
    let time = format!("{:.2} ms against {:.2} ms", spreads[1].median, spreads[0].median);
    let interval = format!("95 % interval of the ratio {low:.3} to {high:.3}");
    if let Some([a, b]) = comparison.measured.unlike {
        let [of_a, of_b] = spreads.map(|spread| format!("{:.2} ms", spread.median));
        sentences.push(format!(
            "The inputs differ, A reads {a} and B {b} (width x height): their times ({of_a}, {of_b}) say nothing about the \
             networks."
        ));
        return sentences;
    }
    sentences.push(if low <= 1.0 && high >= 1.0 {
        format!("No significant difference in latency ({time}; {interval}).")
    } else {
        let hardly = if (ratio - 1.0).abs() < HARDLY { "hardly " } else { "" };
        let how = if ratio > 1.0 { "slower" } else { "faster" };
        format!("B is {hardly}{how}: it takes {ratio:.3} of A's time ({time}; {interval}).")
    });
    sentences
}

fn accuracy_sentence(difference: &Difference) -> String {
    let Difference { value, interval: [low, high] } = *difference;
    let interval = format!("AP {value:+.3}, 95 % interval {low:+.3} to {high:+.3}");
    match difference.is_clear() {
        _ if value.is_nan() => "There is no label to measure accuracy with.".into(),
        _ if low.is_nan() => {
            format!("AP {value:+.3}, of fewer than {LEAST_IMAGES} images: too few to say which is better.")
        }
        true if value > 0.0 => format!("B is more accurate: {interval}."),
        true => format!("A is more accurate: {interval}."),
        false if value == 0.0 && low == 0.0 && high == 0.0 => "Both are equally accurate: AP is the same.".into(),
        false => format!("No clear difference in accuracy: {interval}, which includes 0."),
    }
}

/// A row of the table of accuracy: name, A, B, and the difference where there is an interval.
pub(super) type AccuracyRow = (&'static str, f64, f64, Option<Difference>);

pub(super) fn accuracy_rows((scores, differences): &([Scores; 2], [Difference; 4])) -> Vec<AccuracyRow> {
    let [a, b] = scores.each_ref().map(|scores| scores.coco.named());
    let with_interval = |name: &str| match name {
        "AP" => Some(differences[0]),
        "AP_small" => Some(differences[1]),
        "AP_medium" => Some(differences[2]),
        "AP_large" => Some(differences[3]),
        _ => None,
    };
    a.into_iter().zip(b).map(|((name, a), (_, b))| (name, a, b, with_interval(name))).collect()
}

pub(super) fn print(comparison: &Comparison) -> anyhow::Result<()> {
    let [a, b] = &comparison.sides;
    for (letter, side) in [("A", a), ("B", b)] {
        print_line!("{letter}  {} ({})", side.name, side.execution);
        for note in &side.notes {
            print_line!("   note: {note}");
        }
    }
    print_line!("on {}, letterboxed to at most {}\n", comparison.subject, comparison.input);
    for sentence in verdict(comparison) {
        print_line!("{sentence}");
    }
    if let Some(accuracy) = &comparison.accuracy {
        print_line!("\n{:<20} {:>9} {:>9} {:>9}   95 % interval", "accuracy (COCO)", "A", "B", "B - A");
        let rows = accuracy_rows(accuracy);
        let wanted = |name: &str| !name.starts_with("AR") || name == "AR100";
        for (name, a, b, difference) in rows.into_iter().filter(|(name, ..)| wanted(name)) {
            if a.is_nan() {
                continue;
            }
            let interval = difference.filter(|d| !d.interval[0].is_nan());
            let interval = interval.map(|d| format!("{:+.3} to {:+.3}", d.interval[0], d.interval[1]));
            print_line!("{name:<20} {a:>9.3} {b:>9.3} {:>+9.3}   {}", b - a, interval.unwrap_or_default());
        }
    }
    print_boxes(comparison)?;
    print_line!("\n{:<20} {:>12} {:>12} {:>8}   95 % interval", comparison.time_title(), "A", "B", "B / A");
    for (name, stage) in stages(comparison) {
        let (spreads, ratio, [low, high]) = comparison.measured.stage(stage);
        let [a, b] = spreads.map(|spread| format!("{:.2} ms", spread.median));
        print_line!("{name:<20} {a:>12} {b:>12} {ratio:>8.3}   {low:.3} to {high:.3}");
    }
    print_line!("\n{:<20} {:>12} {:>12} {:>8}", "size", "A", "B", "B / A");
    for (name, [a, b], ratio) in size_rows(comparison) {
        print_line!("{name:<20} {a:>12} {b:>12} {ratio:>8}");
    }
    Ok(())
}

fn print_boxes(comparison: &Comparison) -> anyhow::Result<()> {
    if comparison.measured.images.is_empty() {
        return Ok(());
    }
    let (total, classes) = counts(comparison);
    let names = Change::ALL.map(Change::name);
    let title = format!("boxes at conf {}", comparison.confidence);
    print_line!("\n{title:<20} {:>8} {:>8} {:>19} {:>8} {:>8}", names[0], names[1], names[2], names[3], names[4]);
    let row =
        |name: &str, c: &Counts| format!("{name:<20} {:>8} {:>8} {:>19} {:>8} {:>8}", c[0], c[1], c[2], c[3], c[4]);
    print_line!("{}", row("all", &total));
    for (name, counts) in classes.iter().take(CLASSES) {
        print_line!("{}", row(name, counts));
    }
    if classes.len() > CLASSES {
        print_line!("(and {} more, in --json and in the report of --out)", classes.len() - CLASSES);
    }
    Ok(())
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

pub(super) fn json(comparison: &Comparison) -> Value {
    let (total, classes) = counts(comparison);
    let named = |counts: &Counts| -> Value {
        Change::ALL
            .iter()
            .zip(counts)
            .map(|(change, count)| (change.name().to_owned(), json!(count)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let stages: serde_json::Map<String, Value> = stages(comparison)
        .map(|(name, stage)| {
            let ([a, b], ratio, interval) = comparison.measured.stage(stage);
            (name.to_owned(), json!({ "a": a.json(), "b": b.json(), "ratio": ratio, "interval": interval }))
        })
        .collect();
    let sides: Vec<Value> = comparison
        .sides
        .iter()
        .map(|side| {
            let execution = side.execution.json();
            json!({ "model": side.name, "notes": side.notes, "execution": execution, "size": side.size.json() })
        })
        .collect();
    let accuracy = comparison.accuracy.as_ref().map(|(scores, differences)| {
        let differences: serde_json::Map<String, Value> = AREAS
            .iter()
            .zip(differences)
            .filter(|(_, d)| !d.value.is_nan())
            .map(|((area, _), d)| {
                let interval = (!d.interval[0].is_nan()).then_some(d.interval);
                ((*area).to_owned(), json!({ "AP": d.value, "interval": interval }))
            })
            .collect();
        json!({ "a": scores[0].json(), "b": scores[1].json(), "b_minus_a": differences })
    });
    json!({
        "sides": sides,
        "subject": comparison.subject,
        "input": comparison.input,
        "verdict": verdict(comparison),
        "boxes": { "confidence": comparison.confidence, "all": named(&total),
            "classes": classes.iter().map(|(name, counts)| (name.clone(), named(counts))).collect::<serde_json::Map<_, _>>() },
        "accuracy": accuracy,
        "time": stages,
        "failed": comparison.measured.failed.len(),
        "threads": comparison.threads,
        "runs": comparison.measured.timings[0].len(),
    })
}

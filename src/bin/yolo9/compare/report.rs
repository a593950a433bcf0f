//! `report.html`: the comparison on one page that needs nothing else, for a screen, a phone, or paper.

use std::fmt::Write;

use yolo9::evaluate::Difference;
use yolo9::output::{Series, escaped, line_plot};

use super::images::Drawn;
use super::summary::{
    BoxCounts, accuracy_rows, agreement, count_rows, counts, shown_interval, size_rows, stages, verdict,
};
use super::{Accuracy, Comparison};
use crate::page::{self, closed, figure, left_out, opened, table};
use crate::statistics::Interleaved;
use crate::val::{RESAMPLES, Scores};

pub(super) fn page(comparison: &Comparison, drawn: &[Drawn]) -> String {
    let [a, b] = comparison.sides.each_ref().map(|side| escaped(&side.name));
    let mut page = format!(
        "{}<main>\n<header><h1><span class=\"a\">A</span> {a} <small>and</small> \
         <span class=\"b\">B</span> {b}</h1>\n<p>{}, input {}</p>\n</header>\n",
        opened(&format!("{a} and {b}")),
        escaped(&comparison.conditions.subject),
        comparison.conditions.input
    );
    for (letter, side) in ["A", "B"].into_iter().zip(&comparison.sides) {
        for note in &side.notes {
            let _ = writeln!(page, "<p class=\"note\"><b>{letter}:</b> {}</p>", escaped(note));
        }
    }
    let [on_a, on_b] = comparison.sides.each_ref().map(|side| escaped(&side.execution.to_string()));
    let _ = writeln!(page, "<p>{}<br>A on {on_a}; B on {on_b}</p>", comparison.conditions.html());
    page += &left_out(comparison.measured.failed.len());
    page::verdict(&mut page, &verdict(comparison));
    accuracy(&mut page, comparison);
    boxes(&mut page, comparison);
    time(&mut page, comparison);
    size(&mut page, comparison);
    layers(&mut page, comparison);
    images(&mut page, drawn);
    let _ = writeln!(
        page,
        "</main>\n<footer>Accuracy as pycocotools measures it (confidence from 0.001, IoU 0.7, 300 detections); \
         its intervals by the bootstrap over images ({RESAMPLES} draws). Boxes are paired by class from IoU 0.5; \
         a box is true if it has that IoU with a label of its class that no better one has. Times are medians of {} runs of each, interleaved on \
         one machine; their ratio is the median of the pairs. Memory is the most that a process of its own took to open the model and run it once.</footer>",
        comparison.measured.timings[0].len()
    );
    closed(&mut page);
    page
}

fn accuracy(page: &mut String, comparison: &Comparison) {
    let Some(accuracy) = &comparison.accuracy else { return };
    *page += "<section><h2>Accuracy</h2>\n";
    let rows = accuracy_rows(accuracy);
    let span =
        rows.iter().filter_map(|(.., d)| d.as_ref()?.interval).flatten().fold(0.01f64, |most, v| most.max(v.abs()));
    let cells = |name, a: f64, b: f64| vec![name, format!("{a:.3}"), format!("{b:.3}"), format!("{:+.3}", b - a)];
    let known = rows.into_iter().filter(|(_, a, ..)| !a.is_nan()).map(|(name, a, b, difference)| {
        let interval = difference.as_ref().and_then(shown_interval).unwrap_or_default();
        let bar = difference.filter(|_| !interval.is_empty()).map(|d| interval_bar(&d, span)).unwrap_or_default();
        [cells(name.replace('_', " "), a, b), vec![interval, bar]].concat()
    });
    let counts = count_rows(accuracy).map(|(name, [a, b])| {
        let name = format!("{name} at confidence {}", comparison.conditions.confidence);
        [cells(name, a, b), vec![String::new(); 2]].concat()
    });
    table(page, &["COCO", "A", "B", "B &minus; A", "95 % interval", ""], known.chain(counts));
    let colours = [("A", "#146edc"), ("B", "#e67814")];
    let of_side = |(scores, (name, colour)): (&Scores, (&str, &str))| mean_curve(scores, name, colour);
    let series: Vec<Series> = accuracy.scores.iter().zip(colours).map(of_side).collect();
    let _ = writeln!(page, "<figure>{}</figure>", mean_plot(&series));
    per_class(page, comparison);
    *page += "<p>YOLO-style numbers, which are not comparable with COCO's:</p>\n";
    let [a, b] = &accuracy.scores;
    let rows = [
        cells("official val.py".into(), a.official.map, b.official.map),
        cells("Ultralytics 8.4".into(), a.ultralytics.map, b.ultralytics.map),
    ];
    table(page, &["mAP50-95", "A", "B", "B &minus; A"], rows);
    *page += "</section>\n";
}

/// Precision by recall of a side, the mean of classes.
pub(super) fn mean_curve(scores: &Scores, name: &str, colour: &str) -> Series {
    let classes = &scores.official.classes;
    let mean =
        |n: usize| classes.iter().map(|class| class.precision_by_recall[n]).sum::<f64>() / classes.len().max(1) as f64;
    let points = (0..=100).map(|n| (n as f64 / 100.0, mean(n))).collect();
    Series { name: name.into(), points, colour: colour.into(), strong: true }
}

pub(super) fn mean_plot(series: &[Series]) -> String {
    line_plot("Precision and recall at IoU 0.5, mean of classes", ["recall", "precision"], series)
}

/// From fewer labels on an interval of one class says little.
const FEW_LABELS: usize = 30;

fn per_class(page: &mut String, comparison: &Comparison) {
    let Some(Accuracy { scores: [a, b], differences }) = &comparison.accuracy else { return };
    let mut few = false;
    let rows = a.per_class().into_iter().zip(b.per_class()).map(|((name, a), (_, b))| {
        let is_few = a.labels < FEW_LABELS;
        few |= is_few;
        vec![
            escaped(name),
            format!("{}{}", a.labels, if is_few { " *" } else { "" }),
            format!("{:.3}", a.ap),
            format!("{:.3}", b.ap),
            format!("{:+.3}", b.ap - a.ap),
            shown_interval(&differences.classes[a.class]).unwrap_or_default(),
        ]
    });
    table(page, &["class", "labels", "AP of A", "AP of B", "B &minus; A", "95 % interval"], rows);
    if few {
        let _ = writeln!(page, "<p>* Fewer than {FEW_LABELS} labels: the interval of such a class says little.</p>");
    }
}

/// An interval around 0 as a small image; `span` is half its width.
fn interval_bar(difference: &Difference, span: f64) -> String {
    let x = |value: f64| 70.0 + 66.0 * (value / span).clamp(-1.0, 1.0);
    let ([low, high], middle) = (difference.interval.unwrap_or_default().map(x), x(difference.value));
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 140 16\" width=\"140\" height=\"16\"><path d=\"M70 0V16\" stroke=\"currentColor\" \
         stroke-opacity=\".4\"/><path d=\"M{low:.1} 8H{high:.1}\" stroke=\"currentColor\" stroke-width=\"3\"/>\
         <circle cx=\"{middle:.1}\" cy=\"8\" r=\"4.5\" fill=\"currentColor\"/></svg>"
    )
}

fn boxes(page: &mut String, comparison: &Comparison) {
    if comparison.measured.images.is_empty() {
        return;
    }
    let (total, classes) = counts(comparison);
    let _ = writeln!(page, "<section><h2>Boxes at confidence {}</h2>", comparison.conditions.confidence);
    if let Some([iou, confidence]) = agreement(comparison) {
        let _ = writeln!(
            page,
            "<p>Boxes of both: IoU {}; confidence of B less that of A {}.</p>",
            iou.text(false),
            confidence.text(true)
        );
    }
    let labelled = comparison.accuracy.is_some();
    if let Some(Accuracy { scores, .. }) = &comparison.accuracy {
        let rows = ["A", "B"].into_iter().zip(scores).map(|(name, scores)| {
            let counts = scores.counts;
            let numbers = [counts.true_positives, counts.false_positives, counts.misses].map(|count| count.to_string());
            let shares = [counts.precision(), counts.recall()].map(|share| format!("{share:.3}"));
            [vec![name.into()], numbers.to_vec(), shares.to_vec()].concat()
        });
        table(page, &["", "true positives", "false positives", "misses", "precision", "recall"], rows);
    }
    let mut heads = vec!["class", "of both", "only A", "only B"];
    if labelled {
        heads = vec!["class", "of both", "only A", "of these true", "only B", "of these true"];
    }
    let cells = |name: &str, counts: &BoxCounts| -> Vec<String> {
        let of_side = |side: usize| {
            let right = labelled.then(|| counts.right[side].to_string());
            std::iter::once(counts.alone()[side].to_string()).chain(right)
        };
        [name.to_owned(), counts.both().to_string()].into_iter().chain(of_side(0)).chain(of_side(1)).collect()
    };
    let rows = classes.iter().map(|(name, counts)| cells(&escaped(name), counts));
    table(page, &heads, std::iter::once(cells("<b>all</b>", &total)).chain(rows));
    *page += "</section>\n";
}

fn time(page: &mut String, comparison: &Comparison) {
    let _ = writeln!(page, "<section><h2>Time, with {}</h2>", comparison.conditions.threads_text());
    let rows = stages(comparison).map(|(name, stage)| {
        let Interleaved { spreads: [a, b], ratio, interval: [low, high] } = comparison.measured.pair([0, 1], stage);
        let ms = |value: f64| format!("{value:.2} ms");
        vec![
            name.into(),
            ms(a.median),
            a.range(),
            ms(b.median),
            b.range(),
            format!("{ratio:.3}"),
            format!("{low:.3} to {high:.3}"),
        ]
    });
    let heads = ["stage", "A", "interquartile range", "B", "interquartile range", "B / A", "95 % interval"];
    table(page, &heads, rows);
    *page += "</section>\n";
}

fn size(page: &mut String, comparison: &Comparison) {
    *page += "<section><h2>Size</h2>\n";
    let rows = size_rows(comparison).into_iter().map(|(name, [a, b], ratio)| vec![name.into(), a, b, ratio]);
    table(page, &["", "A", "B", "B / A"], rows);
    *page += "</section>\n";
}

/// As `yolo9 info A B` shows them.
fn layers(page: &mut String, comparison: &Comparison) {
    let lines = comparison.layers();
    if !lines.is_empty() {
        let lines: Vec<String> = lines.iter().map(|line| escaped(line)).collect();
        let _ = writeln!(
            page,
            "<section><h2>Layers</h2>\n<pre class=\"wide\" tabindex=\"0\">{}</pre></section>",
            lines.join("\n")
        );
    }
}

fn images(page: &mut String, drawn: &[Drawn]) {
    if drawn.is_empty() {
        return;
    }
    *page += "<section><h2>What differs most</h2>\n";
    for image in drawn {
        figure(page, &image.file, &image.small, &image.caption);
    }
    *page += "</section>\n";
}

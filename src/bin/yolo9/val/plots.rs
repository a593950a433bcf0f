//! Curves and counts of an evaluation, as files and in its page.

use yolo9::evaluate::{EvalImage, YoloClass, match_ground_truths};
use yolo9::output::{Bars, Series, bar_plot, css_colour, line_plot, table_plot};

use super::Scores;
use super::scores::{COLOURS, CONFUSION_IOU};

/// A file name and its SVG.
pub(super) type Plot = (&'static str, String);

/// Precision by recall, and F1, precision and recall by confidence.
pub(super) fn curves(scores: &Scores) -> Vec<Plot> {
    let (classes, names) = (&scores.official.classes, &scores.class_names);
    // Every fifth of the thousand confidences: a step is two pixels then.
    let confidence = |n: usize| n as f64 / 999.0;
    let every = (0..1000).step_by(5).chain([999]).collect::<Vec<_>>();
    let recalls = (0..=100).collect::<Vec<_>>();
    let pr = with_mean(classes, names, &recalls, |n| n as f64 / 100.0, |class, n| class.precision_by_recall[n]);
    let p = with_mean(classes, names, &every, confidence, |class, n| class.precision_by_confidence[n]);
    let r = with_mean(classes, names, &every, confidence, |class, n| class.recall_by_confidence[n]);
    let f = with_mean(classes, names, &every, confidence, YoloClass::f1);
    vec![
        ("pr.svg", line_plot("Precision and recall at IoU 0.5", ["recall", "precision"], &pr)),
        ("f1.svg", line_plot("F1 at IoU 0.5", ["confidence", "F1"], &f)),
        ("precision.svg", line_plot("Precision at IoU 0.5", ["confidence", "precision"], &p)),
        ("recall.svg", line_plot("Recall at IoU 0.5", ["confidence", "recall"], &r)),
    ]
}

/// Of the classes that are labelled or detected.
pub(super) fn confusion(scores: &Scores) -> Plot {
    let (counts, background) = (&scores.confusion, scores.class_names.len());
    let is_present =
        |class: &usize| *class == background || (0..=background).any(|n| counts[*class][n] + counts[n][*class] > 0);
    let present: Vec<usize> = (0..=background).filter(is_present).collect();
    let name = |class: &usize| scores.class_names.get(*class).map_or("background", String::as_str).to_owned();
    let names: Vec<String> = present.iter().map(name).collect();
    let table: Vec<Vec<usize>> =
        present.iter().map(|row| present.iter().map(|column| counts[*row][*column]).collect()).collect();
    let confidence = scores.count_conf;
    let title = format!("Detected (rows) and labelled (columns), confidence {confidence}, IoU {CONFUSION_IOU}");
    ("confusion.svg", table_plot(&title, &names, &table))
}

/// Confidences of true and false positives, and sizes of labels that are found and missed at the threshold of the counts.
pub(super) fn histograms(images: &[EvalImage], shown: &[EvalImage]) -> [Plot; 2] {
    [("confidence.svg", confidences(images)), ("sizes.svg", sizes(shown))]
}

fn confidences(images: &[EvalImage]) -> String {
    // Below 0.1 there are so many that nothing else could be seen.
    const BINS: usize = 18;
    let mut counts = [[0usize; BINS]; 2];
    for image in images {
        for (found, right) in image.predictions.iter().zip(match_ground_truths(image).right) {
            let bin = ((found.score - 0.1) * 20.0).floor();
            if let (Some(right), true) = (right, bin >= 0.0) {
                counts[usize::from(!right)][(bin as usize).min(BINS - 1)] += 1;
            }
        }
    }
    let bins: Vec<String> = (0..BINS).map(|bin| format!("{:.2}", 0.1 + bin as f64 / 20.0)).collect();
    let parts = parts(["true positives", "false positives"], counts.map(Vec::from));
    bar_plot("Confidence of detections from 0.1 on", ["confidence, from", "detections"], &bins, &parts)
}

fn sizes(images: &[EvalImage]) -> String {
    const EDGES: [usize; 8] = [0, 16, 32, 64, 96, 128, 256, 512];
    let mut counts = [[0usize; EDGES.len()]; 2];
    for image in images {
        for (truth, found) in image.ground_truths.iter().zip(match_ground_truths(image).found) {
            let size = truth.bbox.area().sqrt();
            let bin = EDGES.iter().rposition(|edge| *edge as f64 <= size).unwrap_or_default();
            if let Some(found) = found {
                counts[usize::from(!found)][bin] += 1;
            }
        }
    }
    let bins: Vec<String> = EDGES.iter().map(usize::to_string).collect();
    let parts = parts(["found", "missed"], counts.map(Vec::from));
    bar_plot("Labels by size", ["root of the box's area in pixels of the image, from", "labels"], &bins, &parts)
}

fn parts(names: [&str; 2], counts: [Vec<usize>; 2]) -> Vec<Bars> {
    let of = |((name, colour), counts): ((&str, &str), Vec<usize>)| Bars {
        name: name.into(),
        colour: colour.into(),
        counts,
    };
    names.into_iter().zip(COLOURS).zip(counts).map(of).collect()
}

/// A line for each class and a strong one for their mean.
fn with_mean(
    classes: &[YoloClass],
    names: &[String],
    places: &[usize],
    x: impl Fn(usize) -> f64,
    y: impl Fn(&YoloClass, usize) -> f64,
) -> Vec<Series> {
    let mean = |n: usize| classes.iter().map(|class| y(class, n)).sum::<f64>() / classes.len().max(1) as f64;
    let line = |of: &dyn Fn(usize) -> f64| places.iter().map(|n| (x(*n), of(*n))).collect();
    let all = Series { name: "all classes".into(), points: line(&mean), colour: "#0b66c3".into(), strong: true };
    let of_class = |class: &YoloClass| Series {
        name: names[class.class].clone(),
        points: line(&|n| y(class, n)),
        colour: css_colour(class.class),
        strong: false,
    };
    // Drawn last, over the others.
    classes.iter().map(of_class).chain([all]).collect()
}

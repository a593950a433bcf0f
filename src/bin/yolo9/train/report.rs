//! `report.html`: how a run went, on one page.

use std::fmt::Write;
use std::path::Path;

use yolo9::detect::Preset;
use yolo9::evaluate::{YoloMetrics, yolo_metrics};
use yolo9::output::{Series, curve_plot, escaped, write_atomically};
use yolo9::train::{EpochRecord, EpochScores, LossItems, TrainingSet};
use yolo9::untrusted::{FileKind, read};

use super::folder::{BEST, REPORT, batch_file, file_name};
use super::run::TrainingRun;
use crate::page::{closed, figure, opened, table};
use crate::report::counted;
use crate::val::{Evaluated, WORST_SHEET, draw_worst};

/// Images with the most mistakes that are drawn.
const WORST: usize = 12;

/// Writes the page and the images that it shows; `evaluated` is of the best weights.
pub(super) fn write(run: &TrainingRun<'_>, evaluated: &Evaluated) -> anyhow::Result<()> {
    let names = &run.validation.class_names;
    let metrics = yolo_metrics(&evaluated.images, names.len(), Preset::Yolov9);
    draw_worst(&run.folder.0, &run.validation, &evaluated.images, metrics.confidence, WORST)?;
    let settings = run.settings;
    let history = &run.trainer.progress().history;
    let of = settings.config.as_deref().or(settings.weights.as_deref()).unwrap_or_default();
    let title = escaped(&format!("Training of {}", file_name(Path::new(of))));
    let mut page = opened(&title);
    let _ = writeln!(
        page,
        "<main>\n<header><h1>{title}</h1>\n<p>{}, from {}, {}, batches of {}, {}x{}, seed {}</p>\n</header>",
        escaped(&file_name(&settings.data)),
        escaped(&settings.weights.as_deref().map_or_else(|| "random values".into(), |name| file_name(Path::new(name)))),
        counted(settings.epochs, "epoch"),
        settings.batch,
        settings.imgsz,
        settings.imgsz,
        settings.seed
    );
    if let Some(EpochRecord { epoch, scores: Some(scores), .. }) = run.trainer.progress().best() {
        let _ = writeln!(
            page,
            "<section class=\"verdict\"><p>Best is epoch {epoch} of {}: mAP50 {:.3}, mAP50-95 {:.3}, precision {:.3}, recall \
             {:.3} ({BEST}).</p></section>",
            history.len(),
            scores.map50,
            scores.map,
            scores.precision,
            scores.recall
        );
    }
    curves(&mut page, history);
    classes(&mut page, &metrics, names, &run.set);
    sizes(&mut page, &run.set);
    images(&mut page, run)?;
    let _ = writeln!(
        page,
        "</main>\n<footer>Made by yolo9 {}. Scores are those of the averaged weights on the validation split, by the rules of the official val.py. \
         Losses are means over the images of an epoch.</footer>",
        env!("CARGO_PKG_VERSION")
    );
    closed(&mut page);
    Ok(write_atomically(&run.folder.file(REPORT), page.as_bytes())?)
}

/// Losses and scores by epoch.
fn curves(page: &mut String, history: &[EpochRecord]) {
    type Loss = (&'static str, &'static str, fn(&LossItems) -> f64);
    type Score = (&'static str, &'static str, fn(&EpochScores) -> f64);
    const LOSSES: [Loss; 3] = [
        ("box", "#146edc", |loss| loss.bbox),
        ("class", "#e67814", |loss| loss.class),
        ("DFL", "#2a9d4a", |loss| loss.dfl),
    ];
    const SCORES: [Score; 4] = [
        ("mAP50-95", "#146edc", |scores| scores.map),
        ("mAP50", "#e67814", |scores| scores.map50),
        ("precision", "#2a9d4a", |scores| scores.precision),
        ("recall", "#8c3cbe", |scores| scores.recall),
    ];
    let series = |name: &str, colour: &str, points: Vec<(f64, f64)>| Series {
        name: name.into(),
        points,
        colour: colour.into(),
        strong: true,
    };
    let losses: Vec<Series> = LOSSES
        .iter()
        .map(|(name, colour, of)| series(name, colour, history.iter().map(|r| (r.epoch as f64, of(&r.loss))).collect()))
        .collect();
    let scored = || history.iter().filter_map(|record| Some((record.epoch as f64, record.scores?)));
    let scores: Vec<Series> = SCORES
        .iter()
        .map(|(name, colour, of)| series(name, colour, scored().map(|(epoch, scores)| (epoch, of(&scores))).collect()))
        .collect();
    // An axis has five parts: each a whole number of epochs.
    let epochs = (0.0, history.len().next_multiple_of(5).max(5) as f64);
    let largest = losses.iter().flat_map(|line| &line.points).map(|point| point.1).fold(0.0, f64::max);
    let losses = curve_plot("Loss", ["epoch", "weighted terms"], &losses, [epochs, (0.0, largest.max(1e-3))]);
    let scores = curve_plot("Scores on the validation split", ["epoch", "score"], &scores, [epochs, (0.0, 1.0)]);
    let _ = writeln!(
        page,
        "<section><h2>Curves</h2>\n<div class=\"pair\"><figure>{losses}</figure>\n<figure>{scores}</figure></div>\n</section>"
    );
}

/// Objects to learn from, and what came of it.
fn classes(page: &mut String, metrics: &YoloMetrics, names: &[String], set: &TrainingSet) {
    let mut counts = vec![(0usize, 0usize); names.len()];
    for image in 0..set.len() {
        let mut seen = vec![false; names.len()];
        for object in set.objects(image) {
            counts[object.class].0 += 1;
            seen[object.class] = true;
        }
        counts.iter_mut().zip(seen).for_each(|((_, images), seen)| *images += usize::from(seen));
    }
    *page += "<section><h2>Classes</h2>\n";
    let rows = counts.into_iter().enumerate().map(|(class, (objects, images))| {
        let scored = metrics.classes.iter().find(|scored| scored.class == class);
        let score = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.3}"));
        vec![
            escaped(&names[class]),
            objects.to_string(),
            images.to_string(),
            scored.map_or(0, |scored| scored.labels).to_string(),
            score(scored.map(|scored| scored.ap50)),
            score(scored.map(|scored| scored.ap)),
        ]
    });
    table(page, &["class", "training objects", "in images", "validation objects", "AP50", "AP50-95"], rows);
    *page += "</section>\n";
}

/// How large the objects are: the root of their area, in pixels of the input.
fn sizes(page: &mut String, set: &TrainingSet) {
    const EDGES: [f64; 8] = [0.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, f64::INFINITY];
    let mut counts = [0usize; EDGES.len() - 1];
    for object in (0..set.len()).flat_map(|image| set.objects(image)) {
        let [x1, y1, x2, y2] = object.corners;
        let size = ((x2 - x1) * (y2 - y1)).sqrt();
        counts[EDGES.iter().rposition(|edge| *edge <= size).unwrap_or(0).min(counts.len() - 1)] += 1;
    }
    let total: usize = counts.iter().sum();
    *page += "<section><h2>Sizes of training objects</h2>\n";
    let rows = counts.into_iter().enumerate().map(|(bin, count)| {
        let range = match (EDGES[bin], EDGES[bin + 1]) {
            (low, high) if high.is_infinite() => format!("from {low}"),
            (low, high) => format!("{low} to {high}"),
        };
        vec![range, count.to_string(), format!("{:.0} %", 100.0 * count as f64 / total.max(1) as f64)]
    });
    table(page, &["root of the area, pixels", "objects", "share"], rows);
    *page += "</section>\n";
}

/// Augmented batches, and images with mistakes.
fn images(page: &mut String, run: &TrainingRun<'_>) -> anyhow::Result<()> {
    *page += "<section><h2>Images</h2>\n";
    let shown = [
        (batch_file(0), "An augmented batch, as the network saw it"),
        (WORST_SHEET.into(), "Validation images with the most mistakes of the best weights"),
    ];
    for (name, caption) in shown {
        let path = run.folder.file(&name);
        if path.is_file() {
            figure(page, Path::new(&name), &read(&path, FileKind::Image)?, caption);
        }
    }
    *page += "</section>\n";
    Ok(())
}

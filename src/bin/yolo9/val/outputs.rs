//! The files of an evaluation.

use std::path::Path;

use serde_json::json;
use yolo9::evaluate::{Dataset, EvalImage, YoloClass};
use yolo9::output::{Series, css_colour, line_plot, table_plot, write_atomically};

use super::{Evaluated, Scores, ValArgs, worst};
use crate::cli::Globals;
use crate::console::{print_line, say};
use crate::devices::Execution;
use crate::overwrite::refuse_all;
use crate::run::places::RunFolder;
use crate::run::sink::coco_entry;

/// Where things go, checked before the work.
pub(super) struct Places {
    folder: Option<RunFolder>,
}

impl Places {
    pub(super) fn check(args: &ValArgs, dataset: &Dataset) -> anyhow::Result<Self> {
        anyhow::ensure!(args.coco.as_deref() != Some(Path::new("-")), "--coco -: expected the name of a file");
        anyhow::ensure!(args.json.is_none() || args.json != args.coco, "--json and --coco name the same file");
        for path in [&args.json, &args.coco].into_iter().flatten().filter(|path| *path != Path::new("-")) {
            anyhow::ensure!(!path.is_dir(), "{}: is a folder; expected the name of a file", path.display());
            anyhow::ensure!(
                args.exist_ok || !path.exists(),
                "{} exists; choose another name, or replace it with --exist-ok",
                path.display()
            );
        }
        let mut inputs = args.model.files();
        inputs.extend([&args.data].into_iter().chain(&args.predictions).cloned());
        inputs.extend(dataset.images.iter().map(|image| image.path.clone()));
        let files = [("--json", args.json.as_deref()), ("--coco", args.coco.as_deref())];
        refuse_all(&inputs, &files, args.out.as_deref(), args.exist_ok)?;
        let folder = args.out.as_deref().map(|out| RunFolder::create(Some(out), args.exist_ok)).transpose()?;
        Ok(Self { folder })
    }
}

pub(super) fn write(
    args: &ValArgs,
    places: Places,
    dataset: &Dataset,
    evaluated: &Evaluated,
    (scores, settings): (&Scores, &str),
    globals: &Globals,
) -> anyhow::Result<()> {
    let mut numbers = scores.json();
    numbers["settings"] = json!(settings);
    numbers["execution"] = json!(evaluated.execution.as_ref().map(Execution::json));
    numbers["failed"] = json!(evaluated.failed.len());
    let numbers = format!("{numbers:#}\n");
    match args.json.as_deref() {
        Some(path) if path == Path::new("-") => print_line!("{}", numbers.trim_end()),
        Some(path) => write_atomically(path, numbers.as_bytes())?,
        None => {}
    }
    let predictions = || coco_results(dataset, &evaluated.images);
    if let Some(path) = &args.coco {
        write_atomically(path, predictions().as_bytes())?;
    }
    let Some(folder) = places.folder else { return Ok(()) };
    let file = |name: &str, text: &str| write_atomically(&folder.path().join(name), text.as_bytes());
    file("metrics.json", &numbers)?;
    file("predictions.json", &predictions())?;
    for (name, plot) in plots(scores, &dataset.class_names) {
        file(name, &plot)?;
    }
    worst::draw(folder.path(), dataset, evaluated, scores.official.confidence, args.worst)?;
    if !globals.quiet {
        say!("Results saved to {}", folder.path().display());
    }
    Ok(())
}

fn coco_results(dataset: &Dataset, images: &[EvalImage]) -> String {
    let mut entries: Vec<String> = Vec::new();
    for (labelled, image) in dataset.images.iter().zip(images) {
        for found in &image.predictions {
            let bbox = [found.bbox.x, found.bbox.y, found.bbox.width, found.bbox.height];
            let category = dataset.category_ids[found.class];
            entries.push(coco_entry(&labelled.image_id, None, category, bbox, found.score).to_string());
        }
    }
    format!("[\n{}\n]\n", entries.join(",\n"))
}

/// File names and SVG.
fn plots(scores: &Scores, names: &[String]) -> Vec<(&'static str, String)> {
    let classes = &scores.official.classes;
    let confidence = |n: usize| n as f64 / 999.0;
    let pr = with_mean(classes, names, 101, |n| n as f64 / 100.0, |class, n| class.precision_by_recall[n]);
    let p = with_mean(classes, names, 1000, confidence, |class, n| class.precision_by_confidence[n]);
    let r = with_mean(classes, names, 1000, confidence, |class, n| class.recall_by_confidence[n]);
    let f = with_mean(classes, names, 1000, confidence, YoloClass::f1);
    let labelled: Vec<String> = names.iter().cloned().chain(["background".to_owned()]).collect();
    vec![
        ("pr.svg", line_plot("Precision and recall at IoU 0.5", ["recall", "precision"], &pr)),
        ("f1.svg", line_plot("F1 at IoU 0.5", ["confidence", "F1"], &f)),
        ("precision.svg", line_plot("Precision at IoU 0.5", ["confidence", "precision"], &p)),
        ("recall.svg", line_plot("Recall at IoU 0.5", ["confidence", "recall"], &r)),
        (
            "confusion.svg",
            table_plot("Detected (rows) and labelled (columns), confidence 0.25", &labelled, &scores.confusion.counts),
        ),
    ]
}

/// A line for each class and a strong one for their mean.
fn with_mean(
    classes: &[YoloClass],
    names: &[String],
    points: usize,
    x: impl Fn(usize) -> f64,
    y: impl Fn(&YoloClass, usize) -> f64,
) -> Vec<Series> {
    let mean = |n: usize| classes.iter().map(|class| y(class, n)).sum::<f64>() / classes.len().max(1) as f64;
    let line = |of: &dyn Fn(usize) -> f64| (0..points).map(|n| (x(n), of(n))).collect();
    let all = Series { name: "all classes".into(), points: line(&mean), colour: "#0b66c3".into(), strong: true };
    let of_class = |class: &YoloClass| Series {
        name: names[class.class].clone(),
        points: line(&|n| y(class, n)),
        colour: css_colour(class.class),
        strong: false,
    };
    // The mean is drawn last, and stands first in the legend.
    let mut series: Vec<Series> = vec![Series { points: Vec::new(), ..all.clone() }];
    series.extend(classes.iter().map(of_class));
    series.push(Series { name: String::new(), ..all });
    series
}

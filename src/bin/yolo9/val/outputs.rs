//! The files of an evaluation.

use std::path::Path;

use serde_json::json;
use yolo9::evaluate::{Dataset, EvalImage};
use yolo9::output::write_atomically;

use super::report::{Shown, page};
use super::{Evaluated, Scores, ValArgs, plots, worst};
use crate::cli::Globals;
use crate::console::{print_line, say};
use crate::devices::Execution;
use crate::overwrite::refuse_all;
use crate::run::places::RunFolder;
use crate::run::sink::coco_entry;

/// Where things go, checked before the work: the folder for them, if there shall be one.
pub(super) fn check(args: &ValArgs, dataset: &Dataset) -> anyhow::Result<Option<RunFolder>> {
    anyhow::ensure!(args.coco.as_deref() != Some(Path::new("-")), "--coco -: expected the name of a file");
    anyhow::ensure!(args.json.is_none() || args.json != args.coco, "--json and --coco name the same file");
    let mut inputs = args.model.files();
    inputs.extend([&args.data].into_iter().chain(&args.predictions).cloned());
    inputs.extend(dataset.files().map(Path::to_path_buf));
    let files = [("--json", args.json.as_deref()), ("--coco", args.coco.as_deref())];
    refuse_all(&inputs, &files, args.out.as_deref(), args.exist_ok)?;
    args.out.as_deref().map(|out| RunFolder::create(out, args.exist_ok)).transpose()
}

pub(super) fn write(
    args: &ValArgs,
    folder: Option<RunFolder>,
    dataset: &Dataset,
    evaluated: &Evaluated,
    (scores, settings): (&Scores, &str),
    globals: &Globals,
) -> anyhow::Result<()> {
    let mut numbers = scores.json(args.preset());
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
    let Some(folder) = folder else { return Ok(()) };
    let file = |name: &str, text: &str| write_atomically(&folder.path().join(name), text.as_bytes());
    file("metrics.json", &numbers)?;
    file("predictions.json", &predictions())?;
    let (curves, confusion) = (plots::curves(scores), plots::confusion(scores));
    let histograms = plots::histograms(&evaluated.images, &evaluated.shown);
    for (name, plot) in curves.iter().chain([&confusion]).chain(&histograms) {
        file(name, plot)?;
    }
    let confidence = f64::from(args.count_conf);
    let worst = worst::draw(folder.path(), dataset, &evaluated.shown, confidence, args.worst)?;
    let show = Shown { curves: &curves, confusion: &confusion, histograms: &histograms, worst: &worst };
    file("report.html", &page(args, evaluated, scores, settings, &show))?;
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

//! `yolo9 compare`: what changes from one model to another, in boxes, accuracy, size and time.

mod images;
mod measure;
mod report;
mod side;
mod summary;

use std::path::Path;

use yolo9::evaluate::{ApDifferences, Dataset, ap_differences};
use yolo9::image::ImageLimits;
use yolo9::output::write_atomically;

use crate::cli::{CompareArgs, Globals};
use crate::console::{print_line, say};
use crate::environment::Environment;
use crate::exit::ExitStatus;
use crate::interrupt::Interrupt;
use crate::layers::differences;
use crate::overwrite::refuse_all;
use crate::report::{counted, progress_bar};
use crate::run::places::RunFolder;
use crate::run::sources::{self, Source};
use crate::val::{RESAMPLES, Scores};
use crate::{devices, memory, options};
use measure::{MeasurePlan, Measured};
use side::{Common, Side, computed};

/// Everything that was found out.
struct Comparison {
    sides: [Side; 2],
    measured: Measured,
    accuracy: Option<Accuracy>,
    environment: Environment,
    /// What was processed.
    subject: String,
    input: String,
    confidence: f32,
    threads: usize,
    limits: ImageLimits,
}

/// With labels.
struct Accuracy {
    /// Of both.
    scores: [Scores; 2],
    /// B − A.
    differences: ApDifferences,
}

impl Accuracy {
    fn of(measured: &Measured, dataset: &Dataset, confidence: f32) -> Self {
        let of_side = |side: usize| Scores::of(&measured.evaluated[side], &measured.shown[side], confidence, dataset);
        let scores = [0, 1].map(of_side);
        let [a, b] = scores.each_ref().map(|scores| &scores.evaluation);
        let differences = ap_differences(a, b, dataset.images.len(), RESAMPLES, 1);
        Self { scores, differences }
    }
}

impl Comparison {
    fn threads_text(&self) -> String {
        format!("{} thread{}", self.threads, if self.threads == 1 { "" } else { "s" })
    }

    fn time_title(&self) -> String {
        format!("time, {}", self.threads_text())
    }

    /// The layers in which the networks differ, where both are known.
    fn layers(&self) -> Vec<String> {
        match self.sides.each_ref().map(|side| side.layers.as_deref()) {
            [Some(a), Some(b)] => differences(a, b),
            _ => Vec::new(),
        }
    }

    /// Of A, or behind those of B.
    fn class_name(&self, class: usize) -> String {
        let [a, b] = self.sides.each_ref().map(|side| &side.class_names);
        let of_b = || b.get(class.checked_sub(a.len())?);
        a.get(class).or_else(of_b).cloned().unwrap_or_else(|| class.to_string())
    }
}

pub(crate) fn run(args: &CompareArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    let open = |data| Dataset::open(data, &args.dataset.split, args.dataset.images.as_deref());
    let dataset = args.data.as_deref().map(open).transpose()?;
    let sources = sources_of(args, globals, dataset.as_ref())?;
    if let Some(path) = args.json.as_deref().filter(|path| *path != Path::new("-")) {
        anyhow::ensure!(args.exist_ok || !path.exists(), "{} exists; replace it with --exist-ok", path.display());
    }
    let mut inputs = [args.a.model.files(), args.b.model.files()].concat();
    inputs.extend(args.data.clone());
    inputs.extend(sources.iter().filter_map(|source| source.path().map(Path::to_path_buf)));
    refuse_all(&inputs, &[("--json", args.json.as_deref())], args.out.as_deref(), args.exist_ok)?;
    let folder = args.out.as_deref().map(|out| RunFolder::create(Some(out), args.exist_ok)).transpose()?;
    // With several threads a session can be a fifth slower or faster than another one of the same model for as long as it
    // lives, by where its threads run; with one, two sessions of a model are equal within a percent.
    let session = options::compared_session(&args.runtime);
    let runtime = devices::runtime_for(&args.runtime, globals, &[&args.a, &args.b].map(|arg| computed(arg, &session)))?;
    let threads = session.threads;
    if threads > 1 {
        log::warn!(
            "--threads {threads}: times of sessions with several threads differ by chance, more than their intervals say"
        );
    }
    let common = Common { globals, runtime: &runtime, session, input: &args.input };
    let interrupt = Interrupt::install()?;
    let (a, b) = (Side::open(&args.a, &common)?, Side::open(&args.b, &common)?);
    let (mut sides, engines) = ([a.0, b.0], [a.1, b.1]);
    for (side, arg) in sides.iter_mut().zip([&args.a, &args.b]) {
        let (runtime, input) = (arg.runtime(&args.runtime), arg.input(&args.input));
        side.size.memory_bytes = memory::of_model(&arg.model, &runtime, &input, globals);
    }
    let labelled = dataset.as_ref().filter(|_| sides.iter().all(|side| side.has_weights));
    let postprocess = thresholds(args, &sides[0])?;
    let confidence = postprocess.confidence_threshold;
    let limits = options::image_limits(&args.input, 1);
    let plan = MeasurePlan { sources: &sources, dataset: labelled, postprocess, runs: args.runs as usize, limits };
    let bar = progress_bar(sources.len().max(plan.runs), globals.quiet);
    let measured = Measured::of(&sides, engines, &plan, || {
        bar.inc(1);
        !interrupt.requested()
    })?;
    bar.finish_and_clear();
    let Some(measured) = measured else {
        say!("Interrupted: a comparison of some of the images would mislead, so there is none");
        return Ok(ExitStatus::Interrupted);
    };
    let accuracy = labelled.map(|dataset| Accuracy::of(&measured, dataset, confidence));
    let labels: usize = measured.evaluated[0].iter().map(|image| image.ground_truths.len()).sum();
    let subject = subject(args, labels, sources.len() - measured.failed.len());
    let sizes = sides.each_ref().map(|side| side.input.to_string());
    let input = if sizes[0] == sizes[1] { sizes[0].clone() } else { sizes.join(" and ") };
    let comparison = Comparison {
        environment: Environment::now(),
        sides,
        measured,
        accuracy,
        subject,
        input,
        confidence,
        threads,
        limits,
    };
    finish(args, &comparison, folder.as_ref(), globals)
}

/// Of the boxes that are compared; class ids are those of A.
fn thresholds(args: &CompareArgs, side: &Side) -> anyhow::Result<yolo9::detect::PostprocessOptions> {
    options::thresholds(&args.thresholds, options::preset(&args.input).postprocess(), &side.class_names)
}

fn finish(
    args: &CompareArgs,
    comparison: &Comparison,
    folder: Option<&RunFolder>,
    globals: &Globals,
) -> anyhow::Result<ExitStatus> {
    let json = format!("{:#}\n", summary::json(comparison));
    match args.json.as_deref() {
        Some(path) if path == Path::new("-") => print_line!("{}", json.trim_end()),
        other => {
            if let Some(path) = other {
                write_atomically(path, json.as_bytes())?;
            }
            summary::print(comparison)?;
        }
    }
    if let Some(folder) = folder {
        write_atomically(&folder.path().join("compare.json"), json.as_bytes())?;
        let drawn = images::draw(folder.path(), comparison, args.examples)?;
        let page = report::page(comparison, &drawn);
        write_atomically(&folder.path().join("report.html"), page.as_bytes())?;
        if !globals.quiet {
            say!("Report: {}", folder.path().join("report.html").display());
        }
    }
    for (path, reason) in &comparison.measured.failed {
        say!("error: {}: {reason}", path.display());
    }
    Ok(if comparison.measured.failed.is_empty() { ExitStatus::Done } else { ExitStatus::SomeFailed })
}

fn sources_of(args: &CompareArgs, globals: &Globals, dataset: Option<&Dataset>) -> anyhow::Result<Vec<Source>> {
    if let Some(dataset) = dataset {
        return Ok(dataset.images.iter().map(|image| Source::of_file(image.path.clone())).collect());
    }
    if args.source.is_empty() {
        return Ok(vec![Source::sample()]);
    }
    let out = args.out.as_deref().unwrap_or(Path::new("."));
    let options = sources::Options { recursive: args.recursive, videos: false, out, offline: globals.is_offline() };
    let expanded = sources::expand(&args.source, options);
    if let Some((path, reason)) = expanded.failed.first() {
        anyhow::bail!("{}: {reason}", path.display());
    }
    anyhow::ensure!(!expanded.images.is_empty(), "no image found; --recursive descends into subfolders");
    if let Some(video) = expanded.images.iter().find(|source| source.video().is_some()) {
        anyhow::bail!("{}: is a video; compare images", video.name());
    }
    Ok(expanded.images)
}

fn subject(args: &CompareArgs, labels: usize, images: usize) -> String {
    let images = counted(images, "image");
    match &args.data {
        Some(data) if labels > 0 => format!("{images} with {labels} labels of {}", data.display()),
        Some(data) => format!("{images} of {}", data.display()),
        _ if args.source.is_empty() => "the embedded sample image".into(),
        _ => format!("{images} without labels"),
    }
}

//! `yolo9 compare`: what changes from one model to another, in boxes, accuracy, size and time.

mod images;
mod measure;
mod ranking;
mod report;
mod side;
mod summary;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::Value;
use yolo9::detect::Engine;
use yolo9::evaluate::{ApDifferences, Dataset, ap_differences};
use yolo9::image::ImageLimits;
use yolo9::output::write_atomically;
use yolo9::runtime::{OrtBackend, Runtime};

use crate::cli::{CompareArgs, Globals};
use crate::console::{print_line, say};
use crate::environment::Environment;
use crate::exit::ExitStatus;
use crate::interrupt::Interrupt;
use crate::layers::differences;
use crate::overwrite::refuse_all;
use crate::report::{counted, progress_bar};
use crate::run::places::RunFolder;
use crate::run::sources::{self, Source, Sources};
use crate::val::{RESAMPLES, Scores};
use crate::{devices, options};
use measure::{MeasurePlan, Measured};
use ranking::Ranking;
use side::Side;

/// What was compared, and how.
#[derive(Serialize)]
struct Conditions {
    environment: Environment,
    /// What was processed.
    subject: String,
    input: String,
    confidence: f32,
    threads: usize,
    #[serde(skip)]
    limits: ImageLimits,
}

/// Everything that was found out about two models.
struct Comparison {
    sides: [Side; 2],
    measured: Measured,
    accuracy: Option<Accuracy>,
    conditions: Conditions,
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
        let scores = [0, 1].map(|side| measured.scores(side, dataset, confidence));
        let differences = differences_of(&scores[0], &scores[1], dataset);
        Self { scores, differences }
    }
}

/// AP of B less that of A.
fn differences_of(a: &Scores, b: &Scores, dataset: &Dataset) -> ApDifferences {
    ap_differences(&a.evaluation, &b.evaluation, dataset.images.len(), RESAMPLES, 1)
}

impl Conditions {
    fn threads_text(&self) -> String {
        counted(self.threads, "thread")
    }

    /// For a page.
    fn html(&self) -> String {
        let (environment, threads) = (self.environment.html(), self.threads_text());
        format!("{environment}, {threads}, confidence threshold {}", self.confidence)
    }
}

impl Comparison {
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
    let of_file = |data| Dataset::open(data, &args.dataset.split, args.dataset.images.as_deref());
    let dataset = args.data.as_deref().map(of_file).transpose()?;
    let Sources { images: sources, failed: unlisted, .. } = sources_of(args, globals, dataset.as_ref())?;
    let args_of_sides = args.sides();
    let mut inputs: Vec<_> = args_of_sides.iter().flat_map(|side| side.model.files()).collect();
    inputs.extend(args.data.clone());
    inputs.extend(dataset.iter().flat_map(Dataset::files).map(Path::to_path_buf));
    inputs.extend(sources.iter().filter_map(|source| source.path().map(Path::to_path_buf)));
    refuse_all(&inputs, &[("--json", args.json.as_deref())], args.out.as_deref(), args.exist_ok)?;
    // With several threads a session can be a fifth slower or faster than another one of the same model for as long as it
    // lives, by where its threads run; with one, two sessions of a model are equal within a percent.
    let threads = options::compared_session(&args.runtime).threads;
    let devices: Vec<_> = args_of_sides.iter().map(|arg| devices::computed(&arg.runtime(&args.runtime))).collect();
    let runtime = devices::runtime_for(&args.runtime, globals, &devices)?;
    if threads > 1 {
        log::warn!(
            "--threads {threads}: times of sessions with several threads differ by chance, more than their intervals say"
        );
    }
    let bar = progress_bar(sources.len().max(args.runs as usize), globals.quiet);
    // Until here, and while models are opened, Ctrl-C ends the program at once: nothing is written yet.
    let (sides, engines) = open(args, (&runtime, globals), &bar)?;
    let interrupt = Interrupt::install()?;
    let folder = args.out.as_deref().map(|out| RunFolder::create(out, args.exist_ok)).transpose()?;
    let labelled = labelled(args, dataset.as_ref(), &sides);
    let postprocess = thresholds(args, &sides[0])?;
    let confidence = postprocess.confidence_threshold;
    let limits = options::image_limits(&args.input, 1);
    let plan = MeasurePlan { sources: &sources, dataset: labelled, postprocess, runs: args.runs as usize, limits };
    bar.reset_eta();
    let measured = Measured::of(&sides, engines, &plan, &interrupt, || bar.inc(1))?;
    let (done, all) = (bar.position(), bar.length().unwrap_or_default());
    bar.finish_and_clear();
    let Some(mut measured) = measured else {
        folder.as_ref().map(RunFolder::remove_if_empty);
        say!(
            "Interrupted after {done} of {all} runs of each model: a part of them would mislead, so there is no comparison"
        );
        return Ok(ExitStatus::Interrupted);
    };
    let images = sources.len() - measured.failed.len();
    measured.failed.splice(..0, unlisted.into_iter().map(|(input, reason)| (input.into(), reason)));
    let labels: usize = measured.evaluated[0].iter().map(|image| image.ground_truths.len()).sum();
    let inputs: BTreeSet<String> = sides.iter().map(|side| side.input.to_string()).collect();
    let conditions = Conditions {
        environment: Environment::now(),
        subject: subject(args, labels, images),
        input: inputs.into_iter().collect::<Vec<_>>().join(" and "),
        confidence,
        threads,
        limits,
    };
    let failed = measured.failed.clone();
    let outcome: Box<dyn Outcome> = match <[Side; 2]>::try_from(sides) {
        Ok(sides) => {
            let accuracy = labelled.map(|dataset| Accuracy::of(&measured, dataset, confidence));
            Box::new(Comparison { sides, measured, accuracy, conditions })
        }
        Err(sides) => Box::new(Ranking::new(sides, measured, labelled, conditions)),
    };
    finish(args, &*outcome, &failed, folder.as_ref(), globals)
}

/// The dataset, if each side has weights to be measured with it.
fn labelled<'a>(args: &CompareArgs, dataset: Option<&'a Dataset>, sides: &[Side]) -> Option<&'a Dataset> {
    let without = sides.iter().find(|side| !side.has_weights);
    if let Some((side, data)) = without.zip(args.data.as_deref()) {
        log::warn!(
            "--data {}: gives images only, since {} is a config without weights; leave it out to compare accuracy",
            data.display(),
            side.name
        );
    }
    dataset.filter(|_| without.is_none())
}

/// All sides, and what runs them.
fn open(
    args: &CompareArgs,
    (runtime, globals): (&Runtime, &Globals),
    bar: &ProgressBar,
) -> anyhow::Result<(Vec<Side>, Vec<Engine<OrtBackend>>)> {
    let (mut sides, mut engines) = (Vec::new(), Vec::new());
    for arg in args.sides() {
        bar.set_message(format!("opening {}", arg.text));
        bar.tick();
        let (side, engine) = Side::open(arg, args, runtime, globals)?;
        sides.push(side);
        engines.push(engine);
    }
    bar.set_message("");
    Ok((sides, engines))
}

/// Of the boxes that are compared; class ids are those of A.
fn thresholds(args: &CompareArgs, side: &Side) -> anyhow::Result<yolo9::detect::PostprocessOptions> {
    options::thresholds(&args.thresholds, options::preset(&args.input).postprocess(), &side.class_names)
}

/// What a comparison gives.
trait Outcome {
    fn json(&self) -> Value;
    fn print(&self) -> anyhow::Result<()>;
    /// The report; its images are written into the folder.
    fn page(&self, folder: &Path, args: &CompareArgs) -> anyhow::Result<String>;
}

impl Outcome for Comparison {
    fn json(&self) -> Value {
        summary::json(self)
    }

    fn print(&self) -> anyhow::Result<()> {
        summary::print(self)
    }

    fn page(&self, folder: &Path, args: &CompareArgs) -> anyhow::Result<String> {
        Ok(report::page(self, &images::draw(folder, self, args.examples)?))
    }
}

fn finish(
    args: &CompareArgs,
    outcome: &dyn Outcome,
    failed: &[(PathBuf, String)],
    folder: Option<&RunFolder>,
    globals: &Globals,
) -> anyhow::Result<ExitStatus> {
    let json = format!("{:#}\n", outcome.json());
    match args.json.as_deref() {
        Some(path) if path == Path::new("-") => print_line!("{}", json.trim_end()),
        other => {
            if let Some(path) = other {
                write_atomically(path, json.as_bytes())?;
            }
            outcome.print()?;
        }
    }
    if let Some(folder) = folder {
        write_atomically(&folder.path().join("compare.json"), json.as_bytes())?;
        let page = outcome.page(folder.path(), args)?;
        write_atomically(&folder.path().join("report.html"), page.as_bytes())?;
        if !globals.quiet {
            say!("Report: {}", folder.path().join("report.html").display());
        }
    }
    for (path, reason) in failed {
        say!("error: {}: {reason}", path.display());
    }
    Ok(if failed.is_empty() { ExitStatus::Done } else { ExitStatus::SomeFailed })
}

fn sources_of(args: &CompareArgs, globals: &Globals, dataset: Option<&Dataset>) -> anyhow::Result<Sources> {
    if let Some(dataset) = dataset {
        let images = dataset.images.iter().map(|image| Source::of_file(image.path.clone())).collect();
        return Ok(Sources { images, ..Sources::default() });
    }
    if args.source.is_empty() {
        return Ok(Sources { images: vec![Source::sample()], ..Sources::default() });
    }
    let out = args.out.as_deref().unwrap_or(Path::new("."));
    let options = sources::Options {
        recursive: args.recursive,
        videos: false,
        listings: false,
        out,
        offline: globals.is_offline(),
    };
    let expanded = sources::expand(&args.source, options);
    if expanded.images.is_empty() {
        match expanded.failed.first() {
            Some((input, reason)) => anyhow::bail!("{input}: {reason}"),
            None => anyhow::bail!("no image found; --recursive descends into subfolders"),
        }
    }
    if let Some(video) = expanded.images.iter().find(|source| source.video().is_some()) {
        anyhow::bail!("{}: is a video; compare images", video.name());
    }
    Ok(expanded)
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

//! `yolo9 compare`: what changes from one model to another, in boxes, accuracy, size and time.

mod measure;
pub(crate) mod memory;
mod pictures;
mod report;
mod side;
mod summary;

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;
use yolo9::Size;
use yolo9::detect::Thresholds;
use yolo9::evaluate::{Dataset, Difference, ap_differences};
use yolo9::output::write_atomically;
use yolo9::runtime::{Runtime, SessionOptions};

use crate::Outcome;
use crate::args::{Globals, PresetArg, RuntimeArgs, parse_share, parse_size};
use crate::console::{print_line, say};
use crate::interrupt::Interrupt;
use crate::outputs::RunFolder;
use crate::overwrite::refuse_all;
use crate::report::progress_bar;
use crate::sources::{self, Reading, Source};
use crate::val::Scores;
use measure::{Measured, Plan};
use side::{Common, Side, SideArg};

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The first side: a model file, embedded model or released file, with options of its own after commas
    /// (best.pt,config=my.yaml,imgsz=320,dysample=onnx); or a config alone, which is compared in size and time only.
    #[arg(value_name = "A")]
    a: SideArg,

    /// The second side; differences are B minus A.
    #[arg(value_name = "B")]
    b: SideArg,

    /// Pictures, folders, patterns or lists [default: the pictures of --data, else the embedded sample picture].
    #[arg(short, long, value_name = "PICTURE|FOLDER|PATTERN", num_args = 1.., conflicts_with = "data")]
    source: Vec<PathBuf>,

    /// Labelled pictures, for a comparison of accuracy: a data YAML, or a COCO annotation file.
    #[arg(short, long, value_name = "FILE")]
    data: Option<PathBuf>,

    /// Which pictures of a data YAML.
    #[arg(long, value_name = "train|val|test", default_value = "val")]
    split: String,

    /// Where the pictures of a COCO annotation file are.
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,

    /// Search folders below the given ones too.
    #[arg(short, long)]
    recursive: bool,

    #[command(flatten)]
    runtime: RuntimeArgs,

    /// Size of both networks' input, if a side has none of its own [default: 640].
    #[arg(long, alias = "img", value_name = "SIZE", value_parser = parse_size)]
    imgsz: Option<Size>,

    /// Thresholds and geometry of that tool for the boxes that are compared; accuracy is always measured with those of
    /// `yolo9 val`.
    #[arg(long, value_enum, default_value_t = PresetArg::Yolov9)]
    preset: PresetArg,

    /// Least confidence of the boxes that are compared [preset: 0.25].
    #[arg(long, value_name = "0..1", value_parser = parse_share)]
    conf: Option<f32>,

    /// Timed runs of each side, at least; each picture is one.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(3..=100_000))]
    runs: u32,

    /// Write all numbers as JSON; `-` is stdout, which the summary then leaves to it.
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,

    /// Write report.html, compare.json and pictures of what differs into this folder.
    #[arg(short, long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Write into an output folder with something in it, replacing files of the same name.
    #[arg(long)]
    exist_ok: bool,

    /// How many pictures are drawn in the output folder, those that differ most.
    #[arg(long, value_name = "N", default_value_t = 12)]
    pictures: usize,
}

/// Draws of the bootstrap.
const RESAMPLES: usize = 1000;

/// Everything that was found out.
struct Comparison {
    sides: [Side; 2],
    measured: Measured,
    /// Scores of both, and differences of AP for all, small, medium and large objects.
    accuracy: Option<([Scores; 2], [Difference; 4])>,
    /// What was searched.
    subject: String,
    input: String,
    confidence: f32,
    threads: usize,
}

impl Comparison {
    fn threads_text(&self) -> String {
        format!("{} thread{}", self.threads, if self.threads == 1 { "" } else { "s" })
    }

    fn time_title(&self) -> String {
        format!("time, {}", self.threads_text())
    }

    /// Of A, or behind those of B.
    fn class_name(&self, class: usize) -> String {
        let [a, b] = self.sides.each_ref().map(|side| &side.class_names);
        let of_b = || b.get(class.checked_sub(a.len())?);
        a.get(class).or_else(of_b).cloned().unwrap_or_else(|| class.to_string())
    }
}

pub(crate) fn run(args: &CompareArgs, globals: &Globals) -> anyhow::Result<Outcome> {
    let dataset =
        args.data.as_deref().map(|data| Dataset::open(data, &args.split, args.images.as_deref())).transpose()?;
    let sources = sources_of(args, globals, dataset.as_ref())?;
    if let Some(path) = args.json.as_deref().filter(|path| *path != Path::new("-")) {
        anyhow::ensure!(args.exist_ok || !path.exists(), "{} exists; replace it with --exist-ok", path.display());
    }
    let mut inputs = [args.a.files(), args.b.files()].concat();
    inputs.extend(args.data.clone());
    inputs.extend(sources.iter().filter_map(|source| source.path().map(Path::to_path_buf)));
    refuse_all(&inputs, &[("--json", args.json.as_deref())], args.out.as_deref(), args.exist_ok)?;
    let folder = args.out.as_deref().map(|out| RunFolder::create(Some(out), args.exist_ok)).transpose()?;
    let runtime = Runtime::load(&args.runtime.library(globals))?;
    let preset = args.preset.preset();
    // With several threads a session can be a fifth slower or faster than another one of the same model for as long as it
    // lives, by where its threads run; with one, two sessions of a model are equal within a percent.
    let threads = args.runtime.threads.map_or(1, usize::from);
    if threads > 1 {
        log::warn!(
            "--threads {threads}: times of sessions with several threads differ by chance, more than their intervals say"
        );
    }
    let session = SessionOptions { threads, ..args.runtime.session() };
    let common = Common { globals, runtime: &runtime, session, imgsz: args.imgsz, preset };
    let interrupt = Interrupt::install()?;
    let mut sides = [Side::open(&args.a, &common)?, Side::open(&args.b, &common)?];
    for (side, arg) in sides.iter_mut().zip([&args.a, &args.b]) {
        side.facts.memory_bytes = memory::of_side(arg, args, globals);
    }
    let judged = dataset.as_ref().filter(|_| sides.iter().all(|side| side.has_weights));
    let defaults = preset.thresholds();
    let thresholds = Thresholds { confidence: args.conf.unwrap_or(defaults.confidence), ..defaults };
    let confidence = thresholds.confidence;
    let reading = Reading::default();
    let plan = Plan { sources: &sources, dataset: judged, thresholds, runs: args.runs as usize, reading };
    let total = sources.len().max(plan.runs);
    let bar = if globals.quiet { ProgressBar::hidden() } else { progress_bar(total) };
    let measured = Measured::of(&mut sides, &plan, || {
        bar.inc(1);
        !interrupt.requested()
    })?;
    bar.finish_and_clear();
    let Some(measured) = measured else {
        say!("Interrupted: a comparison of a part would mislead, so there is none");
        return Ok(Outcome::Interrupted);
    };
    let accuracy = judged.map(|dataset| {
        let scores = measured.judged.each_ref().map(|judged| Scores::of(judged, dataset));
        let [a, b] = scores.each_ref().map(|scores| &scores.evaluation);
        let differences = ap_differences(a, b, dataset.pictures.len(), RESAMPLES, 1);
        (scores, differences)
    });
    let labels: usize = measured.judged[0].iter().map(|judged| judged.truths.len()).sum();
    let subject = subject(args, labels, sources.len() - measured.failed.len());
    let sizes = sides.each_ref().map(|side| side.detector.settings().fit.target.to_string());
    let input = if sizes[0] == sizes[1] { sizes[0].clone() } else { sizes.join(" and ") };
    let comparison = Comparison { sides, measured, accuracy, subject, input, confidence, threads };
    finish(args, &comparison, folder.as_ref(), globals)
}

fn finish(
    args: &CompareArgs,
    comparison: &Comparison,
    folder: Option<&RunFolder>,
    globals: &Globals,
) -> anyhow::Result<Outcome> {
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
        let drawn = pictures::draw(folder.path(), comparison, args.pictures)?;
        let page = report::page(comparison, &drawn);
        write_atomically(&folder.path().join("report.html"), page.as_bytes())?;
        if !globals.quiet {
            say!("Report: {}", folder.path().join("report.html").display());
        }
    }
    for (path, reason) in &comparison.measured.failed {
        say!("error: {}: {reason}", path.display());
    }
    Ok(if comparison.measured.failed.is_empty() { Outcome::Done } else { Outcome::SomeFailed })
}

fn sources_of(args: &CompareArgs, globals: &Globals, dataset: Option<&Dataset>) -> anyhow::Result<Vec<Source>> {
    if let Some(dataset) = dataset {
        return Ok(dataset.pictures.iter().map(|picture| Source::of_file(picture.path.clone())).collect());
    }
    if args.source.is_empty() {
        return Ok(vec![Source::sample()]);
    }
    let out = args.out.as_deref().unwrap_or(Path::new("."));
    let search = sources::Options { recursive: args.recursive, out, offline: globals.is_offline() };
    let expanded = sources::expand(&args.source, search);
    if let Some((path, reason)) = expanded.failed.first() {
        anyhow::bail!("{}: {reason}", path.display());
    }
    anyhow::ensure!(!expanded.pictures.is_empty(), "no picture found; --recursive also searches the folders below");
    if let Some(video) = expanded.pictures.iter().find(|source| source.video().is_some()) {
        anyhow::bail!("{}: is a video; compare pictures", video.name());
    }
    Ok(expanded.pictures)
}

fn subject(args: &CompareArgs, labels: usize, pictures: usize) -> String {
    let plural = if pictures == 1 { "" } else { "s" };
    match &args.data {
        Some(data) if labels > 0 => format!("{pictures} picture{plural} with {labels} labels of {}", data.display()),
        Some(data) => format!("{pictures} picture{plural} of {}", data.display()),
        _ if args.source.is_empty() => "the embedded sample picture".into(),
        _ => format!("{pictures} picture{plural} without labels"),
    }
}

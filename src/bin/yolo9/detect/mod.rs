//! `yolo9 detect`.

mod feed;
mod guard;
mod pipeline;
mod plan;
mod results;
mod settings;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use yolo9::Size;
use yolo9::detect::Detector;
use yolo9::output::Shard;
use yolo9::picture::ImageLimits;
use yolo9::runtime::{Runtime, SessionOptions};

use crate::Outcome;
use crate::args::{Globals, ModelArgs, PresetArg, RuntimeArgs, parse_share, parse_size};
use crate::console::{event, logs_json, say};
use crate::engine::streams;
use crate::formats::FormatArgs;
use crate::interrupt::Interrupt;
use crate::model;
use crate::outputs::RUNS;
use crate::report::Report;
use crate::sources::{self, Reading, Source};
use feed::Feed;
use pipeline::Pipeline;
use plan::Plan;
use results::Results;

#[derive(Debug, Args)]
pub(crate) struct DetectArgs {
    /// Pictures, folders, quoted patterns ('a/**/*.jpg'), .txt lists of paths (# begins a comment), http(s) addresses, `-`
    /// for paths (or one picture) on stdin; videos, cameras by number and streams (rtsp://…), if ffmpeg is installed;
    /// without any, the embedded sample picture.
    #[arg(value_name = "PICTURE|FOLDER|PATTERN|LIST|URL|VIDEO|-")]
    inputs: Vec<PathBuf>,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    runtime: RuntimeArgs,

    /// Size of the network's input: one side, or height and width (640, 480 640, 480x640). Rounded up to the stride
    /// [default: 640; that of the export for an ONNX file].
    #[arg(long, alias = "img", value_name = "SIZE", value_parser = parse_size)]
    imgsz: Option<Size>,

    /// Pad to the whole input instead of the smallest rectangle.
    #[arg(long)]
    square: bool,

    /// Defaults and geometry of that tool: yolov9 (IoU 0.45, 1000 detections) or ultralytics (0.7, 300).
    #[arg(long, value_enum, default_value_t = PresetArg::Yolov9)]
    preset: PresetArg,

    /// Least confidence [preset: 0.25].
    #[arg(long, value_name = "0..1", value_parser = parse_share, allow_negative_numbers = true)]
    conf: Option<f32>,

    /// Largest overlap of two boxes of one class [preset: 0.45 or 0.7].
    #[arg(long, value_name = "0..1", value_parser = parse_share, allow_negative_numbers = true)]
    iou: Option<f32>,

    /// Most detections of one picture [preset: 1000 or 300].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    max_det: Option<u32>,

    /// Boxes of different classes suppress each other too.
    #[arg(long)]
    agnostic: bool,

    /// Only these classes, by name or id: person,2.
    #[arg(long, value_name = "NAME|ID", value_delimiter = ',')]
    classes: Option<Vec<String>>,

    /// Search folders below the given ones too.
    #[arg(short, long)]
    recursive: bool,

    /// Refuse pictures with more millions of pixels.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    max_megapixels: u64,

    /// Memory for decoded pictures, of all at hand together; a picture that needs more is refused [default: 400, or 40 for
    /// each worker if that is more].
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    max_image_memory: Option<u64>,

    /// Threads that decode and draw beside inference [default: as many as inference has].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,

    /// Pictures (or batches) that the network searches at the same time, each with its share of the threads and its own
    /// copy of the weights in memory [default: one for each thread, at most 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    streams: Option<u16>,

    /// Pictures whose inputs have one size and that the network gets at once. More memory, and on a CPU seldom faster.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,

    /// Decode all of JPEG files that are far larger than the input, even where no picture is drawn or cut out.
    #[arg(long)]
    full_decoding: bool,

    /// Continue an interrupted run in its output folder: pictures that were finished, or failed, are not searched again.
    #[arg(long, requires = "out")]
    resume: bool,

    /// With --resume: try pictures that failed again.
    #[arg(long, requires = "resume")]
    retry_failed: bool,

    /// Only the third of sixteen equal parts, say; `yolo9 merge` joins the parts' output folders.
    #[arg(long, value_name = "PART/PARTS", default_value = "1/1", hide_default_value = true)]
    shard: Shard,

    /// End at the first input that fails.
    #[arg(long)]
    fail_fast: bool,

    #[command(flatten)]
    output: OutputArgs,
}

/// What is written.
#[derive(Debug, Args)]
struct OutputArgs {
    /// Output folder [default: the first free one of runs/detect/exp, exp2, …].
    #[arg(short, long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Write into an output folder with something in it, replacing files of the same name.
    #[arg(long)]
    exist_ok: bool,

    /// Write no pictures. JPEG files that are far larger than the input are then decoded at a part of their size, which
    /// moves results a little, unless --full-decoding is given.
    #[arg(long)]
    no_draw: bool,

    /// Width of the lines in pixels [default: by the picture's size].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    line_width: Option<u32>,

    /// Boxes without labels.
    #[arg(long)]
    hide_labels: bool,

    /// Labels without confidence.
    #[arg(long)]
    hide_conf: bool,

    #[command(flatten)]
    formats: FormatArgs,

    /// Write a YOLO label file for each picture with detections (labels/… in the output folder).
    #[arg(long)]
    txt: bool,

    /// With the confidence as last number of each line of --txt.
    #[arg(long, requires = "txt")]
    save_conf: bool,

    /// Write every object, cut out, in a folder for its class (crops/… in the output folder).
    #[arg(long)]
    save_crop: bool,

    /// Write a page to look through the results: gallery.html in the output folder, with small pictures beside it.
    #[arg(long)]
    html: bool,
}

pub(crate) fn run(args: &DetectArgs, globals: &Globals) -> anyhow::Result<Outcome> {
    let out = args.output.out.as_deref().unwrap_or(Path::new(RUNS));
    let search = sources::Options { recursive: args.recursive, out, offline: globals.is_offline() };
    let mut sources = sources::expand(&args.inputs, search);
    if args.inputs.is_empty() {
        sources.pictures.push(Source::sample());
    }
    if sources.pictures.is_empty() {
        return Ok(no_pictures(args, &sources.failed));
    }
    let plan = Plan::new(sources, args.output.has_labels(), args.shard);
    refuse_video(args, &plan)?;
    let loaded = model::load(&args.model, globals)?;
    let settings = settings::settings(args, &loaded)?;
    let class_names: Arc<[String]> = loaded.class_names().into();
    let runtime = Runtime::load(&args.runtime.library(globals))?;
    log::debug!("ONNX Runtime: {}", runtime.library().path.display());
    let all = args.runtime.session();
    let streams = args.streams.map_or(streams(all.threads), usize::from).min(plan.at_least());
    // Beside a single picture there is nothing else to do.
    let spinning = all.spinning && plan.at_least() == 1;
    let session = SessionOptions { threads: (all.threads / streams).max(1), spinning, ..all };
    let models = loaded.into_models(&runtime, &session, streams)?;
    let only_for = (!args.output.needs_pixels() && !args.full_decoding).then_some(settings.fit);
    let workers = args.workers.map_or(all.threads, usize::from);
    let limits = args.limits(workers);
    let reading = Reading { limits, only_for };
    let header = plan.header(args, globals, (&settings, reading), &class_names)?;
    // Places for results before the first picture, so that a wrong path costs no work; and after everything else that
    // can go wrong, so that a run that cannot start leaves no folder.
    args.output.formats.check(args.output.out.as_deref(), args.output.exist_ok || args.resume)?;
    guard::check(args, &plan)?;
    let mut report =
        Report::new(plan.pictures.len() + plan.unusable.len(), globals.quiet, args.output.formats.on_stdout());
    let mut results = Results::create(args, class_names, &plan)?;
    // Until here Ctrl-C ends the program at once: there is nothing to finish.
    let interrupt = Interrupt::install()?;

    for (input, reason) in &plan.unusable {
        report.failure(input, reason);
    }
    let done = results.begin(&header, &plan, args, &mut report)?;
    let options = pipeline::Options {
        workers,
        batch: args.batch.into(),
        reading,
        fail_fast: args.fail_fast,
        memory: limits.max_bytes,
    };
    let detectors = models.into_iter().map(|model| Detector::new(model, settings.clone())).collect();
    let pipeline = Pipeline::new(detectors, results, interrupt.clone(), options)?;
    report.begin();
    let feed = Feed::new(plan.pictures, done, limits, interrupt);
    let (results, ended) = pipeline.run(feed, &mut report);
    complete(results, ended, report, globals)
}

/// Also after an error: what was found so far stays readable.
fn complete(
    mut results: Results,
    ended: anyhow::Result<bool>,
    mut report: Report,
    globals: &Globals,
) -> anyhow::Result<Outcome> {
    let repeated = results.repeat_rest(&mut report);
    report.finish(ended.as_ref().is_ok_and(|interrupted| *interrupted));
    let finished = results.finish(&report, globals.quiet);
    let interrupted = ended?;
    repeated?;
    finished?;
    if let Some(reason) = report.stdout_failure() {
        anyhow::bail!("stdout cannot be written: {reason}");
    }
    Ok(match (interrupted, report.failed()) {
        (true, _) => Outcome::Interrupted,
        (false, 0) => Outcome::Done,
        (false, _) => Outcome::SomeFailed,
    })
}

impl DetectArgs {
    /// Pictures of common size for every worker, and one large one on a small machine.
    fn limits(&self, workers: usize) -> ImageLimits {
        // As many as there are cores: more of them may be asked for by anybody.
        let workers = workers.min(SessionOptions::default().threads);
        let usual = ImageLimits::default().max_bytes.max(40_000_000 * workers as u64);
        let max_bytes = self.max_image_memory.map_or(usual, |megabytes| megabytes * 1_000_000);
        ImageLimits { max_pixels: self.max_megapixels * 1_000_000, max_bytes }
    }
}

impl OutputArgs {
    /// Whether a picture has files besides the drawn one, whose names come from its name without the extension.
    fn has_labels(&self) -> bool {
        self.txt || self.save_crop || self.html
    }

    /// Whether whole pictures are written, or parts of them.
    fn needs_pixels(&self) -> bool {
        !self.no_draw || self.save_crop || self.html
    }

    fn needs_folder(&self) -> bool {
        !self.no_draw || self.has_labels() || self.out.is_some()
    }
}

fn refuse_video(args: &DetectArgs, plan: &Plan) -> anyhow::Result<()> {
    let Some(video) = plan.video() else { return Ok(()) };
    let option = if args.resume { "--resume" } else { "--shard" };
    anyhow::ensure!(
        !args.resume && args.shard == Shard::WHOLE,
        "{option}: {} is a video, which is searched as a whole; give it to a run of its own",
        video.source.name()
    );
    Ok(())
}

fn no_pictures(args: &DetectArgs, failed: &[(PathBuf, String)]) -> Outcome {
    for (path, reason) in failed {
        let image = path.display().to_string();
        if logs_json() {
            event("error", "failure", json!({ "image": image, "message": reason }));
        } else {
            say!("error: {image}: {reason}");
        }
    }
    if !failed.is_empty() {
        return Outcome::NoInput;
    }
    let inputs: Vec<_> = args.inputs.iter().map(|input| input.display().to_string()).collect();
    let hint = if args.recursive { "" } else { "; --recursive also searches the folders below" };
    say!("error: no picture found in {}{hint}", inputs.join(", "));
    Outcome::NoInput
}

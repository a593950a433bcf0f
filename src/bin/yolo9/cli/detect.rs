//! `yolo9 detect` and `yolo9 merge`.

use std::path::PathBuf;

use clap::Args;
use yolo9::output::Shard;

use super::common::{InputArgs, ModelArgs, RuntimeArgs, ThresholdArgs};

#[derive(Debug, Args)]
pub(crate) struct DetectArgs {
    /// Images, folders, quoted patterns ('a/**/*.jpg'), .txt lists of paths (# begins a comment), addresses (https://…,
    /// s3://…), `-` for paths (or one image) on stdin; videos, cameras by number and streams (rtsp://…), if ffmpeg is
    /// installed; without any, the embedded sample image.
    #[arg(value_name = "IMAGE|FOLDER|PATTERN|LIST|URL|VIDEO|-")]
    pub(crate) inputs: Vec<PathBuf>,

    /// As an input without an option.
    #[arg(long, value_name = "INPUT", hide = true)]
    pub(crate) source: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) input: InputArgs,

    /// Descend into subfolders.
    #[arg(short, long, help_heading = "Input")]
    pub(crate) recursive: bool,

    /// Process every Nth frame of videos.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000), hide_short_help = true, help_heading = "Input")]
    pub(crate) vid_stride: u32,

    /// Process one shard, e.g. 3/16; `yolo9 merge` merges the shards' output folders.
    #[arg(
        long,
        value_name = "SHARD/SHARDS",
        default_value = "1/1",
        hide_default_value = true,
        hide_short_help = true,
        help_heading = "Input"
    )]
    pub(crate) shard: Shard,

    #[command(flatten)]
    pub(crate) thresholds: ThresholdArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    /// Resume an interrupted run in its output folder: images that were processed, or failed, are skipped.
    #[arg(long, requires = "out", hide_short_help = true, help_heading = "Output")]
    pub(crate) resume: bool,

    /// With --resume: process images that failed again.
    #[arg(long, requires = "resume", hide_short_help = true, help_heading = "Output")]
    pub(crate) retry_failed: bool,

    /// Stop on first failure.
    #[arg(long, hide_short_help = true, help_heading = "Output")]
    pub(crate) fail_fast: bool,

    #[command(flatten)]
    pub(crate) runtime: RuntimeArgs,

    /// Threads that decode and draw beside inference [default: as many as inference has].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), hide_short_help = true, help_heading = "Performance")]
    pub(crate) workers: Option<u16>,

    /// Inference sessions that run at the same time [default: one for each thread, at most 4].
    ///
    /// Each has its share of the threads and its own copy of the weights in memory.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Performance")]
    pub(crate) sessions: Option<u16>,

    /// Batch size: images of one input size that go through the network in one run.
    ///
    /// It takes more memory, and is seldom faster on a CPU.
    #[arg(long, alias = "batch-size", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Performance")]
    pub(crate) batch: u16,
}

/// What is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Output folder [default: the first free one of runs/detect/exp, exp2, …].
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,

    /// With --name: the folder for output folders.
    #[arg(long, value_name = "FOLDER", hide = true, conflicts_with = "out")]
    pub(crate) project: Option<PathBuf>,

    /// Name of the output folder below --project.
    #[arg(long, value_name = "NAME", hide = true, conflicts_with = "out")]
    pub(crate) name: Option<PathBuf>,

    /// Write into an output folder that is not empty, replacing files of the same name.
    #[arg(long, hide_short_help = true)]
    pub(crate) exist_ok: bool,

    /// Write no images.
    #[arg(long, alias = "nosave")]
    pub(crate) no_draw: bool,

    /// Line width in pixels [default: by the size of the image].
    #[arg(long, alias = "line-thickness", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), hide_short_help = true)]
    pub(crate) line_width: Option<u32>,

    /// Draw boxes without labels.
    #[arg(long, hide_short_help = true)]
    pub(crate) hide_labels: bool,

    /// Draw labels without confidences.
    #[arg(long, hide_short_help = true)]
    pub(crate) hide_conf: bool,

    #[command(flatten)]
    pub(crate) formats: FormatArgs,

    /// Write a YOLO label file for each image with detections (labels/… in the output folder).
    #[arg(long, alias = "save-txt")]
    pub(crate) txt: bool,

    /// With --txt: write the confidence as the last number of each line.
    #[arg(long, requires = "txt", hide_short_help = true)]
    pub(crate) save_conf: bool,

    /// Write each object, cropped, in a folder for its class (crops/… in the output folder).
    #[arg(long)]
    pub(crate) save_crop: bool,

    /// Write a gallery of the results: gallery.html in the output folder, with thumbnails beside it.
    #[arg(long)]
    pub(crate) html: bool,
}

/// One file for all images.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct FormatArgs {
    /// Write the detections of all images as a JSON array; `-` is stdout.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,

    /// Write a JSON object for each image, one a line; `-` is stdout, as soon as each is done.
    #[arg(long, value_name = "FILE|-", hide_short_help = true)]
    pub(crate) jsonl: Option<PathBuf>,

    /// Write a CSV row for each detection; `-` is stdout.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) csv: Option<PathBuf>,

    /// Write COCO results (for pycocotools); `-` is stdout.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) coco: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// The output folders of all shards, in any order.
    #[arg(required = true, value_name = "FOLDER")]
    pub(crate) shards: Vec<PathBuf>,

    /// The folder to write.
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,

    /// Write into an existing folder, and replace files.
    #[arg(long)]
    pub(crate) exist_ok: bool,

    /// Write gallery.html, if the shards were run with --html.
    #[arg(long)]
    pub(crate) html: bool,

    #[command(flatten)]
    pub(crate) formats: FormatArgs,
}

//! `yolo9 train`. It can be typed in any build, so that one without training can say what is missing.
#![cfg_attr(not(feature = "train"), allow(dead_code, reason = "what was typed is read by the builds that can train"))]

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use yolo9::dysample::Lift;

use super::values::{LIFTS, one_of, parse_side};

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Labelled dataset: a data YAML with `train` and `val`, or a COCO annotation file (.json) together with --val-data.
    #[arg(short, long, value_name = "FILE", help_heading = "Dataset", required_unless_present = "resume")]
    pub(crate) data: Option<PathBuf>,

    /// Where the validation images are, if not in the split `val` of --data: a data YAML or a COCO annotation file.
    #[arg(long, value_name = "FILE", help_heading = "Dataset")]
    pub(crate) val_data: Option<PathBuf>,

    /// Where the images of the COCO annotation file --data are [default: beside it, or where COCO has them].
    #[arg(long, value_name = "FOLDER", help_heading = "Dataset")]
    pub(crate) images: Option<PathBuf>,

    /// Where the images of the COCO annotation file --val-data are [default: beside it, or where COCO has them].
    #[arg(long, value_name = "FOLDER", requires = "val_data", hide_short_help = true, help_heading = "Dataset")]
    pub(crate) val_images: Option<PathBuf>,

    /// Memory for training images, in megabytes; those that do not fit are read again in each epoch.
    #[arg(long, value_name = "MB", default_value_t = 4000, hide_short_help = true, help_heading = "Dataset")]
    pub(crate) cache: u64,

    /// Weights to start from: a checkpoint of any YOLOv9 code, an embedded model, or the name of released weights. Without
    /// them training starts from random values.
    #[arg(short, long, alias = "model", value_name = "FILE|NAME", help_heading = "Model")]
    pub(crate) weights: Option<String>,

    /// Architecture, if not that of the weights: a YAML file, or a built-in name (see `yolo9 configs`). Weights that fit
    /// are taken over, the rest starts from random values.
    #[arg(long, alias = "cfg", value_name = "FILE|NAME", help_heading = "Model")]
    pub(crate) config: Option<String>,

    /// Initialise the DySample modules that the weights lack so that they do what this upsampler does.
    #[arg(long, value_parser = one_of(LIFTS), value_name = "nearest|bilinear", requires = "weights", requires = "config", help_heading = "Model")]
    pub(crate) lift: Option<Lift>,

    /// Keep layers as they are: the first N, or `backbone`.
    #[arg(long, value_name = "N|backbone", value_parser = parse_freeze, help_heading = "Model")]
    pub(crate) freeze: Option<String>,

    /// Train nothing but the DySample modules.
    #[arg(long, value_parser = ["dysample"], value_name = "dysample", conflicts_with = "freeze", help_heading = "Model")]
    pub(crate) train_only: Option<String>,

    /// Epochs.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Training")]
    pub(crate) epochs: u32,

    /// Images in a batch.
    #[arg(short, long, alias = "batch-size", value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Training")]
    pub(crate) batch: u16,

    /// Images whose gradients are summed for a step of the optimiser. Small datasets want less.
    #[arg(long, alias = "nbs", value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024), hide_short_help = true, help_heading = "Training")]
    pub(crate) nominal_batch: u16,

    /// Side of the square input; rounded up to the stride.
    #[arg(long, alias = "img", alias = "img-size", value_name = "SIZE", default_value = "640", value_parser = parse_side, help_heading = "Training")]
    pub(crate) imgsz: usize,

    /// The optimiser.
    #[arg(long, value_enum, value_name = "sgd|adamw", default_value_t = OptimizerArg::Sgd, ignore_case = true, help_heading = "Training")]
    pub(crate) optimizer: OptimizerArg,

    /// Hyperparameters: a YAML file of the official format, or single values (lr0=0.002); may be given several times.
    #[arg(long, value_name = "FILE|KEY=VALUE", help_heading = "Training")]
    pub(crate) hyp: Vec<String>,

    /// Images as they are, letterboxed: no mosaics, moves, flips or changes of colour. With frozen first layers, their
    /// feature maps are then computed once per image.
    #[arg(long, hide_short_help = true, help_heading = "Training")]
    pub(crate) no_augmentation: bool,

    /// Let learning rates fall along a cosine instead of a line.
    #[arg(long, alias = "cos-lr", hide_short_help = true, help_heading = "Training")]
    pub(crate) cosine: bool,

    /// No mosaics in the last N epochs [default: 15, or a fifth of the epochs if that is less].
    #[arg(long, value_name = "N", hide_short_help = true, help_heading = "Training")]
    pub(crate) close_mosaic: Option<u32>,

    /// Decides about everything random.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Training")]
    pub(crate) seed: u64,

    /// The folder of the run.
    #[arg(short, long, value_name = "FOLDER", help_heading = "Output", required_unless_present = "resume")]
    pub(crate) out: Option<PathBuf>,

    /// Write into a folder that is not empty, replacing files of the same name.
    #[arg(long, hide_short_help = true, help_heading = "Output")]
    pub(crate) exist_ok: bool,

    /// Continue the interrupted run of this folder, with the settings that it was started with.
    #[arg(
        long,
        value_name = "FOLDER",
        conflicts_with_all = ["data", "val_data", "images", "val_images", "weights", "config", "lift", "freeze", "train_only", "epochs", "batch", "nominal_batch", "imgsz", "optimizer", "hyp", "no_augmentation", "cosine", "close_mosaic", "seed", "out", "exist_ok", "device", "threads"],
        help_heading = "Output"
    )]
    pub(crate) resume: Option<PathBuf>,

    /// Save the run every N minutes, besides after each epoch.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000), hide_short_help = true, help_heading = "Output")]
    pub(crate) save_every: u32,

    /// Where to train: cpu, or with builds for them cuda, wgpu or metal, with a number if there are several (cuda:1).
    #[arg(long, value_name = "DEVICE", default_value = "cpu", help_heading = "Performance")]
    pub(crate) device: String,

    /// Threads for the network [default: all that the system grants].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Performance")]
    pub(crate) threads: Option<u16>,

    /// Threads that prepare batches; the result does not depend on their number.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256), hide_short_help = true, help_heading = "Performance")]
    pub(crate) workers: u16,

    /// The ONNX Runtime library to validate with (also ORT_DYLIB_PATH) [default: found or fetched].
    #[arg(long, value_name = "FILE", hide_short_help = true, help_heading = "Performance")]
    pub(crate) onnxruntime: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OptimizerArg {
    Sgd,
    #[value(name = "adamw")]
    AdamW,
}

/// How many of the first layers, or `backbone`.
fn parse_freeze(text: &str) -> Result<String, String> {
    if text == "backbone" || text.parse().is_ok_and(|layers: usize| layers > 0) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is neither a number of layers nor `backbone`"))
}

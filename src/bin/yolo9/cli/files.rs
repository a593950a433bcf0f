//! Commands about model files, configs and the program itself.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use yolo9::Size;
use yolo9::dysample::Lift;
use yolo9::onnx::Opset;

use super::common::NamesArg;
use super::values::{LIFTS, one_of, parse_size, parse_unit};

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// Checkpoint.
    #[arg(value_name = "FILE")]
    pub(crate) input: String,

    /// The file to write: a .safetensors file, or a .pt file with the bare tensors for PyTorch [default: the input's name with
    /// .safetensors, in the working folder].
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Fit the weights to this architecture, and store it with them: a YAML file, or a built-in name.
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) to: Option<String>,

    /// Initialise the DySample modules that the weights lack so that they do what this upsampler does. Initialised from
    /// nearest, a network trained with nn.Upsample computes exactly what it did.
    #[arg(long, value_parser = one_of(LIFTS), value_name = "nearest|bilinear", requires = "to")]
    pub(crate) lift: Option<Lift>,

    /// Strip the auxiliary head: what only training needs. Layers are renumbered, as in official converted files.
    #[arg(long)]
    pub(crate) deploy: bool,

    /// As --deploy, with batch normalisation folded into the convolutions and parallel convolutions merged (f32).
    #[arg(long)]
    pub(crate) fuse: bool,

    /// Store floating point numbers as f16.
    #[arg(long)]
    pub(crate) half: bool,

    /// Metadata to store in the file, such as --metadata licence=MIT.
    #[arg(long, value_name = "KEY=TEXT")]
    pub(crate) metadata: Vec<String>,

    /// Replace an existing file.
    #[arg(long)]
    pub(crate) exist_ok: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Checkpoint, or embedded model; with --random-weights a config.
    #[arg(value_name = "FILE|NAME")]
    pub(crate) input: String,

    /// Architecture, if not that of the checkpoint: a YAML file, or a built-in name.
    #[arg(long, value_name = "FILE|NAME", help_heading = "Model")]
    pub(crate) config: Option<String>,

    /// Export a config alone, with random weights: to time a design on another runtime.
    #[arg(long, conflicts_with = "config", help_heading = "Model")]
    pub(crate) random_weights: bool,

    /// Class names, if not those of the checkpoint: a data YAML with `names:`, a file with one name per line, or `coco`.
    #[arg(long, value_name = "FILE|coco", help_heading = "Model")]
    pub(crate) names: Option<NamesArg>,

    /// Size of the input: one side, or height and width (640, 480 640, 480x640), multiples of the stride; where the size is
    /// dynamic, what the file recommends.
    #[arg(long, alias = "img", value_name = "SIZE", value_parser = parse_size, default_value = "640", help_heading = "Model")]
    pub(crate) imgsz: Size,

    /// Batch size [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Model")]
    pub(crate) batch: Option<u16>,

    /// Make the batch size, the input size, or both dynamic.
    #[arg(
        long,
        value_enum,
        value_name = "batch|size|all",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "all",
        help_heading = "Model"
    )]
    pub(crate) dynamic: Option<FreeAxes>,

    /// Opset, 16 to 20.
    #[arg(long, value_name = "N", default_value_t = Opset::default().number(), value_parser = parse_opset, help_heading = "ONNX")]
    pub(crate) opset: i64,

    /// Weights and feature maps in f16; inputs, outputs and coordinates stay f32.
    #[arg(long, help_heading = "ONNX")]
    pub(crate) half: bool,

    /// NMS inside the file: it gives `boxes`, `scores` and `classes` of detections.
    #[arg(long, help_heading = "NMS")]
    pub(crate) nms: bool,

    /// With --nms: confidence threshold.
    #[arg(long, value_name = "0..1", value_parser = parse_unit, default_value = "0.25", requires = "nms", help_heading = "NMS")]
    pub(crate) conf: f32,

    /// With --nms: NMS IoU threshold.
    #[arg(long, value_name = "0..1", value_parser = parse_unit, default_value = "0.45", requires = "nms", help_heading = "NMS")]
    pub(crate) iou: f32,

    /// With --nms: maximum detections per image.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=30_000), requires = "nms", help_heading = "NMS")]
    pub(crate) max_det: u32,

    /// With --nms: class-agnostic NMS.
    #[arg(long, requires = "nms", help_heading = "NMS")]
    pub(crate) agnostic: bool,

    /// DySample in standard operators, which every runtime knows, or as one node with these as its body, which yolo9
    /// runs on its own operator.
    #[arg(long, value_enum, value_name = "inline|function", default_value_t = DySampleForm::Inline, help_heading = "ONNX")]
    pub(crate) dysample: DySampleForm,

    /// The file to write [default: the input's name with .onnx, in the working folder].
    #[arg(short, long, value_name = "FILE.onnx", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Replace an existing file.
    #[arg(long, help_heading = "Output")]
    pub(crate) exist_ok: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FreeAxes {
    Batch,
    Size,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DySampleForm {
    Inline,
    Function,
}

pub(super) fn parse_opset(text: &str) -> Result<i64, String> {
    let (first, last) = (Opset::SUPPORTED.start(), Opset::SUPPORTED.end());
    let number = text.parse().ok().filter(|number| Opset::new(*number).is_some());
    number.ok_or_else(|| format!("`{text}` is not an opset from {first} (the first with GridSample) to {last}"))
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Model files (.pt, .safetensors, .onnx) or configs (a YAML file or a built-in name); two are compared.
    #[arg(required = true, num_args = 1..=2, value_name = "FILE|CONFIG")]
    pub(crate) subjects: Vec<String>,

    /// Architecture of weights that do not carry theirs: a YAML file, or a built-in name.
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) config: Option<String>,

    /// Size of the input that feature maps and GFLOPs are given for: one side, or height and width.
    #[arg(long, alias = "img", value_name = "SIZE", value_parser = parse_size, default_value = "640")]
    pub(crate) imgsz: Size,

    /// Number of classes of a config alone, if not its own.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) nc: Option<u32>,

    /// List every class and function, kind of storage and unknown object in the file's pickle, and what was refused.
    #[arg(long)]
    pub(crate) pickle: bool,

    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    pub(crate) action: Option<ModelsAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsAction {
    /// List all names that --weights takes, and which files are in the cache (the default).
    List,
    /// Fetch released weights into the cache.
    Pull {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Delete released weights from the cache, and what was fetched of them.
    Remove {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,

        /// Forget the hash of the first use too, so that a file that its publishers replaced is accepted.
        #[arg(long)]
        forget: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Show all options of this command, with their values and where these come from.
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigsArgs {
    /// Print the YAML of this one.
    #[arg(value_name = "NAME", conflicts_with = "modules")]
    pub(crate) name: Option<String>,

    /// List the modules that a config may use.
    #[arg(long)]
    pub(crate) modules: bool,
}

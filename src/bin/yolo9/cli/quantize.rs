//! `yolo9 quantize`.

use std::path::PathBuf;

use clap::Args;
use yolo9::Size;
use yolo9::onnx::Opset;
use yolo9::quantise::RangeMethod;

use super::common::{NamesArg, RuntimeArgs};
use super::files::parse_opset;
use super::values::{one_of, parse_size};

/// Words of `--calibration`.
const METHODS: &[(&str, RangeMethod)] =
    &[("minmax", RangeMethod::MinMax), ("percentile", RangeMethod::Percentile(0.9999))];

#[derive(Debug, Args)]
pub(crate) struct QuantizeArgs {
    /// Checkpoint, or embedded model.
    #[arg(value_name = "FILE|NAME")]
    pub(crate) input: String,

    /// Images of the kind that the network will see, without labels: files, folders or patterns. Some hundred are enough.
    #[arg(long, value_name = "IMAGE|FOLDER|PATTERN", num_args = 1.., required = true, help_heading = "Calibration")]
    pub(crate) images: Vec<PathBuf>,

    /// Most images that are taken, evenly from all of them.
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "Calibration")]
    pub(crate) count: u32,

    /// What becomes of outliers: the range of a feature map is that of all values, or of all but a ten-thousandth.
    #[arg(long, value_parser = one_of(METHODS), value_name = "minmax|percentile", default_value = "percentile", help_heading = "Calibration")]
    pub(crate) calibration: RangeMethod,

    /// Layers that stay f32, by their numbers in the config (`yolo9 info` lists them).
    #[arg(long, value_name = "LAYER,…", value_delimiter = ',', value_parser = parse_layer, help_heading = "Calibration")]
    pub(crate) keep: Vec<usize>,

    /// Images on which one convolution after the other is tried alone, to find those that must stay f32; 0 leaves that out.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=1000), help_heading = "Calibration")]
    pub(crate) sensitivity: u32,

    /// Weights of 8 bits instead of 7. More exact on processors with VNNI and in OpenVINO; wrong on those with AVX2 alone,
    /// where sums overflow.
    #[arg(long, help_heading = "Calibration")]
    pub(crate) full_range: bool,

    /// The file to write [default: the input's name with -int8.onnx, in the working folder].
    #[arg(short, long, value_name = "FILE.onnx", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Replace the file if it exists.
    #[arg(long, help_heading = "Output")]
    pub(crate) exist_ok: bool,

    /// Print what became of the network as JSON.
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,

    /// Labelled dataset, for AP before and after: a data YAML, or a COCO annotation file. Without it, what changes in the
    /// boxes of the calibration images.
    #[arg(short, long, value_name = "FILE", help_heading = "Dataset")]
    pub(crate) data: Option<PathBuf>,

    /// Split of the data YAML.
    #[arg(long, value_name = "train|val|test", default_value = "val", help_heading = "Dataset")]
    pub(crate) split: String,

    /// Architecture, if not that of the checkpoint: a YAML file, or a built-in name.
    #[arg(long, value_name = "FILE|NAME", help_heading = "Model")]
    pub(crate) config: Option<String>,

    /// Class names, if not those of the checkpoint.
    #[arg(long, value_name = "FILE|coco", help_heading = "Model")]
    pub(crate) names: Option<NamesArg>,

    /// Size of the input: one side, or height and width, multiples of the stride.
    #[arg(long, alias = "img", value_name = "SIZE", value_parser = parse_size, default_value = "640", help_heading = "Model")]
    pub(crate) imgsz: Size,

    /// Fix the input at that size and the batch at 1, as some runtimes want it.
    #[arg(long, help_heading = "Model")]
    pub(crate) fixed: bool,

    /// Opset, 16 to 20.
    #[arg(long, value_name = "N", default_value_t = Opset::default().number(), value_parser = parse_opset, hide_short_help = true, help_heading = "Model")]
    pub(crate) opset: i64,

    #[command(flatten)]
    pub(crate) runtime: RuntimeArgs,
}

/// The number of a layer, also as checkpoints write it: `model.3`.
fn parse_layer(text: &str) -> Result<usize, String> {
    let number = text.trim().strip_prefix("model.").unwrap_or(text.trim());
    number.parse().map_err(|_| format!("`{text}` is no layer; expected its number, such as 3 or model.3"))
}

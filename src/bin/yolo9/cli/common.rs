//! Options that several commands have.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use yolo9::Size;
use yolo9::detect::Preset;
use yolo9::runtime::{Device, DeviceParseError, DySampleBackend, Precision};

use super::values::{one_of, parse_count, parse_precision, parse_size, parse_unit};

/// Which network.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// Checkpoint (.pt, .safetensors), exported network (.onnx), or the name of a model (see `yolo9 models`).
    ///
    /// Checkpoints may be of any YOLOv9 code. Released weights are fetched by their name; `https://` addresses of files, too.
    #[arg(
        short,
        long,
        alias = "model",
        env = "YOLO9_WEIGHTS",
        value_name = "FILE|NAME",
        default_value = "codes-dysample"
    )]
    pub(crate) weights: String,

    /// Architecture, if not that of the checkpoint: a YAML file, or a built-in name (see `yolo9 configs`).
    #[arg(long, alias = "cfg", value_name = "FILE|NAME")]
    pub(crate) config: Option<String>,

    /// Class names, if not those of the checkpoint: a data YAML with `names:`, a file with one name per line, or `coco`.
    #[arg(long, value_name = "FILE|coco")]
    pub(crate) names: Option<NamesArg>,
}

/// Where class names come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NamesArg {
    /// The 80 classes of COCO.
    Coco,
    File(PathBuf),
}

impl From<&str> for NamesArg {
    /// A file of that name goes first.
    fn from(text: &str) -> Self {
        let path = PathBuf::from(text);
        if text.eq_ignore_ascii_case("coco") && !path.exists() { Self::Coco } else { Self::File(path) }
    }
}

impl ModelArgs {
    /// A model by its name alone.
    pub(crate) fn of(weights: &str) -> Self {
        Self { weights: weights.into(), config: None, names: None }
    }

    /// The files that it names, which nothing may be written over.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let named = [Some(&self.weights), self.config.as_ref()].into_iter().flatten().map(PathBuf::from);
        let names = match &self.names {
            Some(NamesArg::File(path)) => Some(path.clone()),
            Some(NamesArg::Coco) | None => None,
        };
        named.chain(names).filter(|path| path.exists()).collect()
    }
}

/// Words of `--preset`.
const PRESETS: &[(&str, Preset)] = &[("yolov9", Preset::Yolov9), ("ultralytics", Preset::Ultralytics)];

/// How an image becomes the network's input.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    /// Size of the network's input: one side, or height and width (640, 480 640, 480x640). Rounded up to the stride
    /// [default: 640, or that of the export for an ONNX file].
    #[arg(long, alias = "img", alias = "img-size", value_name = "SIZE", value_parser = parse_size)]
    pub(crate) imgsz: Option<Size>,

    /// Pad to the whole input instead of the smallest rectangle.
    #[arg(long, hide_short_help = true)]
    pub(crate) square: bool,

    /// Whose defaults and box rescaling: yolov9 (NMS IoU threshold 0.45, 1000 detections) or ultralytics (0.7, 300). `val`
    /// then also loads images as that tool does when it evaluates [default: yolov9].
    #[arg(long, value_parser = one_of(PRESETS), hide_short_help = true)]
    pub(crate) preset: Option<Preset>,

    /// Refuse images with more million pixels.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1_000_000), hide_short_help = true)]
    pub(crate) max_megapixels: u64,

    /// Memory for decoded images, of all in work together; an image that needs more is refused [default: 400, or 40 for
    /// each worker if that is more].
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=1_000_000), hide_short_help = true)]
    pub(crate) max_image_memory: Option<u64>,
}

/// Which outputs of the network become detections.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Thresholds")]
pub(crate) struct ThresholdArgs {
    /// Confidence threshold [default: 0.25].
    #[arg(long, alias = "conf-thres", value_name = "0..1", value_parser = parse_unit, allow_negative_numbers = true)]
    pub(crate) conf: Option<f32>,

    /// NMS IoU threshold [default: 0.45, or 0.7 with --preset ultralytics].
    #[arg(long, alias = "iou-thres", value_name = "0..1", value_parser = parse_unit, allow_negative_numbers = true)]
    pub(crate) iou: Option<f32>,

    /// Maximum detections per image [default: 1000, or 300 with --preset ultralytics].
    #[arg(long, value_name = "N", value_parser = parse_count, allow_negative_numbers = true)]
    pub(crate) max_det: Option<u32>,

    /// Class-agnostic NMS.
    #[arg(long, alias = "agnostic-nms")]
    pub(crate) agnostic: bool,

    /// Only these classes, by name or id: person,2.
    #[arg(long, value_name = "NAME|ID", value_delimiter = ',', allow_negative_numbers = true)]
    pub(crate) classes: Option<Vec<String>>,
}

/// Where and how it runs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Performance")]
pub(crate) struct RuntimeArgs {
    /// Where inference runs: cpu, openvino, cuda:N, tensorrt:N, coreml, directml:N, xnnpack, or auto.
    ///
    /// A number is cuda:N; openvino:GPU and openvino:NPU are further parts; auto takes a GPU if there is one, and the CPU
    /// otherwise. What a device needs is fetched once; `yolo9 doctor` says what works here.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceArg::Fixed(Device::Cpu))]
    pub(crate) device: DeviceArg,

    /// Numbers of the convolutions [default: f32, or int8 of a file of `yolo9 quantize`].
    ///
    /// bf16 and f16 need a device that has them, int8 such a file.
    #[arg(long, value_name = "f32|bf16|f16|int8", value_parser = parse_precision)]
    pub(crate) precision: Option<Precision>,

    /// As `--precision f16`, as in other tools.
    #[arg(long, hide = true, conflicts_with = "precision")]
    pub(crate) half: bool,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// How it runs, wherever that is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Performance")]
pub(crate) struct EngineArgs {
    /// Threads for inference [default: all that the system grants].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// What computes DySample: our operator, or the standard ONNX operators that other runtimes use. auto is the operator
    /// on the device cpu, and the standard ones elsewhere.
    #[arg(long, value_parser = one_of(DYSAMPLE), value_name = "auto|native|onnx", default_value = "auto", hide_short_help = true)]
    pub(crate) dysample: DySampleBackend,

    /// The ONNX Runtime library to load (also ORT_DYLIB_PATH) [default: found or fetched].
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) onnxruntime: Option<PathBuf>,
}

/// Words of `--dysample`.
pub(crate) const DYSAMPLE: &[(&str, DySampleBackend)] =
    &[("auto", DySampleBackend::Auto), ("native", DySampleBackend::Native), ("onnx", DySampleBackend::Onnx)];

/// Where inference runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceArg {
    /// What works.
    Auto,
    Fixed(Device),
}

impl FromStr for DeviceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fixed = |name: &str| {
            let refused =
                |_| format!("`{text}` is no device; expected auto, {}; or N for cuda:N", DeviceParseError::EXPECTED);
            name.parse().map(Self::Fixed).map_err(refused)
        };
        let text = text.trim();
        match text {
            "auto" => Ok(Self::Auto),
            // As other tools number GPUs.
            number if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
                fixed(&format!("cuda:{number}"))
            }
            _ => fixed(text),
        }
    }
}

impl std::fmt::Display for DeviceArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(device) => device.fmt(f),
        }
    }
}

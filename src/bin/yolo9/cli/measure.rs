//! `yolo9 val`, `compare` and `bench`.

use std::path::PathBuf;

use clap::Args;
use yolo9::runtime::{Device, DySampleBackend, Precision};
use yolo9::{Size, embedded};

use super::common::{DeviceArg, EngineArgs, InputArgs, ModelArgs, NamesArg, RuntimeArgs, ThresholdArgs};
use super::values::{parse_count, parse_precision, parse_size, parse_unit};

/// A labelled dataset.
#[derive(Debug, Args)]
#[command(next_help_heading = "Dataset")]
pub(crate) struct DatasetArgs {
    /// Split of a data YAML.
    #[arg(long, value_name = "train|val|test", default_value = "val")]
    pub(crate) split: String,

    /// Where the images of a COCO annotation file are [default: beside it, or where COCO has them].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) images: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ValArgs {
    /// Labelled dataset: a data YAML (path, train, val, test, names), or a COCO annotation file (.json).
    #[arg(short, long, value_name = "FILE", help_heading = "Dataset")]
    pub(crate) data: PathBuf,

    #[command(flatten)]
    pub(crate) dataset: DatasetArgs,

    /// Evaluate an existing COCO results file instead of running inference; `--weights` is not looked at.
    #[arg(
        long,
        value_name = "FILE",
        // What changes nothing then. Not `weights`, which a variable may have set.
        conflicts_with_all = [
            "config", "names", "imgsz", "square", "batch", "conf", "iou", "max_det", "agnostic", "classes", "device",
            "precision", "half", "threads", "dysample", "onnxruntime",
        ],
        help_heading = "Dataset"
    )]
    pub(crate) predictions: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) input: InputArgs,

    #[command(flatten)]
    pub(crate) thresholds: ThresholdArgs,

    /// With --preset: images in a batch of its tool's loader, which decides about the sizes of rectangular inputs [default: 32,
    /// or 16 with --preset ultralytics].
    #[arg(long, value_name = "N", value_parser = parse_count, hide_short_help = true, help_heading = "Input")]
    pub(crate) batch: Option<u32>,

    /// Confidence threshold at which right and wrong detections are counted, as `detect` shows them.
    #[arg(long, value_name = "0..1", default_value_t = 0.25, value_parser = parse_unit, help_heading = "Thresholds")]
    pub(crate) count_conf: f32,

    /// Write all numbers as JSON; `-` is stdout, which the table then leaves to it.
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,

    /// Write the detections as COCO results (for pycocotools).
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) coco: Option<PathBuf>,

    /// Write numbers, detections, plots and the worst images into this folder.
    #[arg(short, long, value_name = "FOLDER", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,

    /// Write into an output folder that is not empty, replacing files of the same name.
    #[arg(long, hide_short_help = true, help_heading = "Output")]
    pub(crate) exist_ok: bool,

    /// How many of the images with the most misses, and of those with the most false positives, are drawn in the output folder.
    #[arg(long, value_name = "N", default_value_t = 12, hide_short_help = true, help_heading = "Output")]
    pub(crate) worst: usize,

    #[command(flatten)]
    pub(crate) runtime: RuntimeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The first side: a model file, embedded model or released weights, with options of its own after commas
    /// (best.pt,config=my.yaml,imgsz=320,device=openvino,precision=bf16); or a config alone, which is compared in size and time only.
    #[arg(value_name = "A")]
    pub(crate) a: SideArg,

    /// The second side; differences are B − A.
    #[arg(value_name = "B")]
    pub(crate) b: SideArg,

    /// Further sides: then there is a ranking, and each pair's differences with intervals, but no images.
    #[arg(value_name = "C")]
    pub(crate) others: Vec<SideArg>,

    /// Images, folders, patterns or lists [default: the images of --data, else the embedded sample image].
    #[arg(short, long, value_name = "IMAGE|FOLDER|PATTERN", num_args = 1.., conflicts_with = "data", help_heading = "Dataset")]
    pub(crate) source: Vec<PathBuf>,

    /// Labelled dataset, for a comparison of accuracy: a data YAML, or a COCO annotation file.
    #[arg(short, long, value_name = "FILE", help_heading = "Dataset")]
    pub(crate) data: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) dataset: DatasetArgs,

    /// Descend into subfolders.
    #[arg(short, long, hide_short_help = true, help_heading = "Dataset")]
    pub(crate) recursive: bool,

    #[command(flatten)]
    pub(crate) input: InputArgs,

    #[command(flatten)]
    pub(crate) thresholds: ThresholdArgs,

    /// Timed runs of each side, at least; each image is one.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(3..=100_000), help_heading = "Performance")]
    pub(crate) runs: u32,

    /// Write all numbers as JSON; `-` is stdout, which the summary then leaves to it.
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,

    /// Write report.html, compare.json and images of what differs into this folder.
    #[arg(short, long, value_name = "FOLDER", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,

    /// Write into an output folder that is not empty, replacing files of the same name.
    #[arg(long, hide_short_help = true, help_heading = "Output")]
    pub(crate) exist_ok: bool,

    /// How many images are drawn in the output folder, those that differ most.
    #[arg(long, value_name = "N", default_value_t = 12, hide_short_help = true, help_heading = "Output")]
    pub(crate) examples: usize,

    #[command(flatten)]
    pub(crate) runtime: RuntimeArgs,
}

impl CompareArgs {
    pub(crate) fn sides(&self) -> Vec<&SideArg> {
        [&self.a, &self.b].into_iter().chain(&self.others).collect()
    }
}

/// A model or config, then options of its own: `best.pt,config=my.yaml,imgsz=320,device=openvino,precision=bf16`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SideArg {
    /// As it was typed.
    pub(crate) text: String,
    pub(crate) model: ModelArgs,
    pub(crate) imgsz: Option<Size>,
    pub(crate) dysample: Option<DySampleBackend>,
    pub(crate) device: Option<Device>,
    pub(crate) precision: Option<Precision>,
}

impl SideArg {
    /// The options of the command with those of this side.
    pub(crate) fn runtime(&self, common: &RuntimeArgs) -> RuntimeArgs {
        let mut runtime = common.clone();
        runtime.device = self.device.map_or(runtime.device, DeviceArg::Fixed);
        runtime.engine.dysample = self.dysample.unwrap_or(runtime.engine.dysample);
        if self.precision.is_some() {
            (runtime.precision, runtime.half) = (self.precision, false);
        }
        runtime
    }

    /// As [`SideArg::runtime`].
    pub(crate) fn input(&self, common: &InputArgs) -> InputArgs {
        InputArgs { imgsz: self.imgsz.or(common.imgsz), ..common.clone() }
    }
}

impl std::str::FromStr for SideArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let model = ModelArgs::of(parts.next().unwrap_or_default());
        let mut side = Self { text: text.into(), model, imgsz: None, dysample: None, device: None, precision: None };
        let mut seen = Vec::new();
        for part in parts {
            let option = part.split_once('=');
            if let Some((name, _)) = option {
                if seen.contains(&name) {
                    return Err(format!("{name}= is there twice"));
                }
                seen.push(name);
            }
            match option {
                Some(("config", value)) => side.model.config = Some(value.into()),
                Some(("names", value)) => side.model.names = Some(NamesArg::from(value)),
                Some(("imgsz", value)) => side.imgsz = Some(parse_size(value)?),
                Some(("device", value)) => side.device = Some(value.parse::<Device>().map_err(|e| e.to_string())?),
                Some(("precision", value)) => side.precision = Some(parse_precision(value)?),
                Some(("dysample", "native")) => side.dysample = Some(DySampleBackend::Native),
                Some(("dysample", "onnx")) => side.dysample = Some(DySampleBackend::Onnx),
                _ => {
                    return Err(format!(
                        "`{part}` is no option of a side; expected config=FILE, names=FILE, imgsz=SIZE, device=DEVICE, \
                         precision=f32|bf16|f16|int8, dysample=native or dysample=onnx"
                    ));
                }
            }
        }
        Ok(side)
    }
}

/// What `compare` and `bench` ask a process of its own.
#[derive(Debug, Args)]
pub(crate) struct MemoryArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) runtime: RuntimeArgs,

    #[command(flatten)]
    pub(crate) input: InputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Model file, embedded model or released weights; or a config (a YAML file or a built-in name), which gets random
    /// weights: time does not depend on them.
    #[arg(value_name = "MODEL|CONFIG", default_value = embedded::MODELS[0].name)]
    pub(crate) model: String,

    /// Another one, interleaved with the first: ends with a table of both and the ratio of their times, on one thread unless
    /// --threads says otherwise. With several threads, two sessions of one network can differ by a fifth for as long as they
    /// live. May be given more than once, for a table of all.
    #[arg(long, value_name = "MODEL|CONFIG")]
    pub(crate) vs: Vec<String>,

    /// With --vs: print a ratio even if the two networks' inputs differ in size.
    #[arg(long, requires = "vs")]
    pub(crate) different_sizes: bool,

    /// The image to run; by default the embedded sample image.
    #[arg(long, value_name = "IMAGE", help_heading = "Input")]
    pub(crate) image: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) input: InputArgs,

    /// Runs that are measured; a fifth as many warm up.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(3..=100_000))]
    pub(crate) runs: u32,

    /// Measure the throughput with this batch size too: that many copies of the image in one run.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=1024))]
    pub(crate) batch: Option<u16>,

    /// Also with each of these numbers of threads, one after the other.
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) sweep: Vec<u16>,

    /// Also the time of each layer, by ONNX Runtime's profiler.
    #[arg(long)]
    pub(crate) layers: bool,

    /// Where inference runs, as for `yolo9 detect`. Several, with commas between them, give a table.
    #[arg(long, value_name = "DEVICE,…", value_delimiter = ',', default_value = "cpu", help_heading = "Performance")]
    pub(crate) device: Vec<DeviceArg>,

    /// Numbers of the convolutions, as for `yolo9 detect`. Several, with commas between them, give a table.
    #[arg(long, value_name = "f32|bf16|f16|int8,…", value_delimiter = ',', value_parser = parse_precision, help_heading = "Performance")]
    pub(crate) precision: Vec<Precision>,

    /// As `--precision f16`, as in other tools.
    #[arg(long, hide = true, conflicts_with = "precision")]
    pub(crate) half: bool,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,

    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl BenchArgs {
    /// The options of all devices with all precisions.
    pub(crate) fn runtimes(&self) -> Vec<RuntimeArgs> {
        let precisions: Vec<Option<Precision>> = self.precision.iter().copied().map(Some).collect();
        let precisions = if precisions.is_empty() { vec![None] } else { precisions };
        let of_both = |device: DeviceArg, precision| {
            let (half, engine) = (self.half, self.engine.clone());
            RuntimeArgs { device, precision, half, engine }
        };
        self.device.iter().flat_map(|device| precisions.iter().map(|precision| of_both(*device, *precision))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_have_options_of_their_own() {
        let side: SideArg = "best.pt,config=my.yaml,imgsz=320,dysample=onnx".parse().unwrap();
        assert_eq!((side.model.weights.as_str(), side.model.config.as_deref()), ("best.pt", Some("my.yaml")));
        assert_eq!((side.imgsz, side.dysample), (Some(Size::square(320)), Some(DySampleBackend::Onnx)));
        let side: SideArg = "a.onnx,device=openvino,precision=bf16".parse().unwrap();
        assert_eq!(side.device, Some("openvino".parse().unwrap()));
        assert_eq!(side.precision, Some(Precision::Bf16));
        assert_eq!("a".parse::<SideArg>().unwrap().imgsz, None);
        for wrong in ["a,b", "a,dysample=fast", "a,imgsz=x", "a,device=tpu", "a,precision=f8", "a,imgsz=64,imgsz=96"] {
            assert!(wrong.parse::<SideArg>().is_err(), "{wrong}");
        }
    }
}

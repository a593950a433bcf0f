//! `yolo9 export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use yolo9::architecture::Form;
use yolo9::config::class_names_from_file;
use yolo9::graph::{ExportOptions, Suppression, export};
use yolo9::onnx::Opset;
use yolo9::output::write_atomically;
use yolo9::{Size, config_of, placeholder_names, weights};

use crate::Outcome;
use crate::args::{Globals, parse_share, parse_size};
use crate::model::{check_output, open_config};
use crate::weights::{open_weights, provenance};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Checkpoint, or embedded model.
    #[arg(value_name = "FILE|NAME")]
    input: String,

    /// The file to write.
    #[arg(short, long, value_name = "FILE.onnx")]
    output: PathBuf,

    /// Architecture, if not that of the checkpoint: a YAML file, or a built-in name.
    #[arg(long, value_name = "FILE|NAME")]
    config: Option<String>,

    /// Class names, if not those of the checkpoint: a data YAML with `names:`, or one name per line.
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,

    /// Size of the input: one side, or height and width (640, 480 640, 480x640), multiples of the stride; where it is left
    /// free, what the file recommends.
    #[arg(long, alias = "img", value_name = "SIZE", value_parser = parse_size, default_value = "640")]
    imgsz: Size,

    /// Pictures of one run [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: Option<u16>,

    /// Leave the number of pictures, their size, or both to each run.
    #[arg(
        long,
        value_enum,
        value_name = "batch|size|all",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "all"
    )]
    dynamic: Option<Free>,

    /// Version of the standard operators, 16 to 20.
    #[arg(long, value_name = "N", default_value_t = Opset::default().number(), value_parser = parse_opset)]
    opset: i64,

    /// Weights and feature maps in f16; inputs, outputs and coordinates stay f32.
    #[arg(long)]
    half: bool,

    /// Suppress overlapping boxes inside the file: it gives `boxes`, `scores` and `classes` of detections.
    #[arg(long)]
    nms: bool,

    /// With --nms: least confidence.
    #[arg(long, value_name = "0..1", value_parser = parse_share, default_value = "0.25", requires = "nms")]
    conf: f32,

    /// With --nms: largest overlap of two boxes of one class.
    #[arg(long, value_name = "0..1", value_parser = parse_share, default_value = "0.45", requires = "nms")]
    iou: f32,

    /// With --nms: most detections of one picture.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=30_000), requires = "nms")]
    max_det: u32,

    /// With --nms: boxes of different classes suppress each other too.
    #[arg(long, requires = "nms")]
    agnostic: bool,

    /// DySample in standard operators, which every runtime knows, or as one node with these as its body, which yolo9
    /// runs on its own operator.
    #[arg(long, value_enum, value_name = "inline|function", default_value_t = DySampleForm::Inline)]
    dysample: DySampleForm,

    /// Replace an existing file.
    #[arg(long)]
    exist_ok: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Free {
    Batch,
    Size,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DySampleForm {
    Inline,
    Function,
}

fn parse_opset(text: &str) -> Result<i64, String> {
    let (first, last) = (Opset::SUPPORTED.start(), Opset::SUPPORTED.end());
    let number = text.parse().ok().filter(|number| Opset::new(*number).is_some());
    number.ok_or_else(|| format!("`{text}` is not an operator set from {first} (the first with GridSample) to {last}"))
}

impl ExportArgs {
    fn options(&self) -> ExportOptions {
        let free = |what: Free| self.dynamic.is_some_and(|dynamic| dynamic == what || dynamic == Free::All);
        let suppression = Suppression {
            confidence: self.conf,
            iou: self.iou,
            max_detections: self.max_det as usize,
            agnostic: self.agnostic,
        };
        ExportOptions {
            batch: (!free(Free::Batch)).then(|| self.batch.map_or(1, usize::from)),
            size: (!free(Free::Size)).then_some(self.imgsz),
            usual_size: self.imgsz,
            opset: Opset::new(self.opset).unwrap_or_default(),
            half: self.half,
            suppression: self.nms.then_some(suppression),
            dysample_function: self.dysample == DySampleForm::Function,
        }
    }
}

pub(crate) fn run(args: &ExportArgs, globals: &Globals) -> anyhow::Result<Outcome> {
    let inputs = [args.input.as_str(), args.config.as_deref().unwrap_or_default()];
    check_output(&args.output, "onnx", args.exist_ok, &inputs)?;
    let options = args.options();
    if options.batch.is_none() && args.batch.is_some() {
        anyhow::bail!("--batch: the number of pictures is left free by --dynamic; fix it, or leave it free");
    }
    let config = args.config.as_deref().map(open_config).transpose()?;
    let names = args.names.as_deref().map(class_names_from_file).transpose()?;
    let checkpoint = open_weights(&args.input, globals)?;
    let config = config_of(&checkpoint, config.as_ref())?;
    let (architecture, weights) = weights::bind(&config, &checkpoint)?;
    let classes = architecture.head().classes;
    let names = names.or_else(|| checkpoint.metadata().class_names.clone());
    let names = names.unwrap_or_else(|| {
        log::warn!("{} carries no class names; give them with --names", args.input);
        placeholder_names(classes)
    });
    if names.len() != classes {
        anyhow::bail!("{} class names for {classes} classes; expected one name per class (--names)", names.len());
    }
    let (source, hash) = provenance(&args.input, globals)?;
    let notes =
        [("source", source), ("source_sha256", hash), ("description", "YOLOv9 detector, exported by yolo9".into())];
    let notes = notes.map(|(key, value)| (key.to_owned(), value));
    let proto = export(&architecture, weights, &options, &names, &notes)?;
    let bytes = prost::Message::encode_to_vec(&proto);
    write_atomically(&args.output, &bytes)?;
    let cost = architecture.cost(args.imgsz, Form::Deployed)?;
    log::info!(
        "{}: operator set {}, {:.2} M parameters, {} bytes",
        args.output.display(),
        args.opset,
        cost.parameters as f64 / 1e6,
        bytes.len()
    );
    Ok(Outcome::Done)
}

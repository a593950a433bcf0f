//! `yolo9 export`.

use yolo9::architecture::{Architecture, Form};
use yolo9::config::ModelConfig;
use yolo9::detect::NmsOptions;
use yolo9::graph::{ExportOptions, export};
use yolo9::model::placeholder_names;
use yolo9::onnx::Opset;
use yolo9::output::write_atomically;
use yolo9::weights;

use crate::cli::{DySampleForm, ExportArgs, FreeAxes, Globals};
use crate::exit::ExitStatus;
use crate::model::{BoundNetwork, is_config, open_config, open_names, output_path};
use crate::weights::open_weights;

fn options(args: &ExportArgs) -> ExportOptions {
    let free = |axes: FreeAxes| args.dynamic.is_some_and(|dynamic| dynamic == axes || dynamic == FreeAxes::All);
    let nms = NmsOptions::default()
        .iou_threshold(args.iou)
        .max_detections(args.max_det as usize)
        .class_agnostic(args.agnostic);
    ExportOptions::default()
        .batch((!free(FreeAxes::Batch)).then(|| args.batch.map_or(1, usize::from)))
        .size((!free(FreeAxes::Size)).then_some(args.imgsz))
        .usual_size(args.imgsz)
        .opset(Opset::new(args.opset).unwrap_or_default())
        .half(args.half)
        .nms(args.nms.then_some(nms))
        .confidence_threshold(args.conf)
        .dysample_function(args.dysample == DySampleForm::Function)
}

fn open(args: &ExportArgs, globals: &Globals) -> anyhow::Result<BoundNetwork> {
    if args.random_weights {
        return random(&open_config(&args.input)?);
    }
    anyhow::ensure!(
        !is_config(&args.input),
        "{}: a config has no weights; give a checkpoint and --config {0}, or --random-weights to time the design",
        args.input
    );
    let config = args.config.as_deref().map(open_config).transpose()?;
    BoundNetwork::of(&open_weights(&args.input, globals)?, &args.input, config.as_ref(), globals)
}

fn random(config: &ModelConfig) -> anyhow::Result<BoundNetwork> {
    let architecture = Architecture::new(config)?;
    let weights = weights::random(&architecture, 1);
    let notes = vec![("source".to_owned(), format!("{} with random weights", config.name))];
    Ok(BoundNetwork { architecture, weights, stored_names: None, notes })
}

pub(crate) fn run(args: &ExportArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    let inputs = [args.input.as_str(), args.config.as_deref().unwrap_or_default()];
    let output = output_path(args.output.as_deref(), &["onnx"], args.exist_ok, &inputs)?;
    let options = options(args);
    if options.batch.is_none() && args.batch.is_some() {
        anyhow::bail!("--batch: the batch size is made dynamic by --dynamic; fix it, or leave it dynamic");
    }
    let names = args.names.as_ref().map(open_names).transpose()?;
    let network = open(args, globals)?;
    let names = network.class_names(names)?.unwrap_or_else(|| {
        log::warn!("{} carries no class names; give them with --names", args.input);
        placeholder_names(network.architecture.head().classes)
    });
    let BoundNetwork { architecture, weights, mut notes, .. } = network;
    notes.push(("description".into(), "YOLOv9 detector, exported by yolo9".into()));
    let proto = export(&architecture, weights, &options, &names, &notes)?;
    let bytes = prost::Message::encode_to_vec(&proto);
    write_atomically(&output, &bytes)?;
    let cost = architecture.cost(args.imgsz, Form::Deployed)?;
    log::info!(
        "{}: opset {}, {:.2} M parameters, {} bytes",
        output.display(),
        args.opset,
        cost.parameters as f64 / 1e6,
        bytes.len()
    );
    Ok(ExitStatus::Done)
}

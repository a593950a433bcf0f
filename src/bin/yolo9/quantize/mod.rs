//! `yolo9 quantize`.

mod effect;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use indicatif::ProgressBar;
use ndarray::Array4;
use serde_json::json;
use yolo9::config::ModelConfig;
use yolo9::detect::{DetectorOptions, Engine, Prepared, Preset};
use yolo9::evaluate::Dataset;
use yolo9::graph::{self, ExportOptions, QuantisableConvolution, Quantisation, export};
use yolo9::image::{Image, ImageLimits, InputShape, LetterboxOptions};
use yolo9::model::{ModelFile, placeholder_names};
use yolo9::onnx::{OnnxFile, Opset, StringStringEntryProto};
use yolo9::output::write_atomically;
use yolo9::quantise::{RangeMethod, ranges, sensitivities};
use yolo9::runtime::{OrtBackend, Precision, Runtime, processor};
use yolo9::{Model, Size};

use crate::cli::{Globals, QuantizeArgs};
use crate::console::{print_line, say};
use crate::exit::ExitStatus;
use crate::interrupt::Interrupt;
use crate::model::{BoundNetwork, open_config, open_names, output_path};
use crate::report::{counted, progress_bar};
use crate::run::sources::{self, Source};
use crate::weights::open_file;
use crate::{devices, options};

/// Of all noise: a convolution that alone makes more stays f32.
const LARGEST_SHARE: f64 = 0.05;
/// Images for calibration, below which ranges are a matter of luck.
const FEW: usize = 16;

pub(crate) fn run(args: &QuantizeArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    let config = args.config.as_deref().map(open_config).transpose()?;
    let subject = subject(args, config.as_ref(), globals)?;
    let names = args.names.as_ref().map(open_names).transpose()?;
    let class_names =
        subject.class_names(names)?.unwrap_or_else(|| placeholder_names(subject.architecture.head().classes));
    let default = format!("{}-int8.onnx", Path::new(&args.input).file_stem().unwrap_or_default().to_string_lossy());
    let output = args.output.as_deref().unwrap_or(Path::new(&default));
    let inputs = [args.input.as_str(), args.config.as_deref().unwrap_or_default()];
    let output = output_path(Some(output), &["onnx"], args.exist_ok, &inputs)?;
    let open = |data: &Path| Dataset::open(data, &args.split, None);
    let dataset = args.data.as_deref().map(open).transpose()?;
    let (device, session) = (devices::device(&args.runtime), options::session(&args.runtime));
    let runtime = devices::runtime_for(
        &args.runtime,
        globals,
        &[Precision::F32, Precision::Int8].map(|precision| (device, precision)),
    )?;
    let before = Model::new(&args.input, open_file(&args.input, globals)?, config.as_ref(), None)?;
    let backend = before.clone().into_sessions(&runtime, &session, 1)?.remove(0);
    let interrupt = Interrupt::install()?;
    let letterbox = LetterboxOptions::new(
        args.imgsz,
        subject.architecture.stride(),
        InputShape::Square,
        Preset::default().box_rescaling(),
    );
    let images = images(args, globals)?;
    let mut engine = Engine::new(backend, DetectorOptions::new(letterbox, Preset::default().postprocess()));
    warn_of_strange_images(&args.input, &mut engine, &images)?;
    let tensor = |image: &Image| Prepared::new(&image.pixels, &letterbox).tensor().to_owned();
    let tensors: Vec<Array4<f32>> = images.iter().map(tensor).collect();
    let work = Work { args, globals, runtime: &runtime, interrupt: &interrupt };
    let Some(quantisation) = work.quantisation(&subject, &tensors)? else {
        say!("Interrupted: nothing is written");
        return Ok(ExitStatus::Interrupted);
    };
    let (bytes, [integers, real]) = exported(args, subject, &class_names, quantisation)?;
    write_atomically(&output, &bytes)?;
    let shown = output.display().to_string();
    let file = OnnxFile::from_bytes(&shown, bytes)?;
    let length = file.bytes.len();
    say!("{shown}: {length} bytes");
    let after = Model::new(&shown, ModelFile::Exported(file), None, None)?;
    let effect = match dataset {
        Some(dataset) => work.accuracy(before, after, &dataset)?,
        None => Some(work.changes(engine, after, &images)?),
    };
    let Some(effect) = effect else {
        say!("Interrupted: the file is written, its accuracy was not measured");
        return Ok(ExitStatus::Interrupted);
    };
    if args.json {
        let file = json!({ "path": shown, "bytes": length, "int8": integers, "f32": real, "images": images.len() });
        print_line!("{:#}", json!({ "file": file, "effect": effect.json() }));
    } else {
        effect.print()?;
    }
    Ok(ExitStatus::Done)
}

/// Ranges of images on which nothing is found are not those that the network will see.
fn warn_of_strange_images(name: &str, engine: &mut Engine<OrtBackend>, images: &[Image]) -> anyhow::Result<()> {
    for image in images {
        if !engine.detect(&image.pixels)?.detections.is_empty() {
            return Ok(());
        }
    }
    log::warn!("{name} finds nothing on the images for calibration: they are not of the kind that it was trained on");
    Ok(())
}

fn subject(args: &QuantizeArgs, config: Option<&ModelConfig>, globals: &Globals) -> anyhow::Result<BoundNetwork> {
    anyhow::ensure!(
        matches!(devices::precision(&args.runtime), None | Some(Precision::F32)),
        "--precision: this command goes from f32 to int8; leave it out"
    );
    if let Some(output) = &args.output {
        anyhow::ensure!(output.extension().is_some(), "-o {}: expected a name that ends in .onnx", output.display());
    }
    let checkpoint = match open_file(&args.input, globals)? {
        ModelFile::Checkpoint(checkpoint) => checkpoint,
        ModelFile::Exported(file) if file.is_quantised() => {
            anyhow::bail!("{}: is quantised already; give the checkpoint that it was made from", args.input)
        }
        ModelFile::Exported(_) => {
            anyhow::bail!(
                "{}: is an ONNX file, a finished network; give the checkpoint that it was exported from",
                args.input
            )
        }
    };
    let subject = BoundNetwork::of(&checkpoint, &args.input, config, globals)?;
    let architecture = &subject.architecture;
    let stride = architecture.stride();
    let Size { width, height } = args.imgsz;
    anyhow::ensure!(
        width.is_multiple_of(stride) && height.is_multiple_of(stride),
        "--imgsz {}: both sides must be multiples of the stride {stride}",
        args.imgsz
    );
    for layer in &args.keep {
        let layers = architecture.layers().len();
        anyhow::ensure!(*layer < layers, "--keep {layer}: the network has the layers 0 to {}", layers - 1);
    }
    Ok(subject)
}

/// Images for calibration, evenly from all that there are; what cannot be read is said and left out.
fn images(args: &QuantizeArgs, globals: &Globals) -> anyhow::Result<Vec<Image>> {
    let options = sources::Options {
        recursive: true,
        videos: false,
        listings: false,
        out: Path::new("."),
        offline: globals.is_offline(),
    };
    let found = sources::expand(&args.images, options);
    found.failed.iter().for_each(|(input, reason)| log::warn!("{input}: {reason}"));
    let all: Vec<&Source> = found.images.iter().filter(|source| source.video().is_none()).collect();
    let count = all.len().min(args.count as usize);
    let mut images = Vec::with_capacity(count);
    for source in (0..count).map(|n| all[n * all.len() / count]) {
        match source.open(&ImageLimits::default()) {
            Ok(image) => images.push(image),
            Err(failure) => log::warn!("{}: {}; it is left out", source.name(), failure.reason),
        }
    }
    anyhow::ensure!(
        !images.is_empty(),
        "--images: no image to calibrate on can be read in {}",
        args.images.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    );
    log::info!("Calibrating on {}", counted(images.len(), "image"));
    if images.len() < FEW {
        log::warn!(
            "{} to calibrate on: ranges of so few are a matter of luck; give --images some hundred of the kind that the \
             network will see",
            counted(images.len(), "image")
        );
    }
    Ok(images)
}

/// What all steps have in common.
struct Work<'a> {
    args: &'a QuantizeArgs,
    globals: &'a Globals,
    runtime: &'a Runtime,
    interrupt: &'a Interrupt,
}

impl Work<'_> {
    fn bar(&self, length: usize, message: &'static str) -> ProgressBar {
        let bar = progress_bar(length, self.globals.quiet);
        bar.set_message(message);
        bar
    }

    /// What is computed in integers; nothing if somebody asked to stop.
    fn quantisation(&self, subject: &BoundNetwork, inputs: &[Array4<f32>]) -> anyhow::Result<Option<Quantisation>> {
        let BoundNetwork { architecture, weights, .. } = subject;
        let threads = options::session(&self.args.runtime).threads;
        let model = graph::build(architecture, weights.clone(), Opset::new(self.args.opset).unwrap_or_default());
        let all = model.quantisable(architecture);
        let wanted = all.iter().filter(|convolution| !self.args.keep.contains(&convolution.layer));
        let convolutions: BTreeSet<String> = wanted.map(|convolution| convolution.node.clone()).collect();
        anyhow::ensure!(!convolutions.is_empty(), "--keep: no convolution is left to quantise");
        let names: BTreeSet<String> =
            all.iter().flat_map(|convolution| [convolution.input.clone(), convolution.output.clone()]).collect();
        let method = self.args.calibration;
        let passes = if method == RangeMethod::MinMax { 1 } else { 2 };
        let bar = self.bar(passes * inputs.len(), "calibration");
        let go_on = || {
            bar.inc(1);
            !self.interrupt.requested()
        };
        let ranges = ranges(self.runtime, &model, &names, inputs, (method, threads), go_on)?;
        bar.finish_and_clear();
        if self.interrupt.requested() {
            return Ok(None);
        }
        let weight_bits = if self.args.full_range { 8 } else { 7 };
        if self.args.full_range && !processor::has_int8_dot_product() {
            log::warn!(
                "--full-range: this processor has no VNNI: sums of the file overflow on it, here and in the sensitivity pass; \
                 it is for others"
            );
        }
        let mut quantisation = Quantisation { ranges, convolutions, weight_bits };
        let tried = &inputs[..inputs.len().min(self.args.sensitivity as usize)];
        if !tried.is_empty() {
            let bar = self.bar(all.len(), "sensitivity");
            let noise = sensitivities(self.runtime, &model, (&all, &quantisation), tried, threads, || {
                bar.inc(1);
                !self.interrupt.requested()
            })?;
            bar.finish_and_clear();
            if self.interrupt.requested() {
                return Ok(None);
            }
            keep_loud(&mut quantisation, &all, &noise);
        }
        let has_dysample = architecture.main_steps().any(|step| step.operation.as_dysample().is_some());
        let loud = all.len() - quantisation.convolutions.len();
        log::info!(
            "{} on 8-bit integers; in f32: {loud} of those that could be, the last ones of the head{}",
            counted(quantisation.convolutions.len(), "convolution"),
            if has_dysample { ", and DySample" } else { "" }
        );
        Ok(Some(quantisation))
    }
}

/// Leaves those in f32 that alone make much of the noise.
fn keep_loud(quantisation: &mut Quantisation, all: &[QuantisableConvolution], noise: &[f64]) {
    let total: f64 = noise.iter().sum();
    let loud = all.iter().zip(noise).filter(|(_, noise)| **noise > LARGEST_SHARE * total);
    for (convolution, noise) in loud {
        if quantisation.convolutions.remove(&convolution.node) {
            log::info!("{} stays f32: {:.0} % of the noise", convolution.node, 100.0 * noise / total);
        }
    }
}

/// The file, and the names of the convolutions that compute in integers, and of the others.
fn exported(
    args: &QuantizeArgs,
    subject: BoundNetwork,
    class_names: &[String],
    quantisation: Quantisation,
) -> anyhow::Result<(Vec<u8>, [Vec<String>; 2])> {
    let BoundNetwork { architecture, weights, mut notes, .. } = subject;
    let quantised = quantisation.convolutions.clone();
    notes.push(("description".into(), "YOLOv9 detector on 8-bit integers, quantised by yolo9".into()));
    let options = ExportOptions::default()
        .batch(args.fixed.then_some(1))
        .size(args.fixed.then_some(args.imgsz))
        .usual_size(args.imgsz)
        .opset(Opset::new(args.opset).unwrap_or_default())
        .quantisation(Some(quantisation));
    let mut proto = export(&architecture, weights, &options, class_names, &notes).context("quantised file")?;
    let nodes = proto.graph.iter().flat_map(|graph| &graph.node);
    let convolutions = nodes.filter(|node| node.op_type.as_deref() == Some("Conv"));
    let names = convolutions.filter_map(|node| node.name.clone());
    let (integers, real): (Vec<String>, Vec<String>) = names.partition(|name| quantised.contains(name));
    // What `info` shows.
    let counts = format!("{} of {} convolutions on 8-bit integers", integers.len(), integers.len() + real.len());
    let entries = [("int8", counts), ("f32", real.join(", "))];
    proto
        .metadata_props
        .extend(entries.map(|(key, value)| StringStringEntryProto { key: Some(key.into()), value: Some(value) }));
    Ok((prost::Message::encode_to_vec(&proto), [integers, real]))
}

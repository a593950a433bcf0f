//! `yolo9 detect`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use yolo9::Size;
use yolo9::detect::{Detector, Preset, Settings, Thresholds};
use yolo9::output::{PictureResult, Style, annotate, encode_picture, write_atomically, yolo_lines};
use yolo9::picture::{Fit, InputShape, Picture, ScaleBack};
use yolo9::runtime::Runtime;

use crate::Outcome;
use crate::args::{Globals, ModelArgs, RuntimeArgs, parse_share, parse_size};
use crate::console::say;
use crate::interrupt::Interrupt;
use crate::model::{self, Loaded};
use crate::outputs::{JsonOutput, LABELS, RUNS, RunFolder};
use crate::report::Report;
use crate::sources::{self, Source};

#[derive(Debug, Args)]
pub(crate) struct DetectArgs {
    /// Pictures, folders, quoted patterns ('a/**/*.jpg'), .txt lists of paths, http(s) addresses, or - for paths (or one
    /// picture) on stdin; without any, the embedded sample picture.
    #[arg(value_name = "PICTURE|FOLDER|PATTERN|LIST|URL|-")]
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

    /// Write no pictures.
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

    /// Write the detections of all pictures as a JSON array; `-` is stdout.
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,

    /// Write a YOLO label file for each picture with detections (labels/… in the output folder).
    #[arg(long)]
    txt: bool,

    /// With the confidence as last number of each line of --txt.
    #[arg(long, requires = "txt")]
    save_conf: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PresetArg {
    Yolov9,
    Ultralytics,
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
    let loaded = model::load(&args.model, globals)?;
    let settings = settings(args, &loaded)?;
    let class_names = loaded.class_names().to_vec();
    let runtime = Runtime::load(&args.runtime.library(globals))?;
    log::debug!("ONNX Runtime: {}", runtime.library().path.display());
    let model = loaded.into_model(&runtime, &args.runtime.session())?;
    let mut detector = Detector::new(model, settings);
    // Places for results before the first picture, so that a wrong path costs no work; and after everything else that
    // can go wrong, so that a run that cannot start leaves no folder.
    let mut run = Run::create(&args.output)?;

    run.refuse_to_replace(&sources.pictures)?;
    // Until here Ctrl-C ends the program at once: there is nothing to finish.
    let interrupt = Interrupt::install()?;

    let total = sources.pictures.len() + sources.failed.len();
    let json_on_stdout = args.output.json.as_deref() == Some(Path::new("-"));
    let mut report = Report::new(total, globals.quiet, json_on_stdout);
    for (path, reason) in &sources.failed {
        report.failure(&path.display().to_string(), reason);
    }
    let max_pixels = args.max_megapixels * 1_000_000;
    let mut interrupted = false;
    for source in &sources.pictures {
        if interrupt.requested() {
            interrupted = true;
            break;
        }
        let name = source.name();
        let searched = source.open(max_pixels).and_then(|picture| {
            let found = detector.detect(&picture.pixels).map_err(|error| error.to_string())?;
            Ok((picture, found))
        });
        let (picture, found) = match searched {
            Ok(searched) => searched,
            Err(reason) => {
                report.failure(&name, &reason);
                continue;
            }
        };
        let result = PictureResult {
            source: &name,
            size: picture.size(),
            input: found.input,
            detections: &found.detections,
            class_names: &class_names,
        };
        report.picture(&result, &found);
        run.write(&source.relative, picture, &result, &mut report)?;
    }
    report.finish(interrupted);
    run.finish(globals.quiet)?;
    Ok(match (interrupted, report.failed()) {
        (true, _) => Outcome::Interrupted,
        (false, 0) => Outcome::Done,
        (false, _) => Outcome::SomeFailed,
    })
}

fn no_pictures(args: &DetectArgs, failed: &[(PathBuf, String)]) -> Outcome {
    for (path, reason) in failed {
        say!("error: {}: {reason}", path.display());
    }
    if failed.len() == args.inputs.len() {
        return Outcome::NoInput;
    }
    let inputs: Vec<_> = args.inputs.iter().map(|input| input.display().to_string()).collect();
    let hint = if args.recursive { "" } else { "; --recursive also searches the folders below" };
    say!("error: no picture found in {}{hint}", inputs.join(", "));
    Outcome::NoInput
}

fn settings(args: &DetectArgs, model: &Loaded) -> anyhow::Result<Settings> {
    let preset = match args.preset {
        PresetArg::Yolov9 => Preset::Yolov9,
        PresetArg::Ultralytics => Preset::Ultralytics,
    };
    if model.suppresses() && (args.iou.is_some() || args.agnostic) {
        log::warn!("the model was exported with suppression of overlaps: --iou and --agnostic change nothing");
    }
    let fit = fit(args, model, preset.scale_back())?;
    let defaults = preset.thresholds();
    let classes = args.classes.as_deref().map(|wanted| class_ids(wanted, model.class_names())).transpose()?;
    let thresholds = Thresholds {
        confidence: args.conf.unwrap_or(defaults.confidence),
        iou: args.iou.unwrap_or(defaults.iou),
        max_detections: args.max_det.map_or(defaults.max_detections, |n| n as usize),
        agnostic: args.agnostic,
        classes,
    };
    Ok(Settings { fit, thresholds })
}

/// Where pictures go in the network's input.
fn fit(args: &DetectArgs, model: &Loaded, scale_back: ScaleBack) -> anyhow::Result<Fit> {
    let shape = if args.square { InputShape::Full } else { InputShape::Rectangular };
    if let Some(fixed) = model.fixed_size() {
        if let Some(asked) = args.imgsz.filter(|asked| *asked != fixed) {
            anyhow::bail!(
                "--imgsz {}x{}: {} was exported for inputs of {}x{} (height x width) only",
                asked.height,
                asked.width,
                args.model.weights,
                fixed.height,
                fixed.width
            );
        }
        return Ok(Fit { target: fixed, stride: model.stride(), shape: InputShape::Full, scale_back });
    }
    let asked = args.imgsz.or(model.preferred_size()).unwrap_or(Size::square(640));
    let fit = Fit::new(asked, model.stride(), shape, scale_back);
    if fit.target != asked {
        log::warn!("--imgsz {asked} is rounded up to {}, a multiple of the stride {}", fit.target, fit.stride);
    }
    Ok(fit)
}

/// Ids of classes given by name (in any case) or id.
fn class_ids(wanted: &[String], names: &[String]) -> anyhow::Result<Vec<usize>> {
    let id_of = |wanted: &String| {
        let wanted = wanted.trim();
        let by_name = names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
        by_name.or_else(|| wanted.parse().ok().filter(|id| *id < names.len())).with_context(|| {
            let nearest = yolo9::config::nearest_name(wanted, names.iter().map(String::as_str));
            let hint = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            let known = names.iter().take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("--classes {wanted}: no such class{hint} (there are {}, beginning with {known})", names.len())
        })
    };
    wanted.iter().map(id_of).collect()
}

/// The places that results go to.
struct Run<'a> {
    args: &'a OutputArgs,
    folder: Option<RunFolder>,
    json: Option<JsonOutput>,
    labels: usize,
}

impl<'a> Run<'a> {
    fn create(args: &'a OutputArgs) -> anyhow::Result<Self> {
        let needs_folder = !args.no_draw || args.txt || args.out.is_some();
        if let Some(path) = &args.json {
            JsonOutput::check(path, args.out.as_deref(), args.exist_ok)?;
        }
        let folder = needs_folder.then(|| RunFolder::create(args.out.as_deref(), args.exist_ok)).transpose()?;
        let json = args.json.as_deref().map(JsonOutput::create).transpose()?;
        Ok(Self { args, folder, json, labels: 0 })
    }

    /// With --exist-ok a result could land on the picture that it was made from.
    fn refuse_to_replace(&self, pictures: &[Source]) -> anyhow::Result<()> {
        if !self.args.exist_ok {
            return Ok(());
        }
        let json = self.args.json.as_deref().and_then(|path| path.canonicalize().ok());
        for source in pictures {
            let Some(original) = source.path().and_then(|path| path.canonicalize().ok()) else { continue };
            let drawn = self.folder.as_ref().and_then(|f| f.path().join(&source.relative).canonicalize().ok());
            if [&drawn, &json].into_iter().flatten().any(|target| *target == original) {
                anyhow::bail!("{} would be replaced by its own result; choose another --out or --json", source.name());
            }
        }
        Ok(())
    }

    /// Everything that is written of one picture. A file that cannot be written is reported; the run goes on.
    fn write(
        &mut self,
        relative: &Path,
        picture: Picture,
        result: &PictureResult<'_>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        if let Some(json) = &mut self.json {
            json.push(result).context("the JSON output cannot be written")?;
        }
        if let Err(error) = self.write_files(relative, picture, result) {
            report.problem(result.source, &format!("{error:#}"));
        }
        Ok(())
    }

    fn write_files(&mut self, relative: &Path, picture: Picture, result: &PictureResult<'_>) -> anyhow::Result<()> {
        let Some(folder) = &mut self.folder else { return Ok(()) };
        let place = folder.claim(relative, self.args.txt);
        if self.args.txt && !result.detections.is_empty() {
            let path = folder.path().join(LABELS).join(place.with_extension("txt"));
            write_atomically(&path, yolo_lines(result, self.args.save_conf).as_bytes())?;
            self.labels += 1;
        }
        if !self.args.no_draw {
            let Picture { mut pixels, format } = picture;
            let OutputArgs { line_width, hide_labels, hide_conf, .. } = *self.args;
            annotate(&mut pixels, result, &Style { line_width, hide_labels, hide_confidence: hide_conf });
            write_atomically(&folder.path().join(place), &encode_picture(&pixels, format)?)?;
        }
        Ok(())
    }

    fn finish(self, quiet: bool) -> anyhow::Result<()> {
        if let Some(json) = self.json {
            json.finish()?;
        }
        if let (Some(folder), false) = (&self.folder, quiet) {
            say!("Results saved to {}", folder.path().display());
            if self.args.txt {
                let labels = folder.path().join(LABELS);
                say!("{} labels saved to {}", self.labels, labels.display());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_found_by_name_and_id() {
        let names = ["person".to_owned(), "car".to_owned(), "traffic light".to_owned()];
        let ids = |wanted: &[&str]| class_ids(&wanted.iter().map(|&w| w.to_owned()).collect::<Vec<_>>(), &names);
        assert_eq!(ids(&["Car", "0", "traffic light"]).unwrap(), [1, 0, 2]);
        let error = ids(&["persn"]).unwrap_err().to_string();
        assert!(error.contains("did you mean `person`?"), "{error}");
        assert!(ids(&["3"]).is_err());
    }
}

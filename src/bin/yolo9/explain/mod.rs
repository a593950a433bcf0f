//! `yolo9 explain`: where the DySample modules of a network sample in an image and what comes of it, or where two networks
//! differ in it.

mod draw;
mod maps;
mod module;
mod one;
mod two;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use image::{ImageFormat, RgbImage};
use ndarray::{Array4, ArrayView4};
use serde_json::{Value, json};
use yolo9::detect::{BoxXyxy, DetectOutput, Detection, DetectorOptions, Engine, Prepared};
use yolo9::image::Letterbox;
use yolo9::model::{ModelContent, Network};
use yolo9::output::{Mark, class_colour, encode_image, write_atomically};
use yolo9::runtime::OrtBackend;

use crate::cli::{ExplainArgs, Globals, ModelArgs};
use crate::console::{print_line, say};
use crate::exit::ExitStatus;
use crate::overwrite::refuse_files;
use crate::run::sources::Source;
use crate::{devices, model, options};
use one::OneNetwork;
use two::TwoNetworks;

/// What is drawn of an image, and what is said and written of it.
struct Explanation {
    sheet: RgbImage,
    sentences: Vec<String>,
    json: Value,
}

/// Networks in sessions.
trait Explain {
    /// Explains an image of that name.
    fn explain(&mut self, name: &str, image: &RgbImage) -> anyhow::Result<Explanation>;
}

pub(crate) fn run(args: &ExplainArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    let sources: Vec<Source> = match args.images.as_slice() {
        [] => vec![Source::sample()],
        images => images.iter().cloned().map(Source::of_file).collect(),
    };
    let places = places(args, &sources)?;
    let mut explain: Box<dyn Explain> = match args.compare.as_slice() {
        [a, b] => Box::new(TwoNetworks::open(args, [a, b], globals)?),
        _ => Box::new(OneNetwork::open(args, globals)?),
    };
    let quiet_stdout = args.json.as_deref() == Some(Path::new("-"));
    let (mut explained, mut failed) = (Vec::new(), 0);
    for (source, (out, format)) in sources.iter().zip(&places) {
        let image = match source.open(&options::image_limits(&args.input, 1)) {
            Ok(image) => image.pixels,
            Err(failure) => {
                say!("error: {}: {}", source.name(), failure.reason);
                failed += 1;
                continue;
            }
        };
        let Explanation { sheet, sentences, json } = explain.explain(&source.name(), &image)?;
        write_atomically(out, &encode_image(&sheet, *format)?)?;
        if !quiet_stdout {
            for sentence in &sentences {
                print_line!("{sentence}");
            }
        }
        if !globals.quiet {
            say!("Drawn: {}", out.display());
        }
        explained.push(json);
    }
    if let Some(file) = &args.json {
        let text = format!("{:#}\n", json!({ "images": explained }));
        if quiet_stdout {
            print_line!("{}", text.trim_end());
        } else {
            write_atomically(file, text.as_bytes())?;
        }
    }
    Ok(if failed == 0 { ExitStatus::Done } else { ExitStatus::SomeFailed })
}

/// Where each image's sheet goes, checked before the work.
fn places(args: &ExplainArgs, sources: &[Source]) -> anyhow::Result<Vec<(PathBuf, ImageFormat)>> {
    // One image goes into a file, unless the path is a folder.
    let is_folder =
        |out: &Path| sources.len() > 1 || out.is_dir() || out.as_os_str().as_encoded_bytes().ends_with(b"/");
    if let Some(out) = args.out.as_deref().filter(|out| sources.len() > 1 && out.extension().is_some() && !out.is_dir())
    {
        anyhow::bail!("--out {}: expected a folder, since there are {} images", out.display(), sources.len());
    }
    let place = |source: &Source, number: usize| {
        let name = source.name();
        let stem = Path::new(&name).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let again = if number > 1 { format!("-{number}") } else { String::new() };
        let file = PathBuf::from(format!("{stem}{again}-explained.png"));
        match args.out.as_deref() {
            None => file,
            Some(out) if is_folder(out) => out.join(file),
            Some(out) => out.to_path_buf(),
        }
    };
    let mut places: Vec<(PathBuf, ImageFormat)> = Vec::with_capacity(sources.len());
    for source in sources {
        // Images of one name in different folders are numbered, as `detect` does it.
        let is_free = |out: &PathBuf| places.iter().all(|(other, _)| other != out);
        let out = (1..).map(|number| place(source, number)).find(is_free).context("a free name")?;
        let format = ImageFormat::from_path(&out).ok().filter(|f| [ImageFormat::Png, ImageFormat::Jpeg].contains(f));
        let format = format.with_context(|| format!("--out {}: expected a .png or .jpg file", out.display()))?;
        places.push((out, format));
    }
    let models = args.compare.iter().map(PathBuf::from).filter(|path| path.exists());
    let inputs: Vec<PathBuf> = args.model.files().into_iter().chain(models).chain(args.images.clone()).collect();
    let mut outputs: Vec<(&str, &Path)> = places.iter().map(|(out, _)| ("--out", out.as_path())).collect();
    outputs.extend(args.json.as_deref().map(|json| ("--json", json)));
    refuse_files(&inputs, &outputs, args.out.as_deref().filter(|out| is_folder(out)), args.exist_ok)?;
    Ok(places)
}

/// A network in a session, with some of its values laid open.
struct Session {
    backend: OrtBackend,
    class_names: Vec<String>,
    detector: DetectorOptions,
}

/// Feature maps by name.
type Maps = BTreeMap<String, Array4<f32>>;

fn map<'a>(maps: &'a Maps, name: &str) -> anyhow::Result<&'a Array4<f32>> {
    maps.get(name).with_context(|| format!("the network does not give its value {name}"))
}

impl Session {
    /// `expose` lays values open, and says which.
    fn open<V>(
        name: &ModelArgs,
        args: &ExplainArgs,
        globals: &Globals,
        expose: impl FnOnce(&mut Network) -> anyhow::Result<V>,
    ) -> anyhow::Result<(V, Self)> {
        anyhow::ensure!(
            !model::is_config(&name.weights),
            "{} is a config without weights, so there is nothing to look into; give a checkpoint",
            name.weights
        );
        let opened = model::load(name, globals)?;
        let letterbox = options::letterbox(&args.input, &opened)?;
        let postprocess = options::preset(&args.input).postprocess();
        let postprocess = options::postprocess(&args.thresholds, postprocess, &opened)?;
        let class_names = opened.class_names().to_vec();
        let ModelContent::Network(mut network) = opened.into_content() else {
            anyhow::bail!(
                "{}: an exported file has no layers to look into; give the checkpoint that it was made from",
                name.weights
            );
        };
        let values = expose(&mut network)?;
        let runtime = devices::runtime(&args.runtime, globals)?;
        let backend = OrtBackend::new(&runtime, network.onnx, &options::session(&args.runtime))?;
        Ok((values, Self { backend, class_names, detector: DetectorOptions::new(letterbox, postprocess) }))
    }

    /// What its graph gives for an image, and what is detected in it.
    fn run(&mut self, image: &RgbImage) -> anyhow::Result<(Prepared, Maps, DetectOutput)> {
        let prepared = Prepared::new(image, &self.detector.letterbox);
        let maps = self.backend.run_all(prepared.tensor())?;
        let output = Engine::new(&mut self.backend, self.detector.clone()).detect_prepared(&prepared)?;
        Ok((prepared, maps, output))
    }
}

/// What the network reads, as an image.
fn input_image(tensor: ArrayView4<'_, f32>) -> RgbImage {
    let (_, _, height, width) = tensor.dim();
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let level = |channel| (tensor[[0, channel, y as usize, x as usize]] * 255.0).round() as u8;
        image::Rgb([level(0), level(1), level(2)])
    })
}

/// Boxes as they lie in the network's input.
fn marks(detections: &[Detection], names: &[String], letterbox: &Letterbox) -> Vec<Mark> {
    detections.iter().map(|found| mark(found, names, letterbox, class_colour(found.class))).collect()
}

fn mark(found: &Detection, names: &[String], letterbox: &Letterbox, colour: [u8; 3]) -> Mark {
    let text = format!("{} {:.2}", name_of(found.class, names), found.confidence);
    Mark { bbox: in_input(&found.bbox, letterbox), text, colour }
}

/// A box of the image in pixels of the network's input.
fn in_input(bbox: &BoxXyxy, letterbox: &Letterbox) -> BoxXyxy {
    let ((x1, y1), (x2, y2)) = (letterbox.to_input(bbox.x1, bbox.y1), letterbox.to_input(bbox.x2, bbox.y2));
    BoxXyxy { x1, y1, x2, y2 }
}

fn name_of(class: usize, names: &[String]) -> String {
    names.get(class).cloned().unwrap_or_else(|| class.to_string())
}

fn boxes_json(detections: &[Detection], names: &[String]) -> Vec<Value> {
    detections.iter().map(|found| box_json(found, names)).collect()
}

fn box_json(found: &Detection, names: &[String]) -> Value {
    let BoxXyxy { x1, y1, x2, y2 } = found.bbox;
    json!({ "class": found.class, "name": name_of(found.class, names), "confidence": found.confidence, "box": [x1, y1, x2, y2] })
}

//! From the model options to something that can run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use yolo9::architecture::Form;
use yolo9::checkpoint::Checkpoint;
use yolo9::config::{ModelConfig, builtin_configs, class_names_from_file};
use yolo9::onnx::{OnnxFile, OnnxFileError, OnnxHead, OnnxProblem};
use yolo9::runtime::{ExportedModel, Model, OrtModel, Runtime, SessionOptions};
use yolo9::untrusted::open_regular;
use yolo9::{ModelFile, Network, Size, embedded, placeholder_names};

use crate::args::{Globals, ModelArgs};
use crate::overwrite::refuse_all;
use crate::weights::open_file;

/// Refuses a path for a result that exists already, that is one of the inputs, or whose name says that it is something
/// else.
pub(crate) fn check_output(path: &Path, extension: &str, exist_ok: bool, inputs: &[&str]) -> anyhow::Result<()> {
    let found = path.extension().map(|found| found.to_string_lossy().into_owned());
    match found.as_deref() {
        Some(found) if !found.eq_ignore_ascii_case(extension) => {
            let other = match found {
                "onnx" => "; `yolo9 export` writes ONNX files",
                "safetensors" => "; `yolo9 convert` writes safetensors files",
                "pt" | "pth" => "; PyTorch files are not written, PyTorch reads safetensors",
                _ => "",
            };
            anyhow::bail!("{}: this command writes .{extension} files{other}", path.display());
        }
        _ => {}
    }
    if path.exists() && !exist_ok {
        anyhow::bail!("{} exists; choose another name, or replace it with --exist-ok", path.display());
    }
    let inputs: Vec<PathBuf> = inputs.iter().map(PathBuf::from).collect();
    refuse_all(&inputs, &[("--output", Some(path))], None, exist_ok)
}

/// A YAML file, else the built-in config or that of the embedded model of that name.
pub(crate) fn open_config(config: &str) -> anyhow::Result<ModelConfig> {
    let path = Path::new(config);
    if path.is_file() {
        return Ok(ModelConfig::from_file(path)?);
    }
    if let Some(model) = embedded::models().iter().find(|model| model.name == config)
        && let Some(config) = model.checkpoint()?.config()?
    {
        return Ok(config);
    }
    Ok(ModelConfig::builtin(config)?)
}

/// YAML, or the name of a built-in config. A file goes before a built-in config of the same name; a binary file is none,
/// whatever it is called.
pub(crate) fn is_config(name: &str) -> bool {
    let path = Path::new(name);
    if !path.is_file() {
        let plain = name.strip_suffix(".yaml").unwrap_or(name);
        return builtin_configs().iter().any(|builtin| builtin.name.eq_ignore_ascii_case(plain));
    }
    let text = beginning(path);
    let named = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"));
    let is_text = !text.contains(|c: char| c.is_control() && !c.is_whitespace());
    let has_key = text.lines().any(|line| ["backbone:", "nc:", "model:"].iter().any(|key| line.starts_with(key)));
    is_text && (named || has_key)
}

/// As text, whatever it is.
fn beginning(path: &Path) -> String {
    use std::io::Read;
    let mut start = Vec::new();
    let read = open_regular(path).and_then(|file| file.take(1 << 16).read_to_end(&mut start));
    read.map(|_| String::from_utf8_lossy(&start).into_owned()).unwrap_or_default()
}

/// A model that is ready for a session.
pub(crate) enum Loaded {
    Network(Box<Network>),
    Exported { file: Box<OnnxFile>, class_names: Vec<String> },
}

impl Loaded {
    pub(crate) fn class_names(&self) -> &[String] {
        match self {
            Loaded::Network(network) => &network.class_names,
            Loaded::Exported { class_names, .. } => class_names,
        }
    }

    pub(crate) fn stride(&self) -> usize {
        match self {
            Loaded::Network(network) => network.architecture.stride(),
            Loaded::Exported { file, .. } => file.stride(),
        }
    }

    /// The only size of input that the model takes.
    pub(crate) fn fixed_size(&self) -> Option<Size> {
        let Loaded::Exported { file, .. } = self else { return None };
        Some(Size::new(file.input.width?, file.input.height?))
    }

    /// The size that the model was exported for.
    pub(crate) fn preferred_size(&self) -> Option<Size> {
        let Loaded::Exported { file, .. } = self else { return None };
        file.preferred_size().map(|(height, width)| Size::new(width, height))
    }

    /// A threshold that the model was exported with, of its metadata.
    pub(crate) fn exported_with(&self, key: &str) -> Option<f64> {
        let Loaded::Exported { file, .. } = self else { return None };
        file.metadata.get(key)?.parse().ok()
    }

    /// Whether the model's own thresholds decide which boxes overlap.
    pub(crate) fn suppresses(&self) -> bool {
        matches!(self, Loaded::Exported { file, .. } if !matches!(file.head, OnnxHead::Dense { .. }))
    }

    /// The model that many times, for as many threads.
    pub(crate) fn into_models(
        self,
        runtime: &Runtime,
        options: &SessionOptions,
        count: usize,
    ) -> anyhow::Result<Vec<Box<dyn Model + Send>>> {
        Ok(match self {
            Loaded::Network(network) => {
                let models = OrtModel::several(runtime, network.onnx, options, count)?;
                models.into_iter().map(|model| Box::new(model) as _).collect()
            }
            Loaded::Exported { file, class_names } => {
                let model = || ExportedModel::new(runtime, &file, class_names.len(), options);
                (0..count).map(|_| Ok(Box::new(model()?) as _)).collect::<anyhow::Result<_>>()?
            }
        })
    }
}

/// The model that the options ask for, with a line that says what it is.
pub(crate) fn load(args: &ModelArgs, globals: &Globals) -> anyhow::Result<Loaded> {
    // Config and names first: they are small, and their mistakes are the user's own.
    let config = args.config.as_deref().map(open_config).transpose()?;
    let names = args.names.as_deref().map(class_names_from_file).transpose()?;
    let names = names.zip(args.names.as_ref().map(|path| path.display().to_string()));
    match open_file(&args.weights, globals)? {
        ModelFile::Checkpoint(checkpoint) => network(args, &checkpoint, config.as_ref(), names),
        ModelFile::Exported(_) if config.is_some() => {
            anyhow::bail!("--config: {} is an ONNX file, which has its network inside", args.weights)
        }
        ModelFile::Exported(file) => exported(args, file, names),
    }
}

/// As [`load`]; a config in the place of weights gets random ones.
pub(crate) fn load_or_random(args: &ModelArgs, globals: &Globals) -> anyhow::Result<Loaded> {
    if is_config(&args.weights) {
        let config = open_config(&args.weights)?;
        return Ok(Loaded::Network(Box::new(Network::with_random_weights(&config, 1)?)));
    }
    load(args, globals)
}

/// Class names and where they come from.
type Names = Option<(Vec<String>, String)>;

fn network(
    args: &ModelArgs,
    checkpoint: &Checkpoint,
    config: Option<&ModelConfig>,
    names: Names,
) -> anyhow::Result<Loaded> {
    let mut network = Network::assemble(checkpoint, config)?;
    if let Some((names, source)) = names {
        network = network.with_class_names(names, &source)?;
    }
    if network.names_are_placeholders {
        log::warn!("{} carries no class names; give them with --names", args.weights);
    }
    describe(&network, &args.weights)?;
    Ok(Loaded::Network(Box::new(network)))
}

fn exported(args: &ModelArgs, file: OnnxFile, given: Names) -> anyhow::Result<Loaded> {
    let expected = match file.head {
        OnnxHead::Dense { classes, .. } => classes,
        _ => file.classes(),
    };
    let fits = |names: &[String]| expected.is_none_or(|expected| names.len() == expected);
    if let (Some((names, source)), Some(expected)) = (&given, expected)
        && !fits(names)
    {
        anyhow::bail!("{} class names for {expected} classes ({source}); expected one name per class", names.len());
    }
    let names = given.map(|(names, _)| names).or_else(|| file.class_names().filter(|names| fits(names)));
    let count = expected.or(names.as_ref().map(Vec::len));
    let count = count.ok_or_else(|| OnnxFileError { file: file.name.clone(), problem: OnnxProblem::Classes })?;
    if names.is_none() {
        log::warn!("{} carries no names for its {count} classes; give them with --names", args.weights);
    }
    let class_names = names.unwrap_or_else(|| placeholder_names(count));
    if !file.unused.is_empty() {
        let OnnxHead::Dense { output, .. } = &file.head else { unreachable!("only such heads have doubles") };
        log::info!(
            "{} has {} outputs of detections: the last one, `{output}`, is that of the main branch",
            args.weights,
            file.unused.len() + 1
        );
    }
    let producer = if file.producer.is_empty() { String::new() } else { format!(" by {}", file.producer) };
    log::info!("Model {}: an ONNX file{producer}, {}", args.weights, file.signature.join(", "));
    Ok(Loaded::Exported { file: Box::new(file), class_names })
}

fn describe(network: &Network, weights: &str) -> anyhow::Result<()> {
    let cost = network.architecture.cost(Size::square(640), Form::Deployed).context("cost of the network")?;
    let classes = network.class_names.len();
    let auxiliary = match network.architecture.auxiliary_layers() {
        0 => String::new(),
        count => format!(", {count} auxiliary layers left out"),
    };
    log::info!(
        "Model {weights}: {classes} class{}, {:.2} M parameters, {:.1} GFLOPs at 640x640{auxiliary}",
        if classes == 1 { "" } else { "es" },
        cost.parameters as f64 / 1e6,
        cost.gflops()
    );
    Ok(())
}

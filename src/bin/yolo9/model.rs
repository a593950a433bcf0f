//! From the model options to something that can run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use yolo9::architecture::{Architecture, Form};
use yolo9::checkpoint::Checkpoint;
use yolo9::config::{BUILTIN_CONFIGS, ModelConfig, class_names_from_file, coco_names};
use yolo9::model::{ClassNames, ModelContent, Network, resolve_config};
use yolo9::onnx::OnnxHead;
use yolo9::untrusted::open_regular;
use yolo9::weights::{self, Weights};
use yolo9::{Model, Size, embedded};

use crate::cli::{Globals, ModelArgs, NamesArg};
use crate::overwrite::refuse_files;
use crate::weights::{embedded_model, open_file, provenance};

/// Where a result goes: as told, else the input's name with the first of the extensions in the working folder. Refuses a
/// path that exists already, that is one of the inputs, or whose name says that it is something else.
pub(crate) fn output_path(
    told: Option<&Path>,
    extensions: &[&str],
    exist_ok: bool,
    inputs: &[&str],
) -> anyhow::Result<PathBuf> {
    let path = match (told, inputs.first()) {
        (Some(path), _) => path.to_path_buf(),
        (None, input) => {
            let stem = Path::new(input.copied().unwrap_or_default()).file_stem().context("no name for the output")?;
            Path::new(stem).with_added_extension(extensions[0])
        }
    };
    let found = path.extension().map(|found| found.to_string_lossy().into_owned());
    match found.as_deref() {
        Some(found) if !extensions.iter().any(|extension| found.eq_ignore_ascii_case(extension)) => {
            let other = match found {
                "onnx" => "; `yolo9 export` writes ONNX files",
                "safetensors" | "pt" => "; `yolo9 convert` writes .safetensors and .pt files",
                _ => "",
            };
            anyhow::bail!("{}: this command writes .{} files{other}", path.display(), extensions.join(" and ."));
        }
        _ => {}
    }
    let inputs: Vec<PathBuf> = inputs.iter().map(PathBuf::from).collect();
    if told.is_none() && inputs.first().is_some_and(|input| input.is_file() && input.ends_with(&path)) {
        anyhow::bail!(
            "{}: is a .{} file already; to write another one, name it with -o",
            path.display(),
            extensions[0]
        );
    }
    refuse_files(&inputs, &[("-o", &path)], None, exist_ok)?;
    Ok(path)
}

/// A network with its weights, ready for a graph, and where these are from.
pub(crate) struct BoundNetwork {
    pub(crate) architecture: Architecture,
    pub(crate) weights: Weights,
    /// Those of the checkpoint.
    pub(crate) stored_names: Option<Vec<String>>,
    /// For the metadata of what is made of it.
    pub(crate) notes: Vec<(String, String)>,
}

impl BoundNetwork {
    /// Of a checkpoint that was opened as `input`.
    pub(crate) fn of(
        checkpoint: &Checkpoint,
        input: &str,
        config: Option<&ModelConfig>,
        globals: &Globals,
    ) -> anyhow::Result<Self> {
        let (architecture, weights) = weights::bind(&resolve_config(checkpoint, config)?, checkpoint)?;
        let stored_names = checkpoint.metadata().class_names.clone();
        let (source, hash) = provenance(input, globals)?;
        let notes = vec![("source".to_owned(), source), ("source_sha256".to_owned(), hash)];
        Ok(Self { architecture, weights, stored_names, notes })
    }

    /// The given class names, else the stored ones, if there are any.
    pub(crate) fn class_names(&self, given: Option<ClassNames>) -> anyhow::Result<Option<Vec<String>>> {
        let names = given.map(|given| given.names).or_else(|| self.stored_names.clone());
        let classes = self.architecture.head().classes;
        if let Some(names) = names.as_ref().filter(|names| names.len() != classes) {
            anyhow::bail!("{} class names for {classes} classes; expected one name per class (--names)", names.len());
        }
        Ok(names)
    }
}

/// A YAML file, else the built-in config or that of the embedded model of that name.
pub(crate) fn open_config(config: &str) -> anyhow::Result<ModelConfig> {
    let path = Path::new(config);
    if path.is_file() {
        return Ok(ModelConfig::from_file(path)?);
    }
    if let Some(model) = embedded::MODELS.iter().find(|model| model.name == config)
        && let Some(config) = model.checkpoint()?.config()?
    {
        return Ok(config);
    }
    Ok(ModelConfig::builtin(config)?)
}

/// Class names from where an option says.
pub(crate) fn open_names(names: &NamesArg) -> anyhow::Result<ClassNames> {
    Ok(match names {
        NamesArg::Coco => ClassNames { names: coco_names(), source: "--names coco".into() },
        NamesArg::File(path) => ClassNames { names: class_names_from_file(path)?, source: path.display().to_string() },
    })
}

/// YAML, or the name of a built-in config. A file goes before a built-in config of the same name; a binary file is none,
/// whatever it is called.
pub(crate) fn is_config(name: &str) -> bool {
    let path = Path::new(name);
    if !path.is_file() {
        let plain = name.strip_suffix(".yaml").unwrap_or(name);
        return BUILTIN_CONFIGS.iter().any(|builtin| builtin.name.eq_ignore_ascii_case(plain));
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

/// The model that the options ask for, with a line that says what it is.
pub(crate) fn load(args: &ModelArgs, globals: &Globals) -> anyhow::Result<Model> {
    // Config and names first: they are small, and their mistakes are the user's own.
    let config = args.config.as_deref().map(open_config).transpose()?;
    let names = args.names.as_ref().map(open_names).transpose()?;
    let model = Model::new(&args.weights, open_file(&args.weights, globals)?, config.as_ref(), names)?;
    describe(&model)?;
    Ok(model)
}

/// As [`load`]; a config in the place of weights gets random ones.
pub(crate) fn load_or_random(args: &ModelArgs, globals: &Globals) -> anyhow::Result<Model> {
    if !is_config(&args.weights) {
        return load(args, globals);
    }
    let config = open_config(&args.weights)?;
    Ok(Model::from_network(&args.weights, Network::with_random_weights(&config, 1)?, None))
}

/// Says what an embedded model can detect: it stands in for those that users have.
pub(crate) fn introduce(weights: &str) {
    if let Some(model) = embedded_model(weights) {
        log::info!(
            "The embedded model {} detects {}; for other objects give --weights FILE or a name of `yolo9 models`",
            model.name,
            model.detects
        );
    }
}

fn describe(model: &Model) -> anyhow::Result<()> {
    let (name, classes) = (model.name(), model.class_names().len());
    if model.names_are_placeholders() {
        log::warn!("{name} carries no names for its {classes} classes; give them with --names");
    }
    match model.content() {
        ModelContent::Network(network) => {
            let cost = network.architecture.cost(Size::square(640), Form::Deployed).context("cost of the network")?;
            let auxiliary = match network.architecture.auxiliary_layers() {
                0 => String::new(),
                count => format!(", {count} auxiliary layers stripped"),
            };
            log::info!(
                "Model {name}: {classes} class{}, {:.2} M parameters, {:.1} GFLOPs at 640x640{auxiliary}",
                if classes == 1 { "" } else { "es" },
                cost.parameters as f64 / 1e6,
                cost.gflops()
            );
        }
        ModelContent::Exported(file) => {
            if let (false, OnnxHead::Dense { output, .. }) = (file.unused.is_empty(), &file.head) {
                let outputs = file.unused.len() + 1;
                log::info!(
                    "{name} has {outputs} outputs of detections: the last one, `{output}`, is that of the main branch"
                );
            }
            let producer = if file.producer.is_empty() { String::new() } else { format!(" by {}", file.producer) };
            log::info!("Model {name}: an ONNX file{producer}, {}", file.signature.join(", "));
        }
    }
    Ok(())
}

//! What is known of one file or config.

use std::collections::BTreeMap;
use yolo9::architecture::{Architecture, Cost, Form};
use yolo9::checkpoint::Checkpoint;
use yolo9::config::{Activation, BUILTIN_CONFIGS, ConfigFormat, ModelConfig};
use yolo9::model::{ModelFile, resolve_config};
use yolo9::onnx::OnnxFile;
use yolo9::{Size, weights};

use crate::cli::{Globals, InfoArgs};
use crate::model::{is_config, open_config};
use crate::weights::open_file;

/// A file or config.
pub(super) struct Subject {
    /// As the user named it.
    pub(super) name: String,
    /// What it is, in words.
    pub(super) kind: String,
    pub(super) format: Option<ConfigFormat>,
    pub(super) class_names: Option<Vec<String>>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) warnings: Vec<String>,
    pub(super) content: Content,
}

/// What it holds.
pub(super) enum Content {
    /// A config, or weights of a known network.
    ResolvedNetwork { network: Box<ResolvedNetwork>, checkpoint: Option<Box<Checkpoint>> },
    /// Weights whose network is not known, and why.
    Weights { checkpoint: Box<Checkpoint>, reason: String },
    /// A finished network.
    Exported(Box<OnnxFile>),
}

/// A resolved configuration.
pub(super) struct ResolvedNetwork {
    pub(super) config: String,
    pub(super) activation: Activation,
    pub(super) architecture: Architecture,
}

/// Cost of a network in one form.
pub(super) struct Total {
    pub(super) form: &'static str,
    pub(super) layers: usize,
    pub(super) cost: Cost,
}

impl Subject {
    pub(super) fn open(name: &str, args: &InfoArgs, globals: &Globals) -> anyhow::Result<Self> {
        if is_config(name) {
            anyhow::ensure!(args.config.is_none(), "--config: {name} is a config itself");
            return Self::of_config(name, args);
        }
        anyhow::ensure!(args.nc.is_none(), "--nc: {name} knows its classes; the option is for configs alone");
        let config = args.config.as_deref().map(open_config).transpose()?;
        Ok(match open_file(name, globals)? {
            ModelFile::Checkpoint(checkpoint) => Self::of_checkpoint(name, checkpoint, config.as_ref())?,
            ModelFile::Exported(_) if config.is_some() => {
                anyhow::bail!("--config: {name} is an ONNX file, which has its network inside")
            }
            ModelFile::Exported(file) => Self {
                name: name.into(),
                kind: match file.producer.as_str() {
                    "" => "an ONNX file".into(),
                    producer => format!("an ONNX file by {producer}"),
                },
                format: None,
                class_names: file.class_names(),
                metadata: file.metadata.clone().into_iter().filter(|(key, _)| key != "names").collect(),
                warnings: Vec::new(),
                content: Content::Exported(Box::new(file)),
            },
        })
    }

    fn of_config(name: &str, args: &InfoArgs) -> anyhow::Result<Self> {
        let mut config = open_config(name)?;
        if let Some(classes) = args.nc {
            config = config.with_classes(classes as usize);
        }
        let architecture = Architecture::new(&config)?;
        let built_in = BUILTIN_CONFIGS.iter().any(|builtin| builtin.name == config.name);
        Ok(Self {
            name: name.into(),
            kind: if built_in { "a built-in config".into() } else { "a config".into() },
            format: Some(config.format),
            class_names: None,
            metadata: BTreeMap::new(),
            warnings: Vec::new(),
            content: Content::ResolvedNetwork {
                network: Box::new(ResolvedNetwork::new(&config, architecture)),
                checkpoint: None,
            },
        })
    }

    fn of_checkpoint(name: &str, checkpoint: Checkpoint, config: Option<&ModelConfig>) -> anyhow::Result<Self> {
        let known = resolve_config(&checkpoint, config).map_err(|error| error.to_string());
        let bound = known.and_then(|config| {
            let (architecture, _) = weights::bind(&config, &checkpoint).map_err(|error| error.to_string())?;
            let own = checkpoint.metadata().config.is_some() && config.name.starts_with("inside ");
            let name = if own { "its own config".to_owned() } else { config.name.clone() };
            Ok(ResolvedNetwork::new(&ModelConfig { name, ..config }, architecture))
        });
        // A config that the user named must fit.
        if let (Some(_), Err(reason)) = (config, &bound) {
            anyhow::bail!("{reason}");
        }
        let metadata = checkpoint.metadata().clone();
        Ok(Self {
            name: name.into(),
            kind: checkpoint.description().into(),
            format: Some(checkpoint.config_format()),
            class_names: metadata.class_names,
            metadata: metadata.extra,
            warnings: checkpoint.warnings().to_vec(),
            content: match bound {
                Ok(network) => {
                    Content::ResolvedNetwork { network: Box::new(network), checkpoint: Some(Box::new(checkpoint)) }
                }
                Err(reason) => Content::Weights { checkpoint: Box::new(checkpoint), reason },
            },
        })
    }

    pub(super) fn network(&self) -> Option<&ResolvedNetwork> {
        match &self.content {
            Content::ResolvedNetwork { network, .. } => Some(network),
            _ => None,
        }
    }

    pub(super) fn checkpoint(&self) -> Option<&Checkpoint> {
        match &self.content {
            Content::ResolvedNetwork { checkpoint, .. } => checkpoint.as_deref(),
            Content::Weights { checkpoint, .. } => Some(checkpoint),
            Content::Exported(_) => None,
        }
    }

    pub(super) fn classes(&self) -> Option<usize> {
        match &self.content {
            Content::ResolvedNetwork { network, .. } => Some(network.architecture.head().classes),
            Content::Weights { .. } => self.class_names.as_ref().map(Vec::len),
            Content::Exported(file) => file.classes(),
        }
    }
}

impl ResolvedNetwork {
    fn new(config: &ModelConfig, architecture: Architecture) -> Self {
        Self { config: config.name.clone(), activation: config.activation, architecture }
    }

    pub(super) fn strides(&self) -> Vec<usize> {
        self.architecture.head().main().levels.iter().map(|level| level.stride).collect()
    }

    pub(super) fn totals(&self, imgsz: Size) -> anyhow::Result<Vec<Total>> {
        let all = self.architecture.layers().len();
        let main = all - self.architecture.auxiliary_layers();
        let forms =
            [("as trained", Form::Training, all), ("fused", Form::Fused, all), ("deployed", Form::Deployed, main)];
        let total = |(form, kind, layers)| Ok(Total { form, layers, cost: self.architecture.cost(imgsz, kind)? });
        forms.into_iter().map(total).collect()
    }
}

/// Number, length in bytes and kinds of number of all tensors.
pub(super) struct TensorStatistics {
    pub(super) count: usize,
    pub(super) bytes: usize,
    pub(super) kinds: BTreeMap<String, usize>,
}

impl TensorStatistics {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        let mut statistics = Self { count: 0, bytes: 0, kinds: BTreeMap::new() };
        for tensor in checkpoint.tensors().values() {
            statistics.count += 1;
            statistics.bytes += tensor.shape().iter().product::<usize>() * tensor.dtype().size();
            *statistics.kinds.entry(tensor.dtype().to_string()).or_insert(0) += 1;
        }
        statistics
    }
}

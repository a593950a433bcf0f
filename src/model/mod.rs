//! Models: a file of any kind becomes a [`Model`], and that, in sessions of ONNX Runtime, something that can run.

mod classes;
mod file;
mod location;
mod network;

use std::path::Path;

use thiserror::Error;

pub use classes::{UnknownClass, class_ids};
pub use file::ModelFile;
pub use location::WeightsLocation;
use network::stored_names;
pub use network::{Network, placeholder_names, resolve_config};

use crate::Size;
use crate::checkpoint::CheckpointError;
use crate::config::{ConfigError, ModelConfig, did_you_mean};
use crate::image::{BoxRescaling, InputShape, LetterboxOptions};
use crate::onnx::{OnnxFile, OnnxFileError, OnnxHead, OnnxProblem};
use crate::runtime::{OrtBackend, Precision, Runtime, RuntimeError, SessionOptions};
use crate::weights::WeightsError;

/// Why a model cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// There are no weights of that name.
    #[error("weights {weights}: no such file{}{}", unknown(), did_you_mean(*nearest))]
    Unknown {
        /// The name.
        weights: String,
        /// A name that is there and spelt like it.
        nearest: Option<&'static str>,
    },
    /// A released file cannot be had.
    #[cfg(feature = "download")]
    #[error(transparent)]
    Release(#[from] crate::hub::HubError),
    /// The checkpoint holds tensors only.
    #[error(
        "weights {weights} are {description}, which does not say what network they belong to, and no built-in config \
         has such layers"
    )]
    NoConfig {
        /// The checkpoint.
        weights: String,
        /// What kind of file it is.
        description: String,
    },
    /// A class that was asked for is not among its own.
    #[error("class {0}")]
    Class(#[from] UnknownClass),
    /// The file cannot be read as a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The file cannot be read as an exported network.
    #[error(transparent)]
    Exported(#[from] OnnxFileError),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The weights do not fit it.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The number of names is not the number of classes.
    #[error("{found} class names for {expected} classes ({source_of_names}); expected one name per class")]
    Names {
        /// Where the names come from.
        source_of_names: String,
        /// Classes of the network.
        expected: usize,
        /// Names given.
        found: usize,
    },
    /// A configuration for a file that has its network inside.
    #[error("{0} is an ONNX file, which has its network inside: a config cannot change it")]
    ConfigOfExported(String),
    /// An input size that the file does not take.
    #[error(
        "{file} was exported for inputs of {}x{} (height x width) only, not {}x{}",
        fixed.height, fixed.width, asked.height, asked.width
    )]
    InputSize {
        /// The file.
        file: String,
        /// The size that it takes.
        fixed: Size,
        /// The size that was asked for.
        asked: Size,
    },
}

/// What else weights can be.
fn unknown() -> String {
    let embedded: Vec<_> = crate::embedded::MODELS.iter().map(|model| model.name).collect();
    let released = if cfg!(feature = "download") { " or released file" } else { "" };
    format!(", embedded model ({}){released}", embedded.join(", "))
}

/// Class names from elsewhere than the model file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassNames {
    /// By class id.
    pub names: Vec<String>,
    /// What messages call the place that they are from.
    pub source: String,
}

/// A model that is ready for a session: a network that we built from weights, or an exported file.
#[derive(Debug, Clone)]
pub struct Model {
    name: String,
    class_names: Vec<String>,
    names_are_placeholders: bool,
    content: ModelContent,
}

/// What a model holds.
#[derive(Debug, Clone)]
pub enum ModelContent {
    /// A network that we built.
    Network(Box<Network>),
    /// A file that is run as it is.
    Exported(Box<OnnxFile>),
}

impl Model {
    /// Opens a checkpoint (`.pt`, `.safetensors`) that carries its configuration, or an exported `.onnx` file.
    ///
    /// # Errors
    /// [`ModelError`] names the file and what is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        let path = path.as_ref();
        Self::new(&path.display().to_string(), ModelFile::open(path)?, None, None)
    }

    /// A model from a file that has been read, with another configuration or other class names than its own. `name` is
    /// what messages call it.
    ///
    /// # Errors
    /// [`ModelError`] when the parts do not fit together.
    pub fn new(
        name: &str,
        file: ModelFile,
        config: Option<&ModelConfig>,
        class_names: Option<ClassNames>,
    ) -> Result<Self, ModelError> {
        match file {
            ModelFile::Checkpoint(checkpoint) => {
                let network = Network::assemble(&checkpoint, config)?;
                let stored = stored_names(&checkpoint, network.architecture.head().classes);
                Self::from_network(name, network, stored).with_names(class_names)
            }
            ModelFile::Exported(_) if config.is_some() => Err(ModelError::ConfigOfExported(name.into())),
            ModelFile::Exported(file) => Self::from_exported(name, file, class_names),
        }
    }

    /// A model of a network, with a name for each class if there are any.
    #[must_use]
    pub fn from_network(name: &str, network: Network, class_names: Option<Vec<String>>) -> Self {
        let classes = network.architecture.head().classes;
        Self::named(name, class_names, classes, ModelContent::Network(Box::new(network)))
    }

    fn named(name: &str, own: Option<Vec<String>>, classes: usize, content: ModelContent) -> Self {
        let names_are_placeholders = own.is_none();
        let class_names = own.unwrap_or_else(|| placeholder_names(classes));
        Self { name: name.into(), class_names, names_are_placeholders, content }
    }

    fn with_names(mut self, given: Option<ClassNames>) -> Result<Self, ModelError> {
        let Some(ClassNames { names, source }) = given else { return Ok(self) };
        let expected = self.class_names.len();
        if names.len() != expected {
            return Err(ModelError::Names { source_of_names: source, expected, found: names.len() });
        }
        (self.class_names, self.names_are_placeholders) = (names, false);
        Ok(self)
    }

    fn from_exported(name: &str, file: OnnxFile, given: Option<ClassNames>) -> Result<Self, ModelError> {
        let expected = match file.head {
            OnnxHead::Dense { classes, .. } => classes,
            _ => file.classes(),
        };
        let own = file.class_names().filter(|names| expected.is_none_or(|expected| names.len() == expected));
        let count = expected.or(own.as_ref().map(Vec::len)).or(given.as_ref().map(|given| given.names.len()));
        let count = count.ok_or_else(|| OnnxFileError { file: file.name.clone(), problem: OnnxProblem::Classes })?;
        Self::named(name, own, count, ModelContent::Exported(Box::new(file))).with_names(given)
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One name per class, by class id.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Whether the names were made up because there are none.
    #[must_use]
    pub fn names_are_placeholders(&self) -> bool {
        self.names_are_placeholders
    }

    /// What it holds.
    #[must_use]
    pub fn content(&self) -> &ModelContent {
        &self.content
    }

    /// What it holds, for those who change it.
    #[must_use]
    pub fn into_content(self) -> ModelContent {
        self.content
    }

    /// The largest stride: sides of inputs are multiples of it.
    #[must_use]
    pub fn stride(&self) -> usize {
        match &self.content {
            ModelContent::Network(network) => network.architecture.stride(),
            ModelContent::Exported(file) => file.stride(),
        }
    }

    /// Images of a run of an exported file, where it fixes that.
    #[must_use]
    pub fn fixed_batch(&self) -> Option<usize> {
        match &self.content {
            ModelContent::Exported(file) => file.input.batch,
            ModelContent::Network(_) => None,
        }
    }

    /// Whether NMS is part of the file, so that its own thresholds decide.
    #[must_use]
    pub fn has_nms(&self) -> bool {
        matches!(&self.content, ModelContent::Exported(file) if !matches!(file.head, OnnxHead::Dense { .. }))
    }

    /// A threshold that the file was exported with, from its metadata.
    #[must_use]
    pub fn exported_with(&self, key: &str) -> Option<f64> {
        let ModelContent::Exported(file) = &self.content else { return None };
        file.metadata.get(key)?.parse().ok()
    }

    /// Where images go in its input: of the size that was asked for, else of that of the export, else 640. A file for one
    /// size of input gets that, padded to the whole.
    ///
    /// # Errors
    /// [`ModelError::InputSize`] when the file takes another size only.
    pub fn letterbox(
        &self,
        asked: Option<Size>,
        shape: InputShape,
        box_rescaling: BoxRescaling,
    ) -> Result<LetterboxOptions, ModelError> {
        let (mut preferred, mut fixed) = (None, None);
        if let ModelContent::Exported(file) = &self.content {
            preferred = file.preferred_size().map(|(height, width)| Size::new(width, height));
            fixed = file.input.width.zip(file.input.height).map(|(width, height)| Size::new(width, height));
        }
        match (fixed, asked) {
            (Some(fixed), Some(asked)) if asked != fixed => {
                Err(ModelError::InputSize { file: self.name.clone(), fixed, asked })
            }
            // Not rounded: the file knows its own size.
            (Some(target), _) => Ok(LetterboxOptions {
                target,
                ..LetterboxOptions::new(target, self.stride(), InputShape::Square, box_rescaling)
            }),
            (None, asked) => {
                let target = asked.or(preferred).unwrap_or(Size::square(640));
                Ok(LetterboxOptions::new(target, self.stride(), shape, box_rescaling))
            }
        }
    }

    /// The model in that many sessions, for as many threads.
    ///
    /// # Errors
    /// [`RuntimeError::Load`] with ONNX Runtime's message.
    pub fn into_sessions(
        self,
        runtime: &Runtime,
        options: &SessionOptions,
        count: usize,
    ) -> Result<Vec<OrtBackend>, RuntimeError> {
        match self.content {
            ModelContent::Network(_) if options.precision == Some(Precision::Int8) => {
                Err(RuntimeError::NotQuantised { model: self.name, exported: false })
            }
            ModelContent::Network(network) => OrtBackend::several(runtime, network.onnx, options, count),
            ModelContent::Exported(file) => OrtBackend::of_file(runtime, &file, self.class_names.len(), options, count),
        }
    }
}

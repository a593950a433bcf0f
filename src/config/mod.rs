//! What a YOLOv9 YAML file says, and nothing more: layers of `[from, number, module, args]`, the class count and the
//! default activation. Channels and tensors are the business of [`architecture`](crate::architecture).
//!
//! Three config formats are read ([`ConfigFormat`]); all become layers of the official one. A checkpoint stores the same dictionary;
//! written as JSON it is read by the same parser, because JSON is YAML.

mod argument;
mod builtin;
mod data;
mod document;
mod error;
mod format;
mod mit;
mod module;
mod names;
mod parse;
mod write;
mod yaml;

pub use argument::Argument;
pub use builtin::{BUILTIN_CONFIGS, BuiltinConfig};
pub use data::DataConfig;
pub use error::ConfigError;
pub use format::ConfigFormat;
pub use module::{ModuleKind, did_you_mean, nearest_name};
pub use names::{class_names_from_file, coco_categories, coco_names};
pub use yaml::numbers_of_yaml;

use std::fmt;
use std::path::Path;

use crate::untrusted::{FileKind, read};

/// The largest published network has 120 layers, of which one reads 6 maps.
const MAX_LAYERS: usize = 2_000;
const MAX_SOURCES: usize = 1_000;

/// The activation function of `Conv` and `RepConvN` blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `x * sigmoid(x)`, the default of YOLOv9.
    Silu,
    /// `max(x, 0)`.
    Relu,
    /// `x` for positive `x`, else this factor times `x`.
    LeakyRelu(f32),
    /// No activation.
    Identity,
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Activation::Silu => f.write_str("SiLU"),
            Activation::Relu => f.write_str("ReLU"),
            Activation::LeakyRelu(slope) => write!(f, "LeakyReLU({slope})"),
            Activation::Identity => f.write_str("Identity"),
        }
    }
}

impl Activation {
    /// As the YAML key `activation` writes it, such as `nn.ReLU()`.
    #[must_use]
    pub fn to_yaml(self) -> String {
        match self {
            Activation::LeakyRelu(_) => format!("nn.{self}"),
            _ => format!("nn.{self}()"),
        }
    }
}

/// One layer of `backbone` or `head`.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSpec {
    /// Position over backbone and head together, from 0; the `i` of the parameter names `model.i.…`.
    pub index: usize,
    /// Line in the YAML file, from 1, where the layer came from a file.
    pub line: Option<u64>,
    /// Where the input comes from: negative is relative to this layer, otherwise the index of a layer.
    pub from: Vec<i64>,
    /// How often the module is repeated, before `depth_multiple`.
    pub number: usize,
    /// Which module.
    pub module: ModuleKind,
    /// The module's arguments as written.
    pub args: Vec<Argument>,
}

/// The layer that a `from` of the layer `index` means: a negative one counts back from that layer. Below 0 it is no layer.
#[must_use]
pub fn source_layer(index: usize, from: i64) -> i64 {
    if from < 0 { index as i64 + from } else { from }
}

impl fmt::Display for LayerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layer {} ({})", self.index, self.module)?;
        match self.line {
            Some(line) => write!(f, ", line {line}"),
            None => Ok(()),
        }
    }
}

/// A parsed model configuration: syntactically complete, module names known, wiring not yet checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// How messages call it: a built-in name or a file's path.
    pub name: String,
    /// Whose conventions it follows.
    pub format: ConfigFormat,
    /// Number of classes (`nc`).
    pub classes: usize,
    /// Factor on the repeat counts (`depth_multiple`); 1 in every YOLOv9 file.
    pub depth_multiple: f64,
    /// Factor on the output channels (`width_multiple`); 1 in every YOLOv9 file.
    pub width_multiple: f64,
    /// Output channels are cut to this before they are scaled (`scales` of Ultralytics).
    pub max_channels: Option<usize>,
    /// Number of anchors per position that the inherited YOLOv5 parser derives from `anchors`. YOLOv9 has no anchors;
    /// the number only decides when channel rounding is skipped (see [`crate::architecture`]).
    pub anchors: usize,
    /// Activation of every block that does not say otherwise.
    pub activation: Activation,
    /// Channels of the input image (`ch`).
    pub input_channels: usize,
    /// Backbone and head layers in order.
    pub layers: Vec<LayerSpec>,
    /// The text this was read from.
    pub source: String,
}

impl ModelConfig {
    /// Parses the YAML text of a model. `name` is what messages call it.
    ///
    /// # Errors
    /// Names the line, the layer and what was expected; for a misspelt module also the nearest known one.
    pub fn from_yaml(name: &str, text: &str) -> Result<Self, ConfigError> {
        let beyond = |message: String| Err(ConfigError::Syntax { name: name.into(), message });
        let longest = FileKind::Config.max_bytes();
        if text.len() as u64 > longest {
            return beyond(format!("{} bytes; at most {longest} are read", text.len()));
        }
        let config = parse::parse(name, text)?;
        if config.layers.len() > MAX_LAYERS {
            return beyond(format!("{} layers; at most {MAX_LAYERS} are read", config.layers.len()));
        }
        match config.layers.iter().find(|layer| layer.from.len() > MAX_SOURCES) {
            Some(layer) => {
                beyond(format!("{layer} reads {} maps; at most {MAX_SOURCES} are possible", layer.from.len()))
            }
            None => Ok(config),
        }
    }

    /// Reads a YAML file.
    ///
    /// # Errors
    /// [`ConfigError::Read`] when the file cannot be read, otherwise as [`ModelConfig::from_yaml`].
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let unreadable = |source| ConfigError::Read { what: "config", path: name.clone(), source };
        let bytes = read(path, FileKind::Config).map_err(unreadable)?;
        // The official loader drops undecodable bytes too: they occur in comments only.
        Self::from_yaml(&name, &String::from_utf8_lossy(&bytes))
    }

    /// The embedded configuration of that name, such as `yolov9-c-dysample`.
    ///
    /// # Errors
    /// [`ConfigError::UnknownBuiltin`] with the nearest name.
    pub fn builtin(name: &str) -> Result<Self, ConfigError> {
        let config = builtin::find(name)?;
        Self::from_yaml(config.name, config.yaml)
    }

    /// The same configuration for another number of classes, as training on other data makes it.
    #[must_use]
    pub fn with_classes(mut self, classes: usize) -> Self {
        self.classes = classes;
        self
    }

    /// The text that this was read from, with that number of classes as its `nc`. Where `nc` is written in an unusual way,
    /// the text stays as it is, and the class count of the weights goes on overruling it.
    #[must_use]
    pub fn source_with_classes(&self, classes: usize) -> String {
        if let Ok(serde_json::Value::Object(mut config)) = serde_json::from_str(&self.source) {
            config.insert("nc".into(), classes.into());
            return serde_json::Value::Object(config).to_string();
        }
        let line = |line: &str| match line.strip_prefix("nc:") {
            Some(rest) => {
                let comment = rest.find('#').map_or("", |at| &rest[at..]);
                format!("nc: {classes}  {comment}").trim_end().to_owned()
            }
            None => line.to_owned(),
        };
        let edited: String = self.source.lines().map(|text| line(text) + "\n").collect();
        // YAML has more ways to write a key than that line.
        match Self::from_yaml(&self.name, &edited) {
            Ok(config) if config.classes == classes => edited,
            _ => self.source.clone(),
        }
    }
}

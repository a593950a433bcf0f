//! Ways in which a configuration can be wrong.

use thiserror::Error;

use super::did_you_mean;
use super::module::meant_by;

/// Why a YAML model configuration was refused. Every message names the file or built-in configuration first.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{what} {path}: cannot be read")]
    Read {
        /// What the file is: `config`, `names` or `data YAML`.
        what: &'static str,
        /// The file.
        path: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The text is not YAML.
    #[error("config {name}: not valid YAML: {message}")]
    Syntax {
        /// The configuration.
        name: String,
        /// The parser's message, which carries line and column.
        message: String,
    },
    /// A key that every model needs is absent.
    #[error("config {name}: key `{key}` is missing{}", meant_by(hint.as_deref()))]
    MissingKey {
        /// The configuration.
        name: String,
        /// The absent key.
        key: &'static str,
        /// A key of the file that looks like it.
        hint: Option<String>,
    },
    /// A value has the wrong kind.
    #[error("config {name}, line {line}: {what}: expected {expected}, found {found}")]
    Value {
        /// The configuration.
        name: String,
        /// Line, from 1.
        line: u64,
        /// Which value.
        what: String,
        /// What would have been right.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A layer names a module that does not exist.
    #[error("config {name}, line {line}: layer {layer}: unknown module `{module}`{}", did_you_mean(*nearest))]
    UnknownModule {
        /// The configuration.
        name: String,
        /// Line, from 1.
        line: u64,
        /// Index of the layer over backbone and head.
        layer: usize,
        /// The name as written.
        module: String,
        /// The known name spelt most like it.
        nearest: Option<&'static str>,
    },
    /// No embedded configuration has this name, and no such file exists.
    #[error("config {name}: neither a file nor a built-in configuration{}", did_you_mean(*nearest))]
    UnknownBuiltin {
        /// The name as given.
        name: String,
        /// The built-in name spelt most like it.
        nearest: Option<&'static str>,
    },
    /// A file of class names holds none.
    #[error(
        "names {path}: {message}; expected a YAML file with `names:` (a list or a map from id to name), or one name per line"
    )]
    Names {
        /// The file.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// A data YAML names no images.
    #[error("data YAML {path}: {message}; expected a YAML file with `names:` and `val:`, a folder or list of images")]
    Data {
        /// The file.
        path: String,
        /// What is wrong.
        message: String,
    },
}

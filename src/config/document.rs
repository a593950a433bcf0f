//! The tree of a YAML config, for the readers of all formats.

use serde_saphyr::Spanned;

use super::yaml::YamlNode;
use super::{Argument, ConfigError};
use crate::untrusted::{printable, shortened};

/// The top-level map and the name that errors carry.
pub(super) struct Document<'a> {
    pub(super) name: &'a str,
    pub(super) entries: &'a [(String, Spanned<YamlNode>)],
}

impl Document<'_> {
    pub(super) fn get(&self, key: &str) -> Option<&Spanned<YamlNode>> {
        self.entries.iter().find(|(k, _)| k == key).map(|(_, value)| value)
    }

    pub(super) fn wrong(
        &self,
        node: &Spanned<YamlNode>,
        what: impl Into<String>,
        expected: &'static str,
    ) -> ConfigError {
        ConfigError::Value {
            name: self.name.into(),
            line: node.referenced.line(),
            what: what.into(),
            expected,
            found: node.value.describe(),
        }
    }

    pub(super) fn unknown_module(
        &self,
        node: &Spanned<YamlNode>,
        layer: usize,
        module: &str,
        nearest: Option<&'static str>,
    ) -> ConfigError {
        let (name, line) = (self.name.into(), node.referenced.line());
        ConfigError::UnknownModule {
            name,
            line,
            layer,
            module: shortened(&printable(module), 80).into_owned(),
            nearest,
        }
    }
}

/// A value, or what is none.
pub(super) fn argument(node: &Spanned<YamlNode>) -> Result<Argument, &Spanned<YamlNode>> {
    Ok(match &node.value {
        YamlNode::Null => Argument::None,
        YamlNode::Bool(value) => Argument::Bool(*value),
        YamlNode::Int(value) => Argument::Int(*value),
        YamlNode::Float(value) => Argument::Float(*value),
        YamlNode::Text(text) => match text.as_str() {
            // `None` is a plain string in YAML; the official parser evaluates it as Python.
            "None" => Argument::None,
            "nc" => Argument::Classes,
            "anchors" => Argument::Anchors,
            "True" => Argument::Bool(true),
            "False" => Argument::Bool(false),
            _ => Argument::Text(text.clone()),
        },
        YamlNode::List(items) => Argument::List(items.iter().map(argument).collect::<Result<_, _>>()?),
        YamlNode::Map(_) => return Err(node),
    })
}

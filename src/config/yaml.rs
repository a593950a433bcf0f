//! YAML as a tree that remembers lines, so that every later complaint can name one.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::untrusted::{printable, shortened};

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum YamlNode {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<YamlNode>>),
    Map(Vec<(String, Spanned<YamlNode>)>),
}

impl YamlNode {
    /// What a message calls this value.
    pub(super) fn describe(&self) -> String {
        match self {
            YamlNode::Null => "nothing".into(),
            YamlNode::Bool(value) => format!("`{value}`"),
            YamlNode::Int(value) => format!("`{value}`"),
            YamlNode::Float(value) => format!("`{value}`"),
            YamlNode::Text(value) => format!("the text `{}`", shortened(&printable(value), 80)),
            YamlNode::List(items) => format!("a list of {}", items.len()),
            YamlNode::Map(entries) => format!("a map of {}", entries.len()),
        }
    }
}

/// Parses a document.
pub(super) fn parse(text: &str) -> Result<YamlNode, String> {
    serde_saphyr::from_str::<YamlNode>(text).map_err(|error| error.without_snippet().to_string())
}

impl<'de> Deserialize<'de> for YamlNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = YamlNode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<YamlNode, E> {
        Ok(YamlNode::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<YamlNode, E> {
        Ok(YamlNode::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<YamlNode, E> {
        Ok(YamlNode::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<YamlNode, E> {
        Ok(i64::try_from(value).map_or(YamlNode::Float(value as f64), YamlNode::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<YamlNode, E> {
        Ok(YamlNode::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<YamlNode, E> {
        Ok(YamlNode::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<YamlNode, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<YamlNode>>()? {
            items.push(item);
        }
        Ok(YamlNode::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<YamlNode, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<YamlNode, Spanned<YamlNode>>()? {
            let key = match key {
                YamlNode::Text(key) => key,
                other => other.describe().trim_matches('`').to_owned(),
            };
            entries.push((key, value));
        }
        Ok(YamlNode::Map(entries))
    }
}

/// The numbers of a map of nothing but numbers, such as a file of hyperparameters, in its order.
///
/// # Errors
/// A sentence that says what is no such map, and the line of what is no number.
pub fn numbers_of_yaml(text: &str) -> Result<Vec<(String, f64)>, String> {
    let YamlNode::Map(entries) = parse(text.trim_start_matches('\u{feff}'))? else {
        return Err("not a map of names and numbers".into());
    };
    let number = |(key, value): (String, Spanned<YamlNode>)| match value.value {
        YamlNode::Int(number) => Ok((key, number as f64)),
        YamlNode::Float(number) => Ok((key, number)),
        // YAML 1.1 takes 1e-3 for a text.
        YamlNode::Text(ref text) if text.parse::<f64>().is_ok() => Ok((key, text.parse().unwrap_or_default())),
        other => Err(format!("line {}: `{key}` is {}; expected a number", value.referenced.line(), other.describe())),
    };
    entries.into_iter().map(number).collect()
}

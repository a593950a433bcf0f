//! YAML as a tree that remembers lines, so that every later complaint can name one.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::untrusted::{printable, shortened};

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Node>>),
    Map(Vec<(String, Spanned<Node>)>),
}

impl Node {
    /// What a message calls this value.
    pub(super) fn describe(&self) -> String {
        match self {
            Node::Null => "nothing".into(),
            Node::Bool(value) => format!("`{value}`"),
            Node::Int(value) => format!("`{value}`"),
            Node::Float(value) => format!("`{value}`"),
            Node::Text(value) => format!("the text `{}`", shortened(&printable(value), 80)),
            Node::List(items) => format!("a list of {}", items.len()),
            Node::Map(entries) => format!("a map of {}", entries.len()),
        }
    }
}

/// Parses a document.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    serde_saphyr::from_str::<Node>(text).map_err(|error| error.without_snippet().to_string())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(i64::try_from(value).map_or(Node::Float(value as f64), Node::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Node>>()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Node, Spanned<Node>>()? {
            let key = match key {
                Node::Text(key) => key,
                other => other.describe().trim_matches('`').to_owned(),
            };
            entries.push((key, value));
        }
        Ok(Node::Map(entries))
    }
}

/// The numbers of a map of nothing but numbers, such as a file of hyperparameters, in its order.
///
/// # Errors
/// A sentence that says what is no such map, and the line of what is no number.
pub fn numbers_of_yaml(text: &str) -> Result<Vec<(String, f64)>, String> {
    let Node::Map(entries) = parse(text.trim_start_matches('\u{feff}'))? else {
        return Err("not a map of names and numbers".into());
    };
    let number = |(key, value): (String, Spanned<Node>)| match value.value {
        Node::Int(number) => Ok((key, number as f64)),
        Node::Float(number) => Ok((key, number)),
        // YAML 1.1 takes 1e-3 for a text.
        Node::Text(ref text) if text.parse::<f64>().is_ok() => Ok((key, text.parse().unwrap_or_default())),
        other => Err(format!("line {}: `{key}` is {}; expected a number", value.referenced.line(), other.describe())),
    };
    entries.into_iter().map(number).collect()
}

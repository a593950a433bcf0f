//! Values in the `args` list of a layer.

use std::fmt;

/// One argument of a module, after the names that the config format knows (`nc`, `anchors`, `None`) were recognised.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// `None` or null.
    None,
    /// The number of classes, written `nc`.
    Classes,
    /// The number of anchors, written `anchors`.
    Anchors,
    /// An integer.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Any other string.
    Text(String),
    /// A nested list.
    List(Vec<Argument>),
}

/// As YAML reads it back.
impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Argument::None => f.write_str("None"),
            Argument::Classes => f.write_str("nc"),
            Argument::Anchors => f.write_str("anchors"),
            Argument::Int(value) => write!(f, "{value}"),
            Argument::Float(value) => write!(f, "{value:?}"),
            Argument::Bool(value) => f.write_str(if *value { "True" } else { "False" }),
            Argument::Text(value) => write!(f, "'{}'", value.replace('\'', "''")),
            Argument::List(items) => f.write_str(&list(items)),
        }
    }
}

/// `[a, b]`, as the YAML files have it.
pub(crate) fn list(items: &[impl fmt::Display]) -> String {
    format!("[{}]", items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

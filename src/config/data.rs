//! Data YAML files: where the images of a dataset are, and what its classes are called.

use std::path::{Path, PathBuf};

use super::ConfigError;
use super::names::names_of;
use super::yaml::{self, YamlNode};
use crate::untrusted::{FileKind, read_text};

/// A data YAML file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataConfig {
    /// One name per class.
    pub class_names: Vec<String>,
    /// `path`, if given: what the splits are relative to.
    pub root: Option<PathBuf>,
    /// `train`, `val`, `test` and what each lists: folders of images, or text files of paths.
    pub splits: Vec<(String, Vec<PathBuf>)>,
}

/// The keys that name images.
const SPLITS: [&str; 3] = ["train", "val", "test"];

impl DataConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError::Read`] when it cannot be read, [`ConfigError::Names`] when it has no class names,
    /// [`ConfigError::Data`] when it names no images.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display().to_string();
        let unreadable = |source| ConfigError::Read { what: "data YAML", path: shown.clone(), source };
        let text = read_text(path, FileKind::Config).map_err(unreadable)?;
        let failed = |message: String| ConfigError::Data { path: shown.clone(), message };
        let root = yaml::parse(text.trim_start_matches('\u{feff}')).map_err(failed)?;
        let class_names = names_of(&root).map_err(|message| ConfigError::Names { path: shown.clone(), message })?;
        let entries = if let YamlNode::Map(entries) = root { entries } else { Vec::new() };
        let value = |key: &str| entries.iter().find(|(name, _)| name == key).map(|(_, value)| &value.value);
        let path_of = |key: &str, node: &YamlNode| match node {
            YamlNode::Text(text) => Ok(PathBuf::from(text)),
            other => Err(failed(format!("`{key}` has {}; a path that is a number stands in quotes", other.describe()))),
        };
        match value("nc") {
            None | Some(YamlNode::Null) => {}
            Some(YamlNode::Int(count)) if usize::try_from(*count) == Ok(class_names.len()) => {}
            Some(other) => log::warn!(
                "data YAML {shown}: `nc` is {}, and there are {} names, which decide",
                other.describe(),
                class_names.len()
            ),
        }
        let mut splits = Vec::new();
        for split in SPLITS {
            let listed = match value(split) {
                None | Some(YamlNode::Null) => continue,
                Some(YamlNode::Text(place)) => vec![place.into()],
                Some(YamlNode::List(items)) => {
                    items.iter().map(|item| path_of(split, &item.value)).collect::<Result<_, _>>()?
                }
                Some(other) => {
                    return Err(failed(format!("`{split}` is {}; expected a path or paths", other.describe())));
                }
            };
            splits.push((split.to_owned(), listed));
        }
        if splits.is_empty() {
            return Err(failed("it has none of `train`, `val` and `test`".into()));
        }
        let root =
            value("path").filter(|node| **node != YamlNode::Null).map(|node| path_of("path", node)).transpose()?;
        Ok(Self { class_names, root, splits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DataConfig, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        DataConfig::from_file(file.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn splits_are_paths_or_lists_of_paths() {
        let data = read("path: ../set\ntrain: [a, b]\nval: images/val\ntest:\nnc: 1\nnames: {0: cat}\n").unwrap();
        assert_eq!(data.root, Some("../set".into()));
        let splits = [("train".into(), vec!["a".into(), "b".into()]), ("val".into(), vec!["images/val".into()])];
        assert_eq!(data.splits, splits);
        assert!(read("names: [cat]").unwrap_err().contains("none of `train`, `val` and `test`"));
        assert!(read("val: 3\nnames: [cat]").unwrap_err().contains("`val` is `3`"));
        assert!(read("val: x").unwrap_err().contains("key `names` is missing"));
    }
}

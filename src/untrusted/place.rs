//! Paths below an output folder, as journals carry them.

use std::io::{Error, ErrorKind, Result};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error as ThisError;

/// The longest path of the systems that we run on.
const MAX_BYTES: usize = 4096;

/// A path that stays below the folder that it is joined to: relative, of plain names only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct RelativePath(String);

/// Why a path is no place below a folder.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error("`{path}` is not a path below the output folder: {reason}", path = super::printable(path))]
pub struct RelativePathError {
    path: String,
    reason: &'static str,
}

impl RelativePath {
    /// Checks a path.
    ///
    /// # Errors
    /// When it is empty, absolute, too long, or has a part that is not a plain name (`..`, say).
    pub fn new(path: impl Into<String>) -> std::result::Result<Self, RelativePathError> {
        let path = path.into();
        let reason = if path.is_empty() {
            "it is empty"
        } else if path.len() > MAX_BYTES {
            "it is too long"
        } else if path.contains('\0') {
            "it has a zero byte"
        } else if !Path::new(&path).components().all(|part| matches!(part, Component::Normal(_))) {
            "it is absolute, or has parts such as `..`"
        } else if Path::new(&path).components().collect::<PathBuf>().as_os_str() != path.as_str() {
            // Else two texts could mean one place, of which only one is known.
            "it is not written as plainly as it can be"
        } else {
            return Ok(Self(path));
        };
        let end = path.floor_char_boundary(80);
        Err(RelativePathError { path: path[..end].to_owned(), reason })
    }

    /// As a path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl TryFrom<String> for RelativePath {
    type Error = RelativePathError;

    fn try_from(path: String) -> std::result::Result<Self, RelativePathError> {
        Self::new(path)
    }
}

/// `relative` below `folder`, on a way that no symbolic link leads elsewhere: a folder that somebody prepared must not
/// decide where files are written or taken from. The last part may be a link, for those who replace it.
///
/// # Errors
/// When a folder on the way is a symbolic link or something else than a folder.
pub fn below(folder: &Path, relative: &Path) -> Result<PathBuf> {
    let mut path = folder.to_path_buf();
    let mut parts = relative.components().peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        if parts.peek().is_none() {
            break;
        }
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(metadata) => {
                let what = if metadata.is_symlink() { "a symbolic link, which is not followed" } else { "no folder" };
                return Err(Error::new(ErrorKind::InvalidInput, format!("{} is {what}", path.display())));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                path.extend(parts);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_stay_below_their_folder() {
        for place in ["a.jpg", "a/b/c.jpg", "..a/b..jpg"] {
            assert_eq!(RelativePath::new(place).unwrap().as_path(), Path::new(place));
        }
        for path in
            ["", "/etc/passwd", "../a", "a/../../b", "a/..", "./a", "a\0b", "a//b", "a/", "a/.", &"a/".repeat(3000)]
        {
            assert!(RelativePath::new(path).is_err(), "{path}");
        }
        assert!(serde_json::from_str::<RelativePath>("\"../a\"").is_err());
    }

    proptest! {
        #[test]
        fn no_text_leads_out(path in any::<String>()) {
            if let Ok(place) = RelativePath::new(path) {
                let joined = Path::new("/out").join(place.as_path());
                prop_assert!(joined.starts_with("/out") && joined.components().count() > 2);
                prop_assert!(!joined.components().any(|part| part == Component::ParentDir));
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_on_the_way_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("real/deep")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("real"), dir.path().join("link")).unwrap();
        assert!(below(dir.path(), Path::new("real/deep/new/a.jpg")).unwrap().ends_with("real/deep/new/a.jpg"));
        assert!(below(dir.path(), Path::new("link")).is_ok());
        let error = below(dir.path(), Path::new("link/deep/a.jpg")).unwrap_err().to_string();
        assert!(error.contains("is a symbolic link, which is not followed"), "{error}");
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(below(dir.path(), Path::new("file/a.jpg")).is_err());
    }
}

//! Patterns such as `photos/**/img_*.jpg`, for shells that do not expand them, and for more files than a command line
//! holds.

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

/// A pattern and where to look for what matches it.
#[derive(Debug)]
pub(super) struct Pattern {
    /// Everything before the first part with a wildcard.
    pub(super) folder: PathBuf,
    /// How many levels below the folder something can match.
    pub(super) depth: usize,
    matcher: GlobMatcher,
}

impl Pattern {
    /// Nothing if there is no wildcard in it, a sentence if it is not well-formed.
    pub(super) fn parse(input: &Path) -> Option<Result<Self, String>> {
        let wild = |part: &Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']);
        let parts: Vec<Component<'_>> = input.components().collect();
        let first = parts.iter().position(wild)?;
        let folder: PathBuf = parts[..first].iter().collect();
        let rest: PathBuf = parts[first..].iter().collect();
        let any_depth = parts[first..].iter().any(|part| part.as_os_str() == "**");
        let glob = GlobBuilder::new(&rest.to_string_lossy()).literal_separator(true).build();
        Some(glob.map_err(|error| format!("not a pattern: {}", error.kind())).map(|glob| Self {
            folder: if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder },
            depth: if any_depth { usize::MAX } else { parts.len() - first },
            matcher: glob.compile_matcher(),
        }))
    }

    pub(super) fn matches(&self, path: &Path) -> bool {
        path.strip_prefix(&self.folder).is_ok_and(|rest| self.matcher.is_match(rest))
    }
}

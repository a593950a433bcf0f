//! From the arguments to a list of pictures.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;
use yolo9::embedded;
use yolo9::picture::{EXTENSIONS, Picture, PictureError};

/// One picture of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    place: Place,
    /// Where its results go below the output folder: the tree of a folder is mirrored.
    pub(crate) relative: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    /// The sample picture inside the program.
    Embedded,
}

impl Source {
    pub(crate) fn sample() -> Self {
        Self { place: Place::Embedded, relative: embedded::SAMPLE_NAME.into() }
    }

    fn file(path: PathBuf, relative: PathBuf) -> Self {
        Self { place: Place::File(path), relative }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Embedded => None,
        }
    }

    /// What messages and results call it.
    pub(crate) fn name(&self) -> String {
        self.path().unwrap_or(&self.relative).display().to_string()
    }

    pub(crate) fn open(&self, max_pixels: u64) -> Result<Picture, PictureError> {
        match &self.place {
            Place::File(path) => Picture::open(path, max_pixels),
            Place::Embedded => Picture::decode(embedded::SAMPLE_PICTURE, max_pixels),
        }
    }
}

/// Pictures, and what could not be used with the reason.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) pictures: Vec<Source>,
    pub(crate) failed: Vec<(PathBuf, String)>,
}

/// Expands folders (files with a picture's extension, sorted by path). A file is taken whatever its name.
///
/// What lies in `out` is left out: a second run over the same tree would search its own results.
pub(crate) fn expand(inputs: &[PathBuf], recursive: bool, out: &Path) -> Sources {
    let out = out.canonicalize().ok();
    let mut sources = Sources::default();
    for input in inputs {
        match std::fs::metadata(input) {
            Err(error) => sources.failed.push((input.clone(), error.to_string())),
            Ok(metadata) if metadata.is_dir() => folder(input, recursive, out.as_deref(), &mut sources),
            Ok(metadata) if !metadata.is_file() => {
                sources.failed.push((input.clone(), "neither a file nor a folder".into()));
            }
            Ok(_) => {
                let relative = input.file_name().map_or_else(|| input.clone(), PathBuf::from);
                sources.pictures.push(Source::file(input.clone(), relative));
            }
        }
    }
    sources
}

fn folder(folder: &Path, recursive: bool, out: Option<&Path>, sources: &mut Sources) {
    let depth = if recursive { usize::MAX } else { 1 };
    // Follows links to files and folders; WalkDir reports a loop as an error.
    let walk = WalkDir::new(folder).max_depth(depth).follow_links(true).sort_by_file_name();
    let is_out = |path: &Path| out.is_some() && path.canonicalize().ok().as_deref() == out;
    let walk = walk
        .into_iter()
        .filter_entry(|entry| !(entry.depth() > 0 && entry.file_type().is_dir() && is_out(entry.path())));
    for entry in walk {
        match entry {
            Ok(entry) if entry.file_type().is_file() && is_picture(entry.path()) => {
                let path = entry.into_path();
                let relative = path.strip_prefix(folder).map_or_else(|_| path.clone(), Path::to_path_buf);
                sources.pictures.push(Source::file(path, relative));
            }
            Ok(_) => {}
            Err(error) if error.loop_ancestor().is_some() => log::warn!("passed over: {error}"),
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_path_buf();
                sources.failed.push((path, error.to_string()));
            }
        }
    }
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_give_their_pictures_with_mirrored_places() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["b.JPG", "a.png", "notes.txt", "sub/c.webp", "out/a.png"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let relative = |recursive| {
            let sources =
                expand(&[dir.path().to_path_buf(), dir.path().join("notes.txt")], recursive, &dir.path().join("out"));
            assert!(sources.failed.is_empty());
            sources.pictures.iter().map(|s| s.relative.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(relative(false), ["a.png", "b.JPG", "notes.txt"]);
        assert_eq!(relative(true), ["a.png", "b.JPG", "sub/c.webp", "notes.txt"]);
        assert_eq!(expand(&[dir.path().join("none.jpg")], false, Path::new("out")).failed.len(), 1);
    }
}

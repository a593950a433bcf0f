//! Where the files of single pictures go: the run's folder, unique names in it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use walkdir::WalkDir;
use yolo9::output::{Header, Record, crop_places, is_temporary, sweep, temporary_beside, write_atomically};
use yolo9::untrusted::below;

use crate::journal::JOURNAL;
use crate::sources::Fingerprint;

/// Runs without --out go to the first free one of `exp`, `exp2`, … in here.
pub(crate) const RUNS: &str = "runs/detect";

/// Where label files go below the output folder.
pub(crate) const LABELS: &str = "labels";

/// Where cut-out objects go below the output folder, in a folder for each class.
pub(crate) const CROPS: &str = "crops";

/// Where the data and small pictures of a gallery go below the output folder.
pub(crate) const GALLERY: &str = "gallery";

/// Inputs that failed, with the reason, one a line: below the output folder, absent if there is none.
pub(crate) const FAILED: &str = "failed.jsonl";

/// The page of a gallery, below the output folder.
pub(crate) const PAGE: &str = "gallery.html";

/// Whether a place below the output folder is that of a file of the run itself, in any case: some systems make no
/// difference.
pub(crate) fn is_reserved(place: &Path) -> bool {
    let name = place.to_string_lossy().to_ascii_lowercase();
    let file = place.file_name().unwrap_or_default().to_string_lossy();
    [JOURNAL, FAILED, PAGE].contains(&name.as_str()) || is_temporary(&file)
}

/// The label file of the picture at a place below the output folder.
pub(crate) fn label_place(place: &Path) -> PathBuf {
    Path::new(LABELS).join(place.with_extension("txt"))
}

/// Where the thumbnail of a picture lies below the output folder.
pub(crate) fn thumbnail_place(place: &Path) -> PathBuf {
    let mut name = Path::new(GALLERY).join("thumbs").join(place).into_os_string();
    name.push(".jpg");
    name.into()
}

/// The files that a picture has, below the output folder.
pub(crate) fn files_of(record: &Record, header: &Header) -> Vec<PathBuf> {
    let detections = record.detections();
    let (Some(result), Some(place)) = (record.result(&detections, &header.class_names), record.place()) else {
        return Vec::new();
    };
    let written = header.written;
    let mut files = Vec::new();
    if written.labels && !detections.is_empty() {
        files.push(label_place(place));
    }
    if written.thumbnails {
        files.push(thumbnail_place(place));
    }
    if written.crops {
        files.extend(crop_places(&result, place).flatten().map(|crop| Path::new(CROPS).join(crop)));
    }
    if written.drawn {
        files.push(place.to_path_buf());
    }
    files
}

/// Deletes the files that an earlier run wrote of a picture, before it is searched again: it may have other objects now.
pub(crate) fn delete_files_of(record: &Record, header: &Header, folder: &Path) -> anyhow::Result<()> {
    for file in files_of(record, header) {
        let context = || format!("{} cannot be deleted", folder.join(&file).display());
        let path = below(folder, &file).with_context(context)?;
        if is_regular(&path) {
            std::fs::remove_file(&path).with_context(context)?;
        }
    }
    Ok(())
}

/// Whether a path is a file itself, not a link to one.
pub(crate) fn is_regular(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Writes [`FAILED`], or deletes that of an earlier run.
pub(crate) fn write_failures(folder: &Path, failures: &[(String, String)]) -> anyhow::Result<()> {
    let path = folder.join(FAILED);
    if failures.is_empty() {
        return match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{} cannot be deleted", path.display()))
            }
            _ => Ok(()),
        };
    }
    let line =
        |(image, error): &(String, String)| format!("{}\n", serde_json::json!({ "image": image, "error": error }));
    let text: String = failures.iter().map(line).collect();
    Ok(write_atomically(&path, text.as_bytes())?)
}

/// The output folder of a run, created and known to be writable.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Creates the folder. An existing one with something in it is only used if the user said so.
    pub(crate) fn create(wanted: Option<&Path>, exist_ok: bool) -> anyhow::Result<Self> {
        let path = match wanted {
            Some(path) => Self::named(path, exist_ok)?,
            None => Self::numbered()?,
        };
        temporary_beside(&path.join("result"))
            .with_context(|| format!("output folder {} is not writable; choose another with --out", path.display()))?;
        Ok(Self { path })
    }

    fn named(path: &Path, exist_ok: bool) -> anyhow::Result<PathBuf> {
        std::fs::create_dir_all(path).with_context(|| {
            format!("output folder {} cannot be created; choose another with --out", path.display())
        })?;
        let mut entries = std::fs::read_dir(path).with_context(|| format!("output folder {}", path.display()))?;
        if !exist_ok && entries.next().is_some() {
            anyhow::bail!(
                "output folder {} exists and is not empty; choose another with --out, or write into it with --exist-ok",
                path.display()
            );
        }
        Ok(path.to_path_buf())
    }

    fn numbered() -> anyhow::Result<PathBuf> {
        let context = || format!("output folder {RUNS} cannot be created; choose another with --out");
        std::fs::create_dir_all(RUNS).with_context(context)?;
        for number in 1.. {
            let name = if number == 1 { "exp".to_owned() } else { format!("exp{number}") };
            let path = Path::new(RUNS).join(name);
            // Creating fails when it exists, so two runs at the same time get different folders.
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(context),
            }
        }
        unreachable!("numbers do not end")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Deletes what a killed run left of files that it was writing. What cannot be deleted harms no run.
    pub(crate) fn sweep(&self) {
        for entry in WalkDir::new(&self.path).into_iter().filter_map(Result::ok) {
            let path = entry.path();
            if let Err(error) = sweep(path) {
                log::debug!("{} cannot be deleted: {error}", path.display());
            }
        }
    }
}

/// Places of results that were given away.
#[derive(Debug, Default)]
pub(crate) struct Places {
    claimed: HashSet<Fingerprint>,
    /// The next number of a name that was asked for before: a list may hold a million pictures of the same name.
    numbers: HashMap<PathBuf, usize>,
}

impl Places {
    /// A place below the output folder that no other result of the run has: `a.jpg`, then `a-2.jpg`, … With labels also
    /// one whose label file is its own, so that `a.png` after `a.jpg` becomes `a-2.png` with `a-2.txt`.
    pub(crate) fn claim(&mut self, relative: &Path, with_labels: bool) -> PathBuf {
        let moved = relative.components().next().and_then(|first| {
            let reserved = [CROPS, GALLERY].iter().any(|folder| first.as_os_str() == *folder);
            let rest: PathBuf = relative.components().skip(1).collect();
            // `crops/a.jpg` of an older output folder would meet the crops of this one.
            (with_labels && reserved).then(|| Path::new(&format!("{}-2", first.as_os_str().display())).join(rest))
        });
        let relative = moved.as_deref().unwrap_or(relative);
        let stem = relative.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let extension = relative.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
        let label = |place: &Path| Fingerprint::of(&label_place(place));
        let mut place = relative.to_path_buf();
        let mut number = self.numbers.get(relative).copied().unwrap_or(2);
        let taken = |place: &Path| {
            self.claimed.contains(&Fingerprint::of(place))
                || is_reserved(place)
                || with_labels && (self.claimed.contains(&label(place)) || place == Path::new(LABELS))
        };
        while taken(&place) {
            place = relative.with_file_name(format!("{stem}-{number}{extension}"));
            number += 1;
            self.numbers.insert(relative.to_path_buf(), number);
        }
        self.claimed.insert(Fingerprint::of(&*place));
        if with_labels {
            self.claimed.insert(label(&place));
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_equal_names_get_different_places() {
        let mut places = Places::default();
        let names = ["a.jpg", "a.jpg", "b/a.jpg", "a.jpg", "a"].map(|name| places.claim(Path::new(name), false));
        assert_eq!(names, ["a.jpg", "a-2.jpg", "b/a.jpg", "a-3.jpg", "a"].map(PathBuf::from));
    }

    #[test]
    fn names_of_files_of_the_run_itself_are_not_given_away() {
        let mut places = Places::default();
        let own = ["failed.jsonl", ".journal.jsonl", "Gallery.HTML", ".yolo9-0123456789ab.part", "b/failed.jsonl"];
        let names = own.map(|name| places.claim(Path::new(name), false));
        let expected =
            ["failed-2.jsonl", ".journal-2.jsonl", "Gallery-2.HTML", ".yolo9-0123456789ab-2.part", "b/failed.jsonl"];
        assert_eq!(names, expected.map(PathBuf::from));
    }

    #[test]
    fn with_labels_each_picture_has_its_own_label_file() {
        let mut places = Places::default();
        let given = ["a.jpg", "a.png", "b/a.png", "labels", "crops/a.jpg", "gallery/x/a.jpg"];
        let names = given.map(|name| places.claim(Path::new(name), true));
        let expected = ["a.jpg", "a-2.png", "b/a.png", "labels-2", "crops-2/a.jpg", "gallery-2/x/a.jpg"];
        assert_eq!(names, expected.map(PathBuf::from));
    }

    #[test]
    fn a_folder_with_something_in_it_is_not_written_into() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("precious"), "").unwrap();
        let error = RunFolder::create(Some(dir.path()), false).unwrap_err().to_string();
        assert!(error.contains("not empty") && error.contains("--exist-ok"), "{error}");
        assert!(RunFolder::create(Some(dir.path()), true).is_ok());
    }
}

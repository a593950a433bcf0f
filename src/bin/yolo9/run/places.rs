//! Where the files of a run go: its folder, unique names in it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use walkdir::WalkDir;
use yolo9::output::{is_temporary, sweep, temporary_beside};

use super::sources::Fingerprint;

/// Runs without --out go to the first free one of `exp`, `exp2`, … in here.
pub(crate) const RUNS: &str = "runs/detect";

/// The journal, below the output folder.
pub(crate) const JOURNAL: &str = ".journal.jsonl";

/// Inputs that failed, with the reason, one a line: below the output folder, absent if nothing failed.
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

/// Whether a path is a file itself, not a link to one.
pub(crate) fn is_regular(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file())
}

/// The output folder of a run, created and known to be writable.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    /// Whether there was nothing in it.
    fresh: bool,
}

impl RunFolder {
    /// Creates the folder. An existing one with something in it is only used if the user said so.
    pub(crate) fn create(path: &Path, exist_ok: bool) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).with_context(|| {
            format!("output folder {} cannot be created; choose another with --out", path.display())
        })?;
        let mut entries = std::fs::read_dir(path).with_context(|| format!("output folder {}", path.display()))?;
        anyhow::ensure!(
            exist_ok || entries.next().is_none(),
            "output folder {} exists and is not empty; choose another with --out, or write into it with --exist-ok",
            path.display()
        );
        Self::writable(path.to_path_buf(), !exist_ok)
    }

    fn writable(path: PathBuf, fresh: bool) -> anyhow::Result<Self> {
        temporary_beside(&path.join("result"))
            .with_context(|| format!("output folder {} is not writable; choose another with --out", path.display()))?;
        Ok(Self { path, fresh })
    }

    /// The first free one of `project/name`, `project/name2`, …; with `exist_ok` the first of them in any case.
    pub(crate) fn numbered(project: &Path, name: &Path, exist_ok: bool) -> anyhow::Result<Self> {
        if exist_ok {
            return Self::create(&project.join(name), true);
        }
        let context =
            || format!("output folder {} cannot be created; choose another with --out", project.join(name).display());
        std::fs::create_dir_all(project).with_context(context)?;
        for number in 1.. {
            let mut numbered = name.as_os_str().to_owned();
            if number > 1 {
                numbered.push(number.to_string());
            }
            let path = project.join(numbered);
            // Creating fails when it exists, so two runs at the same time get different folders.
            match std::fs::create_dir(&path) {
                Ok(()) => return Self::writable(path, true),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(context),
            }
        }
        unreachable!("numbers do not end")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Deletes the folder if there is nothing in it but notes about what failed, and the folders above it that are empty
    /// then. Gives whether it is gone. With `exist_ok` it stays: the notes may be those of an earlier run.
    pub(crate) fn remove_if_empty(&self) -> bool {
        let names = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.ok().and_then(|entry| entry.file_name().into_string().ok())
        };
        let Ok(entries) = std::fs::read_dir(&self.path) else { return false };
        if !self.fresh
            || !entries.map(names).all(|name| name.is_some_and(|name| [JOURNAL, FAILED].contains(&name.as_str())))
        {
            return false;
        }
        for name in [JOURNAL, FAILED] {
            // What is not there need not be deleted; what cannot be deleted keeps the folder.
            let _ = std::fs::remove_file(self.path.join(name));
        }
        let gone = std::fs::remove_dir(&self.path).is_ok();
        if gone && self.path.starts_with(RUNS) {
            // With other runs in them they stay.
            let _ = std::fs::remove_dir(RUNS).and_then(|()| std::fs::remove_dir("runs"));
        }
        gone
    }
}

/// Deletes what killed runs left, so deep below a folder, of files that they were writing. What cannot be deleted, or listed,
/// harms no run.
pub(crate) fn sweep_below(folder: &Path, depth: usize) {
    for entry in WalkDir::new(folder).max_depth(depth).into_iter().filter_map(Result::ok) {
        if let Err(error) = sweep(entry.path()) {
            log::debug!("{} cannot be deleted: {error}", entry.path().display());
        }
    }
}

/// Folders of outputs below the output folder, which results of an older run may lie in.
const FOLDERS: [&str; 2] = ["crops", "gallery"];

/// Places of results that were given away.
#[derive(Debug, Default)]
pub(crate) struct Places {
    claimed: HashSet<Fingerprint>,
    /// The next number of a name that was asked for before: a list may hold a million images of the same name.
    numbers: HashMap<PathBuf, usize>,
}

impl Places {
    /// A place below the output folder that no other result of the run has: `a.jpg`, then `a-2.jpg`, … With labels also
    /// one whose label file is its own, so that `a.png` after `a.jpg` becomes `a-2.png` with `a-2.txt`.
    pub(crate) fn claim(&mut self, relative: &Path, with_labels: bool) -> PathBuf {
        let moved = relative.components().next().and_then(|first| {
            let reserved = FOLDERS.iter().any(|folder| first.as_os_str() == *folder);
            let rest: PathBuf = relative.components().skip(1).collect();
            // `crops/a.jpg` of an older output folder would meet the crops of this one.
            (with_labels && reserved).then(|| Path::new(&format!("{}-2", first.as_os_str().display())).join(rest))
        });
        let relative = moved.as_deref().unwrap_or(relative);
        let stem = relative.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let extension = relative.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
        let label = |place: &Path| Fingerprint::of(&place.with_extension("txt"));
        let mut place = relative.to_path_buf();
        let mut number = self.numbers.get(relative).copied().unwrap_or(2);
        let taken = |place: &Path| {
            self.claimed.contains(&Fingerprint::of(place))
                || is_reserved(place)
                || with_labels && (self.claimed.contains(&label(place)) || place == Path::new("labels"))
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
    fn with_labels_each_image_has_its_own_label_file() {
        let mut places = Places::default();
        let given = ["a.jpg", "a.png", "b/a.png", "labels", "crops/a.jpg", "gallery/x/a.jpg"];
        let names = given.map(|name| places.claim(Path::new(name), true));
        let expected = ["a.jpg", "a-2.png", "b/a.png", "labels-2", "crops-2/a.jpg", "gallery-2/x/a.jpg"];
        assert_eq!(names, expected.map(PathBuf::from));
    }
}

//! Where results go: the run's folder, unique names in it, the JSON file.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;
use yolo9::output::{JsonArray, PictureResult, folder_of, temporary_beside};

/// Runs without --out go to the first free one of `exp`, `exp2`, … in here.
pub(crate) const RUNS: &str = "runs/detect";

/// Where label files go below the output folder.
pub(crate) const LABELS: &str = "labels";

/// The output folder of a run, created and known to be writable.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    claimed: HashSet<PathBuf>,
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
        Ok(Self { path, claimed: HashSet::new() })
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

    /// A place relative to the folder that no other result of this run has: `a.jpg`, then `a-2.jpg`, … With labels also
    /// one whose label file is its own, so that `a.png` after `a.jpg` becomes `a-2.png` with `a-2.txt`.
    pub(crate) fn claim(&mut self, relative: &Path, with_labels: bool) -> PathBuf {
        let stem = relative.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let extension = relative.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
        let label = |place: &Path| Path::new(LABELS).join(place.with_extension("txt"));
        let mut place = relative.to_path_buf();
        let mut number = 2;
        while self.claimed.contains(&place)
            || with_labels && (self.claimed.contains(&label(&place)) || place == Path::new(LABELS))
        {
            place = relative.with_file_name(format!("{stem}-{number}{extension}"));
            number += 1;
        }
        self.claimed.insert(place.clone());
        if with_labels {
            self.claimed.insert(label(&place));
        }
        place
    }
}

/// `--json`: a stream, or a file that appears when the run ends, however it ends.
pub(crate) enum JsonOutput {
    Stream(JsonArray<Box<dyn Write>>),
    File(JsonArray<BufWriter<NamedTempFile>>, PathBuf),
}

impl JsonOutput {
    /// Whether the file can be written, before anything is created. Its folder may be the output folder to come.
    pub(crate) fn check(path: &Path, out: Option<&Path>, exist_ok: bool) -> anyhow::Result<()> {
        if path == Path::new("-") {
            return Ok(());
        }
        if path.is_dir() {
            anyhow::bail!("--json {}: is a folder; expected the name of a file", path.display());
        }
        if path.is_file() && !exist_ok {
            anyhow::bail!("{} exists; choose another name, or replace it with --exist-ok", path.display());
        }
        let folder = folder_of(path);
        anyhow::ensure!(
            folder.is_dir() || Some(folder) == out,
            "{} cannot be written: there is no folder {}; choose another place with --json",
            path.display(),
            folder.display()
        );
        Ok(())
    }

    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let context = || format!("{} cannot be written; choose another place with --json", path.display());
        if path == Path::new("-") {
            return Ok(Self::Stream(JsonArray::new(Box::new(std::io::stdout()))));
        }
        // A pipe or a device is written to; replacing it would be a surprise.
        if path.exists() && !path.is_file() {
            let stream = File::options().write(true).open(path).with_context(context)?;
            return Ok(Self::Stream(JsonArray::new(Box::new(stream))));
        }
        let file = temporary_beside(path).with_context(context)?;
        Ok(Self::File(JsonArray::new(BufWriter::new(file)), path.to_path_buf()))
    }

    pub(crate) fn push(&mut self, result: &PictureResult<'_>) -> std::io::Result<()> {
        match self {
            Self::Stream(array) => array.push(result),
            Self::File(array, _) => array.push(result),
        }
    }

    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Stream(array) => array.finish().map(drop).context("the JSON output cannot be written"),
            Self::File(array, path) => {
                let context = || format!("{} cannot be written", path.display());
                let mut file: NamedTempFile = into_file(array).with_context(context)?;
                file.flush().with_context(context)?;
                file.persist(&path).map(|_: File| ()).with_context(context)
            }
        }
    }
}

fn into_file(array: JsonArray<BufWriter<NamedTempFile>>) -> std::io::Result<NamedTempFile> {
    array.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_equal_names_get_different_places() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = RunFolder::create(Some(dir.path()), false).unwrap();
        let names = ["a.jpg", "a.jpg", "b/a.jpg", "a.jpg", "a"].map(|name| folder.claim(Path::new(name), false));
        assert_eq!(names, ["a.jpg", "a-2.jpg", "b/a.jpg", "a-3.jpg", "a"].map(PathBuf::from));
    }

    #[test]
    fn with_labels_each_picture_has_its_own_label_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = RunFolder::create(Some(dir.path()), false).unwrap();
        let names = ["a.jpg", "a.png", "b/a.png", "labels"].map(|name| folder.claim(Path::new(name), true));
        assert_eq!(names, ["a.jpg", "a-2.png", "b/a.png", "labels-2"].map(PathBuf::from));
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

//! Where results go: the run's folder, unique names in it, the JSON file.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;
use yolo9::output::{JsonArray, PictureResult};

/// Runs without --out go to the first free one of `exp`, `exp2`, … in here.
const RUNS: &str = "runs/detect";

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
        tempfile::Builder::new()
            .prefix(".yolo9-")
            .tempfile_in(&path)
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

    /// A place below the folder that no other result of this run has: `a.jpg`, then `a-2.jpg`, …
    pub(crate) fn claim(&mut self, relative: &Path) -> PathBuf {
        let stem = relative.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut candidate = relative.to_path_buf();
        for number in 2.. {
            if self.claimed.insert(candidate.clone()) {
                break;
            }
            let extension = relative.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
            candidate = relative.with_file_name(format!("{stem}-{number}{extension}"));
        }
        self.path.join(candidate)
    }
}

/// `--json`: stdout, or a file that appears when the run ends, however it ends.
pub(crate) enum JsonOutput {
    Stdout(JsonArray<std::io::Stdout>),
    File(JsonArray<BufWriter<NamedTempFile>>, PathBuf),
}

impl JsonOutput {
    pub(crate) fn create(path: &Path, exist_ok: bool) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdout(JsonArray::new(std::io::stdout())));
        }
        if path.exists() && !exist_ok {
            anyhow::bail!("{} exists; choose another name, or replace it with --exist-ok", path.display());
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".yolo9-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder
            .tempfile_in(folder)
            .with_context(|| format!("{} cannot be written; choose another place with --json", path.display()))?;
        Ok(Self::File(JsonArray::new(BufWriter::new(file)), path.to_path_buf()))
    }

    pub(crate) fn push(&mut self, result: &PictureResult<'_>) -> std::io::Result<()> {
        match self {
            Self::Stdout(array) => array.push(result),
            Self::File(array, _) => array.push(result),
        }
    }

    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Stdout(array) => array.finish().map(drop).context("writing JSON to stdout"),
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
        let names = ["a.jpg", "a.jpg", "b/a.jpg", "a.jpg", "a"].map(|name| folder.claim(Path::new(name)));
        let expected = ["a.jpg", "a-2.jpg", "b/a.jpg", "a-3.jpg", "a"].map(|name| dir.path().join(name));
        assert_eq!(names, expected);
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

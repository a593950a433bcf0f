//! No output may be a file that the run reads: whoever allows replacing (`--exist-ok`) means results, not inputs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use yolo9::output::{folder_of, temporary_beside};

/// Which file a path leads to, however it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum FileId {
    /// Links followed.
    Path(PathBuf),
    /// Device and number on it: two names may be one file.
    #[cfg(unix)]
    Number(u64, u64),
}

impl FileId {
    /// The ways to recognise an existing file; none for what does not exist.
    pub(crate) fn of(path: &Path) -> Vec<Self> {
        path.canonicalize().map(Self::Path).into_iter().chain(Self::number(path)).collect()
    }

    /// The number of an existing regular file.
    #[cfg(unix)]
    pub(crate) fn number(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some(Self::Number(metadata.dev(), metadata.ino()))
    }

    /// Other systems have no such numbers in reach.
    #[cfg(not(unix))]
    pub(crate) fn number(_path: &Path) -> Option<Self> {
        None
    }
}

/// Refuses outputs that are one of the inputs. An output is an option with its path.
pub(crate) fn refuse<'a>(inputs: impl IntoIterator<Item = &'a Path>, outputs: &[(&str, &Path)]) -> anyhow::Result<()> {
    let ids = |output: &(_, _)| FileId::of(output.1).into_iter().map(|id| (id, *output)).collect::<Vec<_>>();
    let targets: HashMap<FileId, (&str, &Path)> = outputs.iter().flat_map(ids).collect();
    if targets.is_empty() {
        return Ok(());
    }
    for input in inputs {
        if let Some((option, path)) = FileId::of(input).iter().find_map(|id| targets.get(id)) {
            anyhow::bail!(
                "{option} {}: is {}, which this run reads; choose another place for it",
                path.display(),
                input.display()
            );
        }
    }
    Ok(())
}

/// Refuses a folder, and a file that exists unless it may be replaced. A pipe or a device is written to.
pub(crate) fn check_file(option: &str, path: &Path, exist_ok: bool) -> anyhow::Result<()> {
    let shown = path.display();
    anyhow::ensure!(!path.is_dir(), "{option} {shown}: is a folder; expected the name of a file");
    anyhow::ensure!(
        exist_ok || !path.is_file(),
        "{option} {shown}: exists; choose another name, or replace it with --exist-ok"
    );
    Ok(())
}

/// Refuses a file that cannot be written, before the work: its folder is not there, unless this run makes it (`out`), or
/// takes no files.
pub(crate) fn check_folder(option: &str, path: &Path, out: Option<&Path>) -> anyhow::Result<()> {
    let (shown, folder) = (path.display(), folder_of(path));
    anyhow::ensure!(
        folder.is_dir() || Some(folder) == out,
        "{option} {shown}: cannot be written, there is no folder {}; choose another place",
        folder.display()
    );
    if folder.is_dir() && (path.is_file() || !path.exists()) {
        // The error would name a file that is gone.
        let tried = temporary_beside(path).map(drop).map_err(|error| error.kind());
        tried.map_err(|kind| anyhow::anyhow!("{option} {shown}: cannot be written ({kind}); choose another place"))?;
    }
    Ok(())
}

/// All of that for a command that writes single files (`-` is stdout) and files of fixed names in a folder.
pub(crate) fn refuse_all(
    inputs: &[PathBuf],
    files: &[(&str, Option<&Path>)],
    folder: Option<&Path>,
    exist_ok: bool,
) -> anyhow::Result<()> {
    let files: Vec<_> = files.iter().filter_map(|(option, path)| Some((*option, (*path)?))).collect();
    refuse_files(inputs, &files, folder, exist_ok)?;
    let inputs = inputs.iter().map(PathBuf::as_path);
    folder.filter(|_| exist_ok).map_or(Ok(()), |folder| refuse_inside(inputs, folder))
}

/// Of single files alone; their folder may be `out`, which this run makes.
pub(crate) fn refuse_files(
    inputs: &[PathBuf],
    files: &[(&str, &Path)],
    out: Option<&Path>,
    exist_ok: bool,
) -> anyhow::Result<()> {
    for (option, path) in files.iter().filter(|(_, path)| *path != Path::new("-")) {
        check_file(option, path, exist_ok)?;
        check_folder(option, path, out)?;
    }
    if exist_ok { refuse(inputs.iter().map(PathBuf::as_path), files) } else { Ok(()) }
}

/// Refuses an output folder with one of the inputs in it.
pub(crate) fn refuse_inside<'a>(inputs: impl IntoIterator<Item = &'a Path>, folder: &Path) -> anyhow::Result<()> {
    let Ok(folder) = folder.canonicalize() else { return Ok(()) };
    let inside = |input: &&Path| input.canonicalize().is_ok_and(|input| input.starts_with(&folder));
    match inputs.into_iter().find(inside) {
        Some(input) => anyhow::bail!(
            "--out {}: {} lies in it, which this run reads; choose another folder",
            folder.display(),
            input.display()
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_recognised_by_any_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("a.jpg"), "").unwrap();
        std::fs::create_dir(at("sub")).unwrap();
        let mut names = vec![at("a.jpg"), at("sub/../a.jpg")];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("a.jpg"), at("link.jpg")).unwrap();
            std::fs::hard_link(at("a.jpg"), at("twin.jpg")).unwrap();
            names.extend([at("link.jpg"), at("twin.jpg")]);
        }
        let input = at("a.jpg");
        for name in &names {
            let error = refuse([input.as_path()], &[("--json", name)]).unwrap_err().to_string();
            assert!(error.contains("which this run reads"), "{error}");
        }
        std::fs::write(at("b.json"), "").unwrap();
        assert!(refuse([input.as_path()], &[("--json", &at("b.json")), ("--csv", &at("none"))]).is_ok());
        assert!(refuse_inside([input.as_path()], dir.path()).is_err());
        assert!(refuse_inside([input.as_path()], &at("sub")).is_ok());
    }
}

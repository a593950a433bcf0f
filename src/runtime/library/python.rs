//! Asks the machine's Python where its packages are. Nothing of ours runs in Python, and nothing of the working folder:
//! Python otherwise looks for modules there first.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::{Candidate, Library, MIN_MINOR, Origin, Package};
use crate::untrusted::{FileKind, read};

/// Names under which Python is installed.
pub(super) const INTERPRETERS: &[&str] = &["python3", "python"];

/// Those of the environment that this program was installed into, which need not be the active one, then what is on the
/// path.
fn interpreters() -> Vec<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_path_buf));
    let own = INTERPRETERS.iter().filter_map(|name| {
        let python = beside.as_ref()?.join(name).with_extension(std::env::consts::EXE_EXTENSION);
        python.is_file().then_some(python)
    });
    own.chain(INTERPRETERS.iter().map(PathBuf::from)).collect()
}

/// For each library of an installed distribution: the hash that its RECORD states (PEP 376), and where it is. Nothing of
/// the distribution is imported.
const LOCATE: &str = "\
import importlib.metadata as m, sys
for name in sys.argv[1:]:
    try: files = m.distribution(name).files or []
    except m.PackageNotFoundError: continue
    for f in files:
        if f.name.startswith(('libonnxruntime.', 'onnxruntime.dll')) and f.hash and f.hash.mode == 'sha256':
            print(f.hash.value, f.locate(), sep='\\t')
";

/// A Python in isolated mode (`-I`: neither the working folder nor `PYTHONPATH` nor the user's own packages) that stands
/// in `folder`.
pub(super) fn isolated(python: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg("-I").current_dir(folder).stdin(Stdio::null());
    command
}

/// A library of an installed distribution.
#[derive(Debug, PartialEq, Eq)]
struct Installed {
    minor: u32,
    path: PathBuf,
    /// As RECORD has it.
    hash: String,
}

/// The library of an installed package, if it is recent enough and what the package's own RECORD says.
pub(super) fn installed(package: &Package) -> Candidate {
    // A folder in which nobody else can put modules.
    let Ok(neutral) = tempfile::tempdir() else { return Err("no temporary folder to run Python in".into()) };
    let output = interpreters().iter().find_map(|python| {
        let output = isolated(python, neutral.path()).args(["-c", LOCATE, package.name]).stderr(Stdio::null()).output();
        output.ok().filter(|output| output.status.success())
    });
    let Some(output) = output else { return Ok(None) };
    let Some(newest) = newest(&String::from_utf8_lossy(&output.stdout)) else { return Ok(None) };
    if newest.minor < MIN_MINOR {
        let (path, minor) = (newest.path.display(), newest.minor);
        return Err(format!("{path} is version 1.{minor}; at least 1.{MIN_MINOR} is needed"));
    }
    let library = read(&newest.path, FileKind::Model).map_err(|error| format!("{}: {error}", newest.path.display()))?;
    if BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&library)) != newest.hash {
        return Err(format!("{} is not the file that its package's RECORD states", newest.path.display()));
    }
    Ok(Some(Library { path: newest.path, origin: Origin::Python }))
}

/// The library with the highest version in its name.
fn newest(answer: &str) -> Option<Installed> {
    let libraries = answer.lines().filter_map(|line| {
        let (hash, path) = line.split_once('\t')?;
        let path = PathBuf::from(path);
        let minor = minor_version(path.file_name()?.to_str()?)?;
        path.is_absolute().then(|| Installed { minor, path, hash: hash.to_owned() })
    });
    libraries.max_by_key(|library| library.minor)
}

/// `libonnxruntime.so.1.31.1` or `libonnxruntime.1.31.1.dylib` has minor version 31. Windows has no version in the name;
/// loading it tells.
fn minor_version(name: &str) -> Option<u32> {
    if name == "onnxruntime.dll" {
        return Some(MIN_MINOR);
    }
    let rest = name.strip_prefix("libonnxruntime.")?;
    let version = rest.strip_prefix("so.").or_else(|| rest.strip_suffix(".dylib"))?;
    version.split('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_names() {
        struct Case(&'static str, Option<u32>);
        for Case(name, minor) in [
            Case("libonnxruntime.so.1.31.1", Some(31)),
            Case("libonnxruntime.1.24.0.dylib", Some(24)),
            Case("libonnxruntime_providers_shared.so", None),
            Case("libonnxruntime.so", None),
        ] {
            assert_eq!(minor_version(name), minor, "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_newest_library_is_taken() {
        let answer =
            "aa\t/p/libonnxruntime.so.1.24.0\nbb\t/p/libonnxruntime.so.1.31.1\ncc\tlibonnxruntime.so.1.99.0\nx\n";
        let expected = Installed { minor: 31, path: "/p/libonnxruntime.so.1.31.1".into(), hash: "bb".into() };
        assert_eq!(newest(answer), Some(expected));
        assert_eq!(newest(""), None);
    }
}

//! Asks the machine's Python where its packages are. Nothing of ours runs in Python, and nothing of the working folder:
//! Python otherwise looks for modules there first.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::{Candidate, Library, MIN_MINOR, Package};
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

/// The library of an installed distribution: the hash that its RECORD states (PEP 376), the version, and where it is.
/// Nothing of the distribution is imported.
const LOCATE: &str = "\
import importlib.metadata as m, sys
try: found = m.distribution(sys.argv[1])
except m.PackageNotFoundError: sys.exit()
for f in found.files or []:
    if f.name.startswith(('libonnxruntime.', 'onnxruntime.dll')) and f.hash and f.hash.mode == 'sha256':
        print(f.hash.value, found.version, f.locate(), sep='\\t')
";

/// A Python in isolated mode (`-I`: neither the working folder nor `PYTHONPATH` nor the user's own packages) that stands
/// in `folder`.
pub(super) fn isolated(python: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg("-I").current_dir(folder).stdin(Stdio::null());
    command
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
    let answer = String::from_utf8_lossy(&output.stdout);
    let Some((hash, version, path)) = located(&answer) else { return Ok(None) };
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0);
    if minor < MIN_MINOR {
        return Err(format!("{} is version {version}; at least 1.{MIN_MINOR} is needed", path.display()));
    }
    let library = read(path, FileKind::Model).map_err(|error| format!("{}: {error}", path.display()))?;
    if BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&library)) != hash {
        return Err(format!("{} is not the file that its package's RECORD states", path.display()));
    }
    Ok(Some(Library { path: path.to_path_buf(), origin: "installed Python package" }))
}

/// Hash, version and absolute path of the first library.
fn located(answer: &str) -> Option<(&str, &str, &Path)> {
    let mut parts = answer.lines().next()?.splitn(3, '\t');
    let (hash, version, path) = (parts.next()?, parts.next()?, Path::new(parts.next()?));
    path.is_absolute().then_some((hash, version, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn answers_are_understood_or_nothing_is_taken() {
        let library = "/p/libonnxruntime.so.1.31.1";
        assert_eq!(located(&format!("bb\t1.31.1\t{library}\nmore\n")), Some(("bb", "1.31.1", Path::new(library))));
        for answer in ["", "x\n", "cc\t1.99.0\tlibonnxruntime.so.1.99.0\n"] {
            assert_eq!(located(answer), None, "{answer}");
        }
    }
}

//! Asks the machine's Python where its packages are. Nothing of ours runs in Python.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Candidate, Library, MIN_MINOR, Origin};

/// Names under which Python is installed.
pub(super) const INTERPRETERS: &[&str] = &["python3", "python"];

const LOCATE: &str = "import importlib.util as u; s = u.find_spec('onnxruntime'); \
                      print(list(s.submodule_search_locations)[0] if s else '')";

/// The library of an installed `onnxruntime` package, if it is recent enough.
pub(super) fn installed() -> Candidate {
    let output = INTERPRETERS.iter().find_map(|python| {
        let output = Command::new(python).args(["-c", LOCATE]).stdin(Stdio::null()).stderr(Stdio::null()).output();
        output.ok().filter(|output| output.status.success())
    });
    let Some(output) = output else { return Ok(None) };
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if folder.is_empty() {
        return Ok(None);
    }
    match newest(&Path::new(&folder).join("capi")) {
        None => Ok(None),
        Some((minor, path)) if minor < MIN_MINOR => {
            Err(format!("{} is version 1.{minor}; at least 1.{MIN_MINOR} is needed", path.display()))
        }
        Some((_, path)) => Ok(Some(Library { path, origin: Origin::Python })),
    }
}

/// The library in a folder with the highest version in its name, and its minor version.
fn newest(folder: &Path) -> Option<(u32, PathBuf)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "onnxruntime.dll" {
            // Windows has no version in the name; loading it tells.
            found.push((MIN_MINOR, entry.path()));
        } else if let Some(minor) = minor_version(&name) {
            found.push((minor, entry.path()));
        }
    }
    found.sort();
    found.pop()
}

/// `libonnxruntime.so.1.31.1` or `libonnxruntime.1.31.1.dylib` has minor version 31.
fn minor_version(name: &str) -> Option<u32> {
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
}

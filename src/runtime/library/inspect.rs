//! Looks at a library file before the operating system maps it: mapping a truncated one ends in a signal, not in an
//! error.

use std::io::Read;
use std::path::Path;

use crate::untrusted::open_regular;

/// A reason not to load the file, if there is one.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let mut file = open_regular(path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let mut header = [0; 64];
    if file.read_exact(&mut header).is_err() || !header.starts_with(b"\x7fELF") {
        return Err("not a shared library (no ELF header)".into());
    }
    match elf_length(&header) {
        Some(expected) if expected > metadata.len() => {
            Err(format!("truncated: {} bytes of at least {expected}", metadata.len()))
        }
        _ => Ok(()),
    }
}

/// Where the section headers end, which linkers write last. 64-bit little-endian files only.
fn elf_length(header: &[u8; 64]) -> Option<u64> {
    if header[4..6] != [2, 1] {
        return None;
    }
    let offset = u64::from_le_bytes(header[40..48].try_into().ok()?);
    let size = u64::from(u16::from_le_bytes(header[58..60].try_into().ok()?));
    let count = u64::from(u16::from_le_bytes(header[60..62].try_into().ok()?));
    offset.checked_add(size * count)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn damaged_libraries_are_not_mapped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lib.so");
        struct Case(Vec<u8>, &'static str);
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for Case(bytes, message) in [
            Case(Vec::new(), "not a shared library"),
            Case(b"just text".to_vec(), "not a shared library"),
            Case(own[..own.len() / 2].to_vec(), "truncated"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let reason = check(&path).unwrap_err();
            assert!(reason.contains(message), "{reason}");
        }
        assert!(check(dir.path()).unwrap_err().contains("not a regular file"));
        assert_eq!(check(&std::env::current_exe().unwrap()), Ok(()));
    }
}

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
    fn truncated_libraries_are_not_mapped() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(check(&own), Ok(()));
        let bytes = std::fs::read(own).unwrap();
        let half = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(half.path(), &bytes[..bytes.len() / 2]).unwrap();
        let reason = check(half.path()).unwrap_err();
        assert!(reason.contains("truncated"), "{reason}");
    }
}

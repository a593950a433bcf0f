//! The zip container of `torch.save`: entries under one root folder, stored uncompressed, read in place.

use std::collections::HashMap;

use super::Problem;
use super::directory;
use super::tensor::Storage;

/// The entries of one archive.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    /// By name below the root folder.
    entries: HashMap<&'a str, Storage>,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Problem> {
        let damaged = |reason: String| Problem::Zip { reason };
        let listed = directory::entries(bytes).map_err(damaged)?;
        // PyTorch takes the folder of the first entry for the root.
        let root = listed.first().and_then(|entry| entry.name.split_once('/')).map_or("", |(root, _)| root);
        let mut entries = HashMap::with_capacity(listed.len());
        for entry in &listed {
            let name = entry.name.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')).ok_or_else(|| {
                if listed.iter().any(|entry| entry.name.ends_with("data.pkl")) {
                    damaged(format!("entry {} is not in the folder {root} of the others", entry.name))
                } else {
                    not_of_torch()
                }
            })?;
            let storage = Storage { start: entry.start, length: entry.length, crc32: Some(entry.crc32) };
            entries.insert(name, storage);
        }
        let archive = Self { bytes, entries };
        archive.check_kind()?;
        Ok(archive)
    }

    fn check_kind(&self) -> Result<(), Problem> {
        let is_program = |name: &&str| name.eq_ignore_ascii_case("constants.pkl") || name.starts_with("code/");
        if self.entries.keys().any(is_program) {
            return Err(Problem::Unsupported {
                what: "a TorchScript file: a compiled program instead of a model with parameters".into(),
                remedy: "give the checkpoint (.pt) it was exported from",
            });
        }
        if self.entry("data.pkl").is_none() {
            return Err(not_of_torch());
        }
        match self.read("byteorder")? {
            Some(order) if order != b"little" => Err(Problem::Unsupported {
                what: format!(
                    "written on a machine with {} byte order",
                    String::from_utf8_lossy(&order[..order.len().min(20)])
                ),
                remedy: "save it again on a little-endian machine",
            }),
            _ => Ok(()),
        }
    }

    /// Place of an entry below the root folder.
    pub(super) fn entry(&self, name: &str) -> Option<Storage> {
        self.entries.get(name).copied()
    }

    /// Bytes of an entry below the root folder, with their checksum verified.
    pub(super) fn read(&self, name: &str) -> Result<Option<&'a [u8]>, Problem> {
        let Some(storage) = self.entry(name) else { return Ok(None) };
        storage.bytes(self.bytes).map(Some).map_err(|reason| Problem::Zip { reason: format!("entry {name}: {reason}") })
    }
}

fn not_of_torch() -> Problem {
    Problem::Unsupported {
        what: "a zip file without data.pkl, so not written by torch.save".into(),
        remedy: "give the .pt file that training wrote",
    }
}

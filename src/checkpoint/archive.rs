//! The zip container of `torch.save`: entries under one root folder, stored uncompressed, read in place.

use std::collections::HashMap;
use std::io::Cursor;

use super::Problem;
use super::tensor::Storage;

/// A training checkpoint of the largest model has about 5000 entries.
const MAX_ENTRIES: usize = 200_000;

/// The entries of one archive.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    root: String,
    entries: HashMap<String, Storage>,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Problem> {
        let damaged = |reason: String| Problem::Zip { reason };
        // torch.save puts nothing before the archive. Left to detect that, zip 9.8 takes the second entry for the first
        // when the first one's header has the length of the two zip64 records (a root folder of 21 characters).
        let config = zip::read::Config { archive_offset: zip::read::ArchiveOffset::Known(0) };
        let mut zip =
            zip::ZipArchive::with_config(config, Cursor::new(bytes)).map_err(|error| damaged(error.to_string()))?;
        if zip.len() > MAX_ENTRIES {
            return Err(damaged(format!("{} entries; more than {MAX_ENTRIES} are not read", zip.len())));
        }
        let mut entries = HashMap::with_capacity(zip.len());
        let mut root = None;
        for index in 0..zip.len() {
            let file = zip.by_index_raw(index).map_err(|error| damaged(error.to_string()))?;
            let name = file.name().map_err(|error| damaged(error.to_string()))?.into_owned();
            if file.compression() != zip::CompressionMethod::Stored {
                return Err(damaged(format!("entry {name} is compressed, which torch.save never does")));
            }
            let start = file.data_start().ok_or_else(|| damaged(format!("entry {name} has no data")))?;
            if let Some(folder) = name.strip_suffix("/data.pkl").filter(|folder| !folder.contains('/')) {
                root = Some(folder.to_owned());
            }
            let storage = Storage { start: start as usize, length: file.size() as usize, crc32: Some(file.crc32()) };
            entries.insert(name, storage);
        }
        let root = root.ok_or_else(|| Problem::Unsupported {
            what: "a zip file without data.pkl, so not written by torch.save".into(),
            remedy: "give the .pt file that training wrote",
        })?;
        let archive = Self { bytes, root, entries };
        archive.check_kind()?;
        Ok(archive)
    }

    fn check_kind(&self) -> Result<(), Problem> {
        if self.entry("constants.pkl").is_some() || self.entries.keys().any(|name| name.contains("/code/")) {
            return Err(Problem::Unsupported {
                what: "a TorchScript file: a compiled program instead of a model with parameters".into(),
                remedy: "give the checkpoint (.pt) it was exported from",
            });
        }
        match self.read("byteorder")? {
            Some(order) if order != b"little" => Err(Problem::Unsupported {
                what: format!("written on a machine with {} byte order", String::from_utf8_lossy(order)),
                remedy: "save it again on a little-endian machine",
            }),
            _ => Ok(()),
        }
    }

    /// Place of an entry below the root folder.
    pub(super) fn entry(&self, name: &str) -> Option<Storage> {
        self.entries.get(&format!("{}/{name}", self.root)).copied()
    }

    /// Bytes of an entry below the root folder, with their checksum verified.
    pub(super) fn read(&self, name: &str) -> Result<Option<&'a [u8]>, Problem> {
        let Some(storage) = self.entry(name) else { return Ok(None) };
        storage.bytes(self.bytes).map(Some).map_err(|reason| Problem::Zip { reason: format!("entry {name}: {reason}") })
    }
}

//! Writes zip files as torch.save does, so that hostile ones can be made.

use std::io::{Cursor, Read};

/// The entries of a `.pt` file below its root folder.
#[derive(Clone)]
pub struct TorchFile {
    root: String,
    entries: Vec<(String, Vec<u8>)>,
}

impl TorchFile {
    pub fn new(root: &str, pickle: Vec<u8>) -> Self {
        Self { root: root.into(), entries: vec![("data.pkl".into(), pickle)] }
    }

    pub fn without_pickle() -> Self {
        Self { root: "x".into(), entries: vec![("readme".into(), Vec::new())] }
    }

    pub fn with(mut self, name: &str, bytes: &[u8]) -> Self {
        self.entries.push((name.into(), bytes.into()));
        self
    }

    /// Takes a file apart.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut file = Self { root: String::new(), entries: Vec::new() };
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index).unwrap();
            let name = entry.name().unwrap().into_owned();
            let (root, name) = name.split_once('/').unwrap();
            file.root = root.to_owned();
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).unwrap();
            file.entries.push((name.to_owned(), contents));
        }
        file
    }

    pub fn entry_mut(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.entries.iter_mut().find(|(entry, _)| entry == name).unwrap().1
    }

    pub fn pickle(&self) -> &[u8] {
        &self.entries.iter().find(|(name, _)| name == "data.pkl").unwrap().1
    }

    pub fn pickle_mut(&mut self) -> &mut Vec<u8> {
        self.entry_mut("data.pkl")
    }

    /// Stored entries with their sizes in the central directory only, and the zip64 records that torch always writes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (mut file, mut directory) = (Vec::new(), Vec::new());
        for (name, contents) in &self.entries {
            let name = format!("{}/{name}", self.root);
            let offset = file.len() as u32;
            let crc = crc32fast::hash(contents);
            let name_length = name.len() as u16;
            file.extend(b"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00");
            file.extend([0; 12]);
            file.extend(name_length.to_le_bytes());
            file.extend([0; 2]);
            file.extend(name.as_bytes());
            file.extend(contents);
            directory.extend(b"PK\x01\x02\x00\x00\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00");
            directory.extend(crc.to_le_bytes());
            directory.extend((contents.len() as u32).to_le_bytes());
            directory.extend((contents.len() as u32).to_le_bytes());
            directory.extend(name_length.to_le_bytes());
            directory.extend([0; 12]);
            directory.extend(offset.to_le_bytes());
            directory.extend(name.as_bytes());
        }
        let start = file.len() as u64;
        let (count, size) = (self.entries.len() as u64, directory.len() as u64);
        file.extend(directory);
        let end64 = file.len() as u64;
        file.extend(b"PK\x06\x06");
        file.extend(44u64.to_le_bytes());
        file.extend([0x1e, 0x03, 0x2d, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        [count, count, size, start].iter().for_each(|n| file.extend(n.to_le_bytes()));
        file.extend(b"PK\x06\x07\x00\x00\x00\x00");
        file.extend(end64.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        file.extend(b"PK\x05\x06\x00\x00\x00\x00");
        [count, count].iter().for_each(|n| file.extend((*n as u16).to_le_bytes()));
        [size, start].iter().for_each(|n| file.extend((*n as u32).to_le_bytes()));
        file.extend([0; 2]);
        file
    }
}

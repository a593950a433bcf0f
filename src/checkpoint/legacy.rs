//! The format of `torch.save` before PyTorch 1.6: five pickles one after the other (magic number, protocol, byte order,
//! the object, the keys of its storages), then every storage as a count of elements and their bytes.

use std::collections::HashMap;

use super::Problem;
use super::pickle::{Arena, Id, Node, parse_first};
use super::storage::{storage_dtype, storage_record};
use super::tensor::Storage;

/// The pickled magic number that opens a file.
pub(super) const MAGIC: &[u8] =
    &[0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];
const PROTOCOL: i64 = 1001;

/// The object's values, the one at the top, and where its storages lie, by key.
pub(super) fn parse(bytes: &[u8]) -> Result<(Arena<'_>, Id, HashMap<&str, Storage>), Problem> {
    let mut reader = Reader { bytes, position: MAGIC.len() };
    let (arena, top) = reader.pickle()?;
    match arena.get(top) {
        Node::Int(PROTOCOL) => {}
        other => {
            let found = if let Node::Int(number) = other { number.to_string() } else { other.kind().into() };
            return Err(Problem::Unsupported(format!(
                "a torch.save file of protocol {found} (expected {PROTOCOL}); save it again with a current PyTorch"
            )));
        }
    }
    let (arena, top) = reader.pickle()?;
    if let Some(Node::Bool(false)) = arena.entry(top, "little_endian").map(|id| arena.get(id)) {
        return Err(Problem::Unsupported(
            "written on a machine with big byte order; save it again on a little-endian machine".into(),
        ));
    }
    let (object, object_top) = reader.pickle()?;
    let (arena, top) = reader.pickle()?;
    let keys = arena.items(top).unwrap_or_default().iter().filter_map(|key| arena.text(*key));
    let sizes = element_sizes(&object);
    let mut storages = HashMap::new();
    for key in keys {
        let size = *sizes.get(key).ok_or_else(|| reader.damaged(format!("nothing refers to storage {key}")))?;
        storages.insert(key, reader.storage(key, size)?);
    }
    Ok((object, object_top, storages))
}

/// Bytes of an element of each storage. Only the object's references to the storages know it.
fn element_sizes<'a>(arena: &Arena<'a>) -> HashMap<&'a str, usize> {
    let records = arena.nodes().filter_map(|node| match node {
        Node::Persistent(description) => storage_record(arena, *description),
        _ => None,
    });
    // Elements of an untyped storage are bytes; of an unknown kind they are not needed.
    records.map(|record| (record.key, storage_dtype(record.kind).map_or(1, |dtype| dtype.size()))).collect()
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    fn damaged(&self, reason: String) -> Problem {
        Problem::Pickle { offset: self.position, reason }
    }

    fn pickle(&mut self) -> Result<(Arena<'a>, Id), Problem> {
        let (arena, top, length) = parse_first(&self.bytes[self.position..]).map_err(|problem| match problem {
            Problem::Pickle { offset, reason } => Problem::Pickle { offset: self.position + offset, reason },
            other => other,
        })?;
        self.position += length;
        Ok((arena, top))
    }

    fn storage(&mut self, key: &str, size: usize) -> Result<Storage, Problem> {
        let rest = &self.bytes[self.position..];
        let (count, rest) =
            rest.split_first_chunk::<8>().ok_or_else(|| self.damaged(format!("the file ends before storage {key}")))?;
        let length = usize::try_from(i64::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(size));
        let length = length.filter(|length| *length <= rest.len());
        let length = length.ok_or_else(|| self.damaged(format!("the file ends within storage {key}")))?;
        let storage = Storage { start: self.position + 8, length, crc32: None };
        self.position += 8 + length;
        Ok(storage)
    }
}

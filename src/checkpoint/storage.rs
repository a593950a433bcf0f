//! What a pickle says about the storage of a tensor.

use super::pickle::{Arena, Id};
use super::tensor::{Dtype, KINDS};

/// What the persistent id of a storage says.
pub(super) struct StorageRecord<'a> {
    /// Such as `HalfStorage`.
    pub(super) kind: &'a str,
    pub(super) key: &'a str,
    /// Where the tensor was when it was saved, such as `cuda:0`.
    pub(super) location: &'a str,
    /// Number of elements.
    pub(super) count: usize,
    /// First element and number of elements of a part of the storage (legacy format only).
    pub(super) view: Option<(usize, usize)>,
}

/// Of `('storage', type, key, location, numel)`, in the legacy format followed by nothing or `(key, offset, numel)`.
pub(super) fn storage_record<'a>(arena: &Arena<'a>, description: Id) -> Option<StorageRecord<'a>> {
    let parts = arena.items(description)?;
    let [_, kind, key, location, count, ..] = parts else { return None };
    let view = parts.get(5).and_then(|view| match arena.items(*view)? {
        [_, first, count] => Some((arena.index(*first)?, arena.index(*count)?)),
        _ => None,
    });
    Some(StorageRecord {
        kind: arena.global(*kind)?.1,
        key: arena.text(*key)?,
        location: arena.text(*location).unwrap_or_default(),
        count: arena.index(*count)?,
        view,
    })
}

pub(super) fn storage_dtype(storage: &str) -> Option<Dtype> {
    KINDS.iter().find(|kind| kind.storage == storage).map(|kind| kind.dtype)
}

pub(super) fn dtype_of(name: &str) -> Option<Dtype> {
    KINDS.iter().find(|kind| kind.torch == name).map(|kind| kind.dtype)
}

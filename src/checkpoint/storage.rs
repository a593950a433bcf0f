//! What a pickle says about the storage of a tensor.

use super::pickle::{Arena, Id};
use super::tensor::Dtype;

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

/// What a persistent id says about its storage.
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

const STORAGES: &[(&str, Dtype)] = &[
    ("FloatStorage", Dtype::F32),
    ("HalfStorage", Dtype::F16),
    ("BFloat16Storage", Dtype::Bf16),
    ("DoubleStorage", Dtype::F64),
    ("LongStorage", Dtype::I64),
    ("IntStorage", Dtype::I32),
    ("ShortStorage", Dtype::I16),
    ("CharStorage", Dtype::I8),
    ("ByteStorage", Dtype::U8),
    ("BoolStorage", Dtype::Bool),
];

pub(super) fn storage_dtype(storage: &str) -> Option<Dtype> {
    STORAGES.iter().find(|(name, _)| *name == storage).map(|(_, dtype)| *dtype)
}

pub(super) fn storage_name(dtype: Dtype) -> Option<&'static str> {
    STORAGES.iter().find(|(_, of)| *of == dtype).map(|(name, _)| *name)
}

pub(super) fn dtype_of(name: &str) -> Option<Dtype> {
    Some(match name {
        "float32" => Dtype::F32,
        "float16" => Dtype::F16,
        "bfloat16" => Dtype::Bf16,
        "float64" => Dtype::F64,
        "int64" => Dtype::I64,
        "int32" => Dtype::I32,
        "int16" => Dtype::I16,
        "int8" => Dtype::I8,
        "uint8" => Dtype::U8,
        "bool" => Dtype::Bool,
        _ => return None,
    })
}

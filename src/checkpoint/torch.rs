//! What `torch.save` wrote: its pickle, and the tensors that the pickle describes.

use std::collections::HashMap;

use super::pickle::{self, Arena, Id, Node};
use super::storage::{dtype_of, storage_dtype, storage_record};
use super::tensor::{Storage, StoredTensor};
use super::{Problem, archive, legacy};
use crate::untrusted::shortened;

/// A parsed pickle and where its tensors lie.
pub(super) struct TorchFile<'a> {
    pub(super) arena: Arena<'a>,
    pub(super) top: Id,
    /// In words.
    pub(super) container: &'static str,
    /// By the keys that the pickle has for them.
    storages: HashMap<&'a str, Storage>,
}

impl<'a> TorchFile<'a> {
    /// Parses a file of either container.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        if bytes.starts_with(legacy::MAGIC) {
            let (arena, top, storages) = legacy::parse(bytes)?;
            return Ok(Self { arena, top, container: "torch.save, the format of before PyTorch 1.6", storages });
        }
        let (pickled, storages) = archive::open(bytes)?;
        let (arena, top) = pickle::parse(pickled)?;
        Ok(Self { arena, top, container: "torch.save, zip", storages })
    }
}

impl TorchFile<'_> {
    /// The tensor that a value describes, or nothing when it describes no tensor.
    pub(super) fn tensor(&self, id: Id) -> Option<Result<StoredTensor, String>> {
        self.tensor_at(id, 0)
    }

    fn tensor_at(&self, id: Id, depth: usize) -> Option<Result<StoredTensor, String>> {
        let Node::Call { callable, args, .. } = self.arena.get(id) else { return None };
        let args = self.arena.items(*args)?;
        match self.arena.global(*callable)? {
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") if depth < 4 => {
                self.tensor_at(*args.first()?, depth + 1)
            }
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Some(self.rebuild(args, None)),
            ("torch._utils", "_rebuild_tensor_v3") => {
                let dtype = args.get(6).and_then(|dtype| self.arena.global(*dtype)).map(|(_, name)| name);
                Some(self.rebuild(args, Some(dtype.unwrap_or("an unnamed dtype"))))
            }
            _ => None,
        }
    }

    /// `(storage, offset, size, stride, …)`. An untyped storage leaves the kind of number to `dtype`.
    fn rebuild(&self, args: &[Id], dtype: Option<&str>) -> Result<StoredTensor, String> {
        let [storage, offset, size, stride, ..] = args else { return Err("too few arguments".into()) };
        let Node::Persistent(description) = self.arena.get(*storage) else { return Err("has no storage".into()) };
        let record = storage_record(&self.arena, *description).ok_or("its storage has no type or key")?;
        let dtype = match dtype {
            Some(name) => dtype_of(name).ok_or_else(|| format!("stored as {name}, which is not supported"))?,
            None => storage_dtype(record.kind)
                .ok_or_else(|| format!("stored in a {}, which is not supported", record.kind))?,
        };
        let key = record.key;
        let whole = *self
            .storages
            .get(key)
            .ok_or_else(|| format!("its storage {} is missing from the file", shortened(key, 40)))?;
        let storage = match record.view {
            None => whole,
            Some((first, count)) => whole
                .part(first.saturating_mul(dtype.size()), count.saturating_mul(dtype.size()))
                .ok_or_else(|| format!("its part of storage {} lies outside of it", shortened(key, 40)))?,
        };
        let shape = self.arena.indices(*size).ok_or("its shape is not a list of whole numbers")?;
        let strides = self.arena.indices(*stride).ok_or("its strides are not a list of whole numbers")?;
        let offset = self.arena.index(*offset).ok_or("its offset is not a whole number")?;
        StoredTensor::new(dtype, shape, strides, offset, storage)
    }
}

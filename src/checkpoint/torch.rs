//! What `torch.save` wrote: from the pickle's values to tensors and a model.

use std::collections::BTreeSet;

use super::archive::Archive;
use super::legacy::LegacyStorages;
use super::pickle::{self, Arena, Id, Node};
use super::tensor::{Dtype, Storage, StoredTensor};
use super::{Contents, Problem, legacy, metadata, model, state_dict};
use crate::untrusted::shortened;

/// Modules whose functions act on the system. PyTorch's loader would call them; this reader never does.
const DANGEROUS: &[&str] = &[
    "os",
    "posix",
    "nt",
    "subprocess",
    "sys",
    "socket",
    "shutil",
    "runpy",
    "importlib",
    "pty",
    "ctypes",
    "webbrowser",
    "commands",
    "code",
    "pdb",
    "timeit",
    "multiprocessing",
    "asyncio",
    "urllib",
    "http",
];
const DANGEROUS_BUILTINS: &[&str] =
    &["eval", "exec", "compile", "open", "getattr", "setattr", "__import__", "input", "execfile", "apply"];

/// More warnings than this say nothing new.
const MAX_WARNINGS: usize = 20;

/// A parsed pickle and where its tensors lie.
pub(super) struct TorchFile<'a> {
    pub(super) arena: Arena<'a>,
    pub(super) top: Id,
    storages: Storages<'a>,
}

/// Where the storages lie that the pickle refers to by key.
enum Storages<'a> {
    Zip(Archive<'a>),
    Legacy(LegacyStorages),
}

impl Storages<'_> {
    fn get(&self, key: &str) -> Option<Storage> {
        match self {
            Storages::Zip(archive) => archive.entry(&format!("data/{key}")),
            Storages::Legacy(storages) => storages.get(key).copied(),
        }
    }
}

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
    view: Option<(usize, usize)>,
}

impl<'a> TorchFile<'a> {
    /// Parses a file of either container.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        if bytes.starts_with(legacy::MAGIC) {
            let (arena, top, storages) = legacy::parse(bytes)?;
            return Ok(Self { arena, top, storages: Storages::Legacy(storages) });
        }
        let archive = Archive::open(bytes)?;
        let pickled = archive.read("data.pkl")?.ok_or_else(|| Problem::Zip { reason: "data.pkl is missing".into() })?;
        let (arena, top) = pickle::parse(pickled)?;
        Ok(Self { arena, top, storages: Storages::Zip(archive) })
    }

    pub(super) fn container(&self) -> &'static str {
        match self.storages {
            Storages::Zip(_) => "torch.save, zip",
            Storages::Legacy(_) => "torch.save, the format of before PyTorch 1.6",
        }
    }
}

impl TorchFile<'_> {
    /// The model, with what the file says besides.
    pub(super) fn contents(&self) -> Result<Contents, Problem> {
        let mut contents = self.model()?;
        contents.metadata.extra = metadata::read(&self.arena, self.top);
        contents.warnings.extend(self.dangerous_globals());
        self.arena.budget.check()?;
        Ok(contents)
    }

    fn model(&self) -> Result<Contents, Problem> {
        let top = self.top;
        if let Node::Object { .. } = self.arena.get(top) {
            return model::read(self, top, "a whole model");
        }
        if self.arena.entries(top).is_none() {
            return Err(Problem::NoModel { reason: "the file holds neither a dictionary nor a model".into() });
        }
        // The exponential moving average is what training evaluates; stripped files have it moved to `model`.
        for key in ["ema", "model"] {
            match self.arena.entry(top, key).map(|id| (id, self.arena.get(id))) {
                Some((id, Node::Object { .. })) => return model::read(self, id, &format!("a checkpoint (`{key}`)")),
                Some((id, Node::Dict(_))) => return state_dict::read(self, id),
                _ => {}
            }
        }
        for key in ["state_dict", "model_state_dict"] {
            if let Some(id) = self.arena.entry(top, key)
                && self.arena.entries(id).is_some()
            {
                return state_dict::read(self, id);
            }
        }
        state_dict::read(self, top)
    }

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
        let record = self.storage_record(*storage)?;
        let dtype = match dtype {
            Some(name) => dtype_of(name).ok_or_else(|| format!("stored as {name}, which is not supported"))?,
            None => storage_dtype(record.kind)
                .ok_or_else(|| format!("stored in a {}, which is not supported", record.kind))?,
        };
        let key = record.key;
        let whole = self
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

    /// `('storage', type, key, location, numel)`, in the legacy format followed by nothing or `(key, offset, numel)`.
    fn storage_record(&self, id: Id) -> Result<StorageRecord<'_>, String> {
        let Node::Persistent(description) = self.arena.get(id) else { return Err("has no storage".into()) };
        storage_record(&self.arena, *description).ok_or_else(|| "its storage has no type or key".into())
    }

    fn dangerous_globals(&self) -> Vec<String> {
        let named = self.arena.globals().filter(|(module, name)| is_dangerous(module, name));
        let called = self.arena.nodes().filter_map(|node| match node {
            Node::Call { callable, .. } => self.arena.global(*callable),
            _ => None,
        });
        let suspects = named.chain(called.filter(|(module, name)| !is_harmless_call(module, name)));
        let suspects: BTreeSet<(&str, &str)> = suspects.collect();
        let warning = |(module, name): &(&str, &str)| {
            format!(
                "the file refers to {module}.{name}, which PyTorch would run while loading; nothing was run here, but do \
                 not load this file with torch.load unless you know what that is for"
            )
        };
        let more = suspects.len().checked_sub(MAX_WARNINGS).filter(|more| *more > 0);
        let more = more.map(|more| format!("the file refers to {more} more such functions"));
        suspects.iter().take(MAX_WARNINGS).map(warning).chain(more).collect()
    }
}

/// Whether calling it does nothing but make data. Everything else that a file calls is suspicious: a list of what is
/// dangerous can never be complete.
pub(super) fn is_harmless_call(module: &str, name: &str) -> bool {
    match module {
        "collections" => name == "OrderedDict",
        "__builtin__" | "builtins" => {
            matches!(
                name,
                "set" | "frozenset" | "list" | "tuple" | "dict" | "bytearray" | "complex" | "slice" | "range"
            )
        }
        "torch._utils" => matches!(
            name,
            "_rebuild_tensor"
                | "_rebuild_tensor_v2"
                | "_rebuild_tensor_v3"
                | "_rebuild_parameter"
                | "_rebuild_parameter_with_state"
        ),
        "torch" => matches!(name, "Size" | "device"),
        "numpy.core.multiarray" | "numpy._core.multiarray" => matches!(name, "scalar" | "_reconstruct"),
        "numpy" => matches!(name, "dtype" | "ndarray"),
        "_codecs" => name == "encode",
        "pathlib" | "pathlib._local" => name.ends_with("Path"),
        "datetime" => matches!(name, "datetime" | "date" | "timedelta"),
        "copyreg" | "copy_reg" => name == "_reconstructor",
        _ => false,
    }
}

/// Whether PyTorch's loader would act on the system by calling it.
pub(super) fn is_dangerous(module: &str, name: &str) -> bool {
    let root = module.split('.').next().unwrap_or_default();
    // Protocol 4 looks up `os.system` in the module `torch`, which has imported os.
    name.contains('.')
        || DANGEROUS.contains(&root)
        || (matches!(root, "__builtin__" | "builtins") && DANGEROUS_BUILTINS.contains(&name))
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

pub(super) fn storage_dtype(storage: &str) -> Option<Dtype> {
    Some(match storage {
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::Bf16,
        "DoubleStorage" => Dtype::F64,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::Bool,
        _ => return None,
    })
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

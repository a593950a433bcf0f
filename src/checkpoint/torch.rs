//! What `torch.save` wrote: from the pickle's values to tensors and a model.

use super::archive::Archive;
use super::pickle::{self, Arena, Id, Node};
use super::tensor::{Dtype, StoredTensor};
use super::{Contents, Problem, model, state_dict};

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

pub(super) fn read(archive: &Archive<'_>) -> Result<Contents, Problem> {
    let pickled = archive.read("data.pkl")?.ok_or_else(|| Problem::Zip { reason: "data.pkl is missing".into() })?;
    let (arena, top) = pickle::parse(pickled)?;
    let file = TorchFile { arena, archive };
    let mut contents = file.contents(top)?;
    contents.warnings.extend(file.dangerous_globals());
    Ok(contents)
}

/// A parsed pickle and the archive that its tensors lie in.
pub(super) struct TorchFile<'a> {
    pub(super) arena: Arena<'a>,
    archive: &'a Archive<'a>,
}

impl TorchFile<'_> {
    fn contents(&self, top: Id) -> Result<Contents, Problem> {
        if let Node::Object { .. } = self.arena.get(top) {
            return model::read(self, top, "a whole model");
        }
        if self.arena.entries(top).is_none() {
            return Err(Problem::NoModel { reason: "the file holds neither a dictionary nor a model".into() });
        }
        // The exponential moving average is what training evaluates; stripped files have it moved to `model`.
        for key in ["ema", "model"] {
            match self.arena.entry(top, key).map(|id| (id, self.arena.get(id))) {
                Some((id, Node::Object { .. })) => {
                    return model::read(self, id, &format!("a checkpoint of the official kind (`{key}`)"));
                }
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
        let (storage_type, key) = self.persistent_storage(*storage)?;
        let dtype = match dtype {
            Some(name) => dtype_of(name).ok_or_else(|| format!("stored as {name}, which is not supported"))?,
            None => storage_dtype(storage_type)
                .ok_or_else(|| format!("stored in a {storage_type}, which is not supported"))?,
        };
        let storage = self
            .archive
            .entry(&format!("data/{key}"))
            .ok_or_else(|| format!("its storage data/{key} is missing from the file"))?;
        let shape = self.arena.indices(*size).ok_or("its shape is not a list of whole numbers")?;
        let strides = self.arena.indices(*stride).ok_or("its strides are not a list of whole numbers")?;
        let offset = self.arena.index(*offset).ok_or("its offset is not a whole number")?;
        StoredTensor::new(dtype, shape, strides, offset, storage)
    }

    /// `('storage', type, key, location, numel)`.
    fn persistent_storage(&self, id: Id) -> Result<(&str, &str), String> {
        let Node::Persistent(description) = self.arena.get(id) else { return Err("has no storage".into()) };
        let parts = self.arena.items(*description).unwrap_or_default();
        let [_, storage_type, key, ..] = parts else { return Err("its storage has no description".into()) };
        match (self.arena.global(*storage_type), self.arena.text(*key)) {
            (Some((_, storage_type)), Some(key)) => Ok((storage_type, key)),
            _ => Err("its storage has no type or key".into()),
        }
    }

    fn dangerous_globals(&self) -> Vec<String> {
        let mut found: Vec<String> = self
            .arena
            .globals()
            .filter(|(module, name)| {
                let root = module.split('.').next().unwrap_or_default();
                DANGEROUS.contains(&root)
                    || (matches!(root, "__builtin__" | "builtins") && DANGEROUS_BUILTINS.contains(name))
            })
            .map(|(module, name)| {
                format!(
                    "the file refers to {module}.{name}, which PyTorch would run while loading; nothing was run here, \
                     but do not load this file with torch.load"
                )
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

fn storage_dtype(storage: &str) -> Option<Dtype> {
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

fn dtype_of(name: &str) -> Option<Dtype> {
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

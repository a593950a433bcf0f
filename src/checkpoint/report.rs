//! What a pickle contains, for people who want to know before they trust a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use super::danger::{is_dangerous, is_harmless_call};
use super::pickle::{Arena, Id, Node};
use super::storage::{dtype_of, storage_dtype, storage_record};
use super::torch::TorchFile;
use super::{CheckpointError, Problem, recognise};
use crate::untrusted::shortened;

/// Arguments of a call longer than this are cut.
const MAX_SHOWN: usize = 200;

/// What is done with a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Treatment {
    /// PyTorch's loader would act on the system with it. Nothing is done with it here.
    Refused,
    /// It is called, and it is none of the functions that only make data. Nothing is done with it here.
    Suspicious,
    /// Kept as a name. What it would make is a record of its state.
    Opaque,
    /// Understood as the data that it describes: tensors, storages, containers, kinds of numbers.
    Interpreted,
}

/// A class or function that a pickle names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GlobalUse {
    /// `module.name`.
    pub name: String,
    /// What is done with it.
    pub treatment: Treatment,
    /// How many objects of it there are.
    pub objects: usize,
    /// How often it is called.
    pub calls: usize,
    /// Of a refused or suspicious function: the arguments of its calls, as text.
    pub arguments: Vec<String>,
}

/// A kind of storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StorageUse {
    /// Such as `HalfStorage`.
    pub kind: String,
    /// How many.
    pub count: usize,
    /// Elements of all.
    pub elements: usize,
    /// Bytes of all.
    pub bytes: usize,
    /// Devices that they were saved from, such as `cuda:0`.
    pub locations: Vec<String>,
}

/// The symbols and storages of a pickle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PickleReport {
    /// The container, in words.
    pub container: &'static str,
    /// Values that the pickle describes.
    pub values: usize,
    /// By treatment, refused ones first, and name.
    pub globals: Vec<GlobalUse>,
    /// By kind.
    pub storages: Vec<StorageUse>,
}

impl PickleReport {
    /// Reads the pickle of a `torch.save` file, whatever it holds. Nothing is executed.
    ///
    /// # Errors
    /// When the file is of another kind, or damaged.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        Self::from_bytes(&path.display().to_string(), &super::read_file(path)?)
    }

    /// As [`PickleReport::open`], for a file in memory that messages call `name`.
    ///
    /// # Errors
    /// As [`PickleReport::open`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, CheckpointError> {
        let failed = |problem| CheckpointError { file: name.into(), problem };
        if !recognise::is_torch(bytes) {
            let what = "not a file of torch.save, so it holds no pickle; only .pt files have one";
            return Err(failed(Problem::Unsupported(what.into())));
        }
        TorchFile::parse(bytes).and_then(|file| Self::of(&file)).map_err(failed)
    }

    fn of(file: &TorchFile<'_>) -> Result<Self, Problem> {
        let arena = &file.arena;
        let mut globals: BTreeMap<(&str, &str), GlobalUse> = BTreeMap::new();
        for (module, name) in arena.globals() {
            if !globals.contains_key(&(module, name)) {
                arena.budget.spend_bytes(module.len() + name.len() + 128);
                arena.budget.check()?;
            }
            globals.entry((module, name)).or_insert_with(|| GlobalUse {
                name: format!("{module}.{name}"),
                treatment: treatment(module, name),
                objects: 0,
                calls: arena.containers((module, name)),
                arguments: Vec::new(),
            });
        }
        let mut storages: BTreeMap<String, BTreeMap<&str, (usize, &str)>> = BTreeMap::new();
        for node in arena.nodes() {
            match node {
                Node::Object { class, .. } => {
                    if let Some(global) = arena.class(*class).and_then(|class| globals.get_mut(&class)) {
                        global.objects += 1;
                    }
                }
                Node::Call { callable, args, .. } => {
                    if let Some(global) = arena.global(*callable).and_then(|callable| globals.get_mut(&callable)) {
                        global.calls += 1;
                        let (module, name) = arena.global(*callable).unwrap_or_default();
                        if global.treatment != Treatment::Refused && !is_harmless_call(module, name) {
                            global.treatment = Treatment::Suspicious;
                        }
                        if global.treatment <= Treatment::Suspicious && global.arguments.len() < 8 {
                            global.arguments.push(shown(arena, *args));
                        }
                    }
                }
                Node::Persistent(description) => {
                    if let Some(record) = storage_record(arena, *description) {
                        let kind = storages.entry(record.kind.to_owned()).or_default();
                        // A storage is referred to by each of its tensors.
                        kind.insert(record.key, (record.count, record.location));
                    }
                }
                _ => {}
            }
        }
        let mut globals: Vec<GlobalUse> = globals.into_values().collect();
        globals.sort_by(|a, b| (a.treatment, &a.name).cmp(&(b.treatment, &b.name)));
        let storages = storages.into_iter().map(|(kind, all)| storage_use(kind, &all)).collect();
        Ok(Self { container: file.container, values: arena.nodes().count(), globals, storages })
    }
}

fn treatment(module: &str, name: &str) -> Treatment {
    if is_dangerous(module, name) {
        return Treatment::Refused;
    }
    let interpreted = match module {
        "collections" => name == "OrderedDict",
        "__builtin__" | "builtins" => matches!(name, "set" | "frozenset"),
        "torch._utils" => is_harmless_call(module, name),
        "torch" | "torch.storage" => name == "Size" || storage_dtype(name).is_some() || dtype_of(name).is_some(),
        "torch.nn.modules.conv" => name == "Conv2d",
        "torch.nn.modules.batchnorm" => name == "BatchNorm2d",
        "torch.nn.modules.activation" => matches!(name, "SiLU" | "ReLU" | "LeakyReLU"),
        _ => false,
    };
    if interpreted { Treatment::Interpreted } else { Treatment::Opaque }
}

fn storage_use(kind: String, all: &BTreeMap<&str, (usize, &str)>) -> StorageUse {
    let elements = all.values().fold(0usize, |sum, (count, _)| sum.saturating_add(*count));
    let size = storage_dtype(&kind).map_or(1, |dtype| dtype.size());
    let locations: BTreeSet<&str> = all.values().map(|(_, location)| *location).collect();
    let locations = locations.into_iter().map(str::to_owned).collect();
    StorageUse { kind, count: all.len(), elements, bytes: elements.saturating_mul(size), locations }
}

/// Arguments as Python would write them, as far as they are plain.
fn shown(arena: &Arena<'_>, id: Id) -> String {
    let mut text = String::new();
    show(arena, id, 0, &mut text);
    shortened(&text, MAX_SHOWN).into_owned()
}

fn show(arena: &Arena<'_>, id: Id, depth: usize, text: &mut String) {
    if depth > 4 || text.len() > MAX_SHOWN {
        return text.push('…');
    }
    match arena.get(id) {
        Node::None => text.push_str("None"),
        Node::Bool(value) => text.push_str(if *value { "True" } else { "False" }),
        Node::Int(value) => text.push_str(&value.to_string()),
        Node::Float(value) => text.push_str(&value.to_string()),
        Node::Text(value) => text.push_str(&format!("{:?}", value.chars().take(MAX_SHOWN).collect::<String>())),
        Node::Global { module, name } => text.push_str(&format!("{module}.{name}")),
        Node::Tuple(items) | Node::List(items) => {
            text.push('(');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    text.push_str(", ");
                }
                show(arena, *item, depth + 1, text);
                if text.len() > MAX_SHOWN {
                    break;
                }
            }
            text.push(')');
        }
        _ => text.push('…'),
    }
}

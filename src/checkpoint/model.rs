//! A pickled `nn.Module`: its parameters and buffers under the names of a state dict, and what its plain attributes say.

use std::collections::{BTreeMap, HashSet};

use super::pickle::{Arena, Id, Node};
use super::state_dict::add;
use super::torch::TorchFile;
use super::{Contents, Metadata, ModuleAttributes, Problem, StoredTensor};
use crate::config::{Activation, ConfigFormat};

/// The deepest published network nests 9 modules.
const MAX_DEPTH: usize = 64;
/// Modules may be shared, so a small file can describe exponentially many paths.
const MAX_MODULES: usize = 200_000;
/// Bytes of the name of one.
const MAX_NAME: usize = 512;
/// The most that names can be given for.
const MAX_CLASSES: usize = 100_000;

pub(super) fn read(file: &TorchFile<'_>, root: Id, kind: &str) -> Result<Contents, Problem> {
    let class = class_of(&file.arena, root).unwrap_or_default();
    refuse_other_tasks(&class)?;
    let mut walk = Walk { file, tensors: BTreeMap::new(), modules: BTreeMap::new(), visited: 0 };
    walk.module(root, "", 0)?;
    let metadata = metadata(file, root);
    file.arena.budget.check()?;
    if walk.tensors.is_empty() {
        return Err(Problem::NoModel(format!("the object of class {class} has no tensors")));
    }
    Ok(Contents {
        description: format!("{kind} of {}, class {class}", format(&class)),
        format: format(&class),
        tensors: walk.tensors,
        modules: walk.modules,
        metadata,
        warnings: Vec::new(),
    })
}

/// Classes of models that end in something else than a detection head.
const OTHER_TASKS: &[&str] =
    &["SegmentationModel", "ClassificationModel", "PoseModel", "OBBModel", "WorldModel", "YOLOEModel"];

fn refuse_other_tasks(class: &str) -> Result<(), Problem> {
    if OTHER_TASKS.iter().any(|task| class.ends_with(task)) || class.contains("RTDETR") {
        return Err(Problem::Unsupported(format!("a model of class {class}; only YOLOv9 detection models can be run")));
    }
    Ok(())
}

/// Who defines a class. Older releases of Ultralytics had everything below `ultralytics.yolo`.
fn format(class: &str) -> ConfigFormat {
    if class.starts_with("ultralytics.") { ConfigFormat::Ultralytics } else { ConfigFormat::Official }
}

struct Walk<'a> {
    file: &'a TorchFile<'a>,
    tensors: BTreeMap<String, StoredTensor>,
    modules: BTreeMap<String, ModuleAttributes>,
    visited: usize,
}

impl Walk<'_> {
    /// Adds the parameters and buffers of a module and of all below it. `prefix` ends in a full stop or is empty.
    fn module(&mut self, id: Id, prefix: &str, depth: usize) -> Result<(), Problem> {
        self.visited += 1;
        if depth > MAX_DEPTH || self.visited > MAX_MODULES || prefix.len() > MAX_NAME {
            return Err(Problem::NoModel(format!("more than {MAX_MODULES} modules, or {MAX_DEPTH} nested")));
        }
        let file = self.file;
        let arena = &file.arena;
        arena.budget.spend_bytes(2 * prefix.len() + 64);
        arena.budget.check()?;
        let Some(state) = state_of(arena, id) else { return Ok(()) };
        let skipped =
            arena.entry(state, "_non_persistent_buffers_set").map(|set| texts(arena, set)).unwrap_or_default();
        for group in ["_parameters", "_buffers"] {
            for (key, value) in children(arena, state, group)? {
                if !(group == "_buffers" && skipped.contains(&key)) {
                    add(file, value, &format!("{prefix}{key}"), &mut self.tensors)?;
                }
            }
        }
        if let Some(attributes) = attributes(arena, id, state) {
            self.modules.insert(prefix.trim_end_matches('.').to_owned(), attributes);
        }
        for (key, child) in children(arena, state, "_modules")? {
            let child_prefix = format!("{prefix}{key}.");
            if key == "act" {
                self.modules.insert(format!("{prefix}act"), ModuleAttributes::Activation(activation(arena, child)));
            }
            self.module(child, &child_prefix, depth + 1)?;
        }
        Ok(())
    }
}

/// The named entries of one of a module's dictionaries.
fn children<'a>(arena: &Arena<'a>, state: Id, group: &str) -> Result<Vec<(&'a str, Id)>, Problem> {
    let entries = arena.entry(state, group).and_then(|id| arena.entries(id)).unwrap_or_default();
    arena.budget.spend_steps(entries.len());
    arena.budget.check()?;
    let named = entries.iter().filter_map(|(key, value)| Some((arena.text(*key)?, *value)));
    // Paths of their own are made of these names.
    Ok(named.filter(|(key, _)| key.len() <= MAX_NAME).collect())
}

fn texts<'a>(arena: &Arena<'a>, id: Id) -> HashSet<&'a str> {
    let Node::Set(items) = arena.get(id) else { return HashSet::new() };
    arena.budget.spend_steps(items.len());
    items.iter().filter_map(|item| arena.text(*item)).collect()
}

fn state_of(arena: &Arena<'_>, id: Id) -> Option<Id> {
    match arena.get(id) {
        Node::Object { state, .. } | Node::Call { state, .. } => *state,
        _ => None,
    }
}

fn class_of(arena: &Arena<'_>, id: Id) -> Option<String> {
    let Node::Object { class, .. } = arena.get(id) else { return None };
    arena.class(*class).map(|(module, name)| format!("{module}.{name}"))
}

fn attributes(arena: &Arena<'_>, id: Id, state: Id) -> Option<ModuleAttributes> {
    let class = class_of(arena, id)?;
    let pair = |key: &str| {
        let id = arena.entry(state, key)?;
        match arena.indices(id)?.as_slice() {
            [rows, columns] => Some([*rows, *columns]),
            _ => None,
        }
    };
    match class.as_str() {
        "torch.nn.modules.conv.Conv2d" => Some(ModuleAttributes::Convolution {
            stride: pair("stride")?,
            padding: pair("padding")?,
            dilation: pair("dilation")?,
            groups: arena.index(arena.entry(state, "groups")?)?,
        }),
        "torch.nn.modules.batchnorm.BatchNorm2d" => match arena.get(arena.entry(state, "eps")?) {
            Node::Float(eps) => Some(ModuleAttributes::BatchNorm(*eps)),
            _ => None,
        },
        _ => None,
    }
}

fn activation(arena: &Arena<'_>, id: Id) -> Option<Activation> {
    match class_of(arena, id)?.as_str() {
        "torch.nn.modules.activation.SiLU" => Some(Activation::Silu),
        "torch.nn.modules.activation.ReLU" => Some(Activation::Relu),
        "torch.nn.modules.linear.Identity" => Some(Activation::Identity),
        "torch.nn.modules.activation.LeakyReLU" => {
            match arena.get(arena.entry(state_of(arena, id)?, "negative_slope")?) {
                Node::Float(slope) => Some(Activation::LeakyRelu(*slope as f32)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn metadata(file: &TorchFile<'_>, root: Id) -> Metadata {
    let arena = &file.arena;
    let Some(state) = state_of(arena, root) else { return Metadata::default() };
    Metadata {
        config: arena.entry(state, "yaml").and_then(|yaml| json(arena, yaml, 0)).map(|yaml| yaml.to_string()),
        class_names: arena.entry(state, "names").and_then(|names| class_names(arena, names)),
        extra: BTreeMap::new(),
    }
}

/// `names` as a list, or as a dictionary from class id to name.
fn class_names(arena: &Arena<'_>, id: Id) -> Option<Vec<String>> {
    let name = |id: Id| {
        let name = arena.text(id)?;
        arena.budget.spend_bytes(name.len() + 32);
        (!arena.budget.is_spent()).then(|| name.to_owned())
    };
    if let Some(items) = arena.items(id).filter(|items| items.len() <= MAX_CLASSES) {
        return items.iter().map(|item| name(*item)).collect();
    }
    let mut numbered = Vec::new();
    for (key, value) in arena.entries(id).filter(|entries| entries.len() <= MAX_CLASSES)? {
        numbered.push((arena.index(*key)?, name(*value)?));
    }
    numbered.sort();
    let complete = numbered.iter().enumerate().all(|(expected, (id, _))| expected == *id);
    complete.then(|| numbered.into_iter().map(|(_, name)| name).collect())
}

/// A plain value (a parsed YAML document) as JSON.
fn json(arena: &Arena<'_>, id: Id, depth: usize) -> Option<serde_json::Value> {
    use serde_json::Value;
    let length = if let Node::Text(text) = arena.get(id) { text.len() } else { 0 };
    arena.budget.spend_bytes(length + 64);
    if depth > 8 || arena.budget.is_spent() {
        return None;
    }
    Some(match arena.get(id) {
        Node::None => Value::Null,
        Node::Bool(value) => Value::Bool(*value),
        Node::Int(value) => Value::from(*value),
        Node::Float(value) => Value::from(*value),
        Node::Text(value) => Value::from(*value),
        Node::List(items) | Node::Tuple(items) => {
            items.iter().map(|item| json(arena, *item, depth + 1)).collect::<Option<Vec<_>>>()?.into()
        }
        Node::Dict(entries) => {
            let mut map = serde_json::Map::new();
            for (key, value) in entries {
                // Attributes that are not plain values (a path, say) are no part of the model's description.
                if let (Some(key), Some(value)) = (arena.text(*key), json(arena, *value, depth + 1)) {
                    arena.budget.spend_bytes(key.len());
                    map.insert(key.to_owned(), value);
                }
            }
            Value::Object(map)
        }
        _ => return None,
    })
}

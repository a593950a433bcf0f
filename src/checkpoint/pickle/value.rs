//! What a pickle describes.

use std::collections::BTreeMap;

use crate::checkpoint::budget::Budget;

/// No tensor has more axes.
const MAX_AXES: usize = 8;

/// Number of a value in its [`Arena`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::checkpoint) struct Id(pub(super) u32);

/// One value. Text is borrowed from the pickle.
#[derive(Debug, Clone)]
pub(in crate::checkpoint) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits; nothing in a checkpoint depends on one.
    HugeInt,
    Float(f64),
    Text(&'a str),
    /// Binary data, or text that is not UTF-8; nothing in a checkpoint depends on it.
    Bytes,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Set(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function by name. Never resolved.
    Global {
        module: &'a str,
        name: &'a str,
    },
    /// A call that PyTorch would make. Never made.
    Call {
        callable: Id,
        args: Id,
        state: Option<Id>,
    },
    /// An instance that PyTorch would create. Only its description.
    Object {
        class: Id,
        state: Option<Id>,
    },
    /// A reference to a storage outside the pickle.
    Persistent(Id),
}

/// All values of a pickle.
#[derive(Debug, Default)]
pub(in crate::checkpoint) struct Arena<'a> {
    nodes: Vec<Node<'a>>,
    /// Calls that became containers, by symbol.
    containers: BTreeMap<(&'a str, &'a str), usize>,
    /// What readers have spent on it.
    pub(in crate::checkpoint) budget: Budget,
}

impl Node<'_> {
    /// What it is, for messages: never its content, which may be long.
    pub(in crate::checkpoint) fn kind(&self) -> &'static str {
        match self {
            Node::None => "None",
            Node::Bool(_) => "a truth value",
            Node::Int(_) | Node::HugeInt => "a whole number",
            Node::Float(_) => "a number",
            Node::Text(_) => "text",
            Node::Bytes => "bytes",
            Node::Tuple(_) => "a tuple",
            Node::List(_) => "a list",
            Node::Set(_) => "a set",
            Node::Dict(_) => "a dictionary",
            Node::Global { .. } => "a class or function",
            Node::Call { .. } => "the result of a call",
            Node::Object { .. } => "an object",
            Node::Persistent(_) => "a storage",
        }
    }
}

impl<'a> Arena<'a> {
    pub(super) fn add(&mut self, node: Node<'a>) -> Id {
        self.nodes.push(node);
        Id(self.nodes.len() as u32 - 1)
    }

    pub(super) fn count_container(&mut self, symbol: (&'a str, &'a str)) {
        *self.containers.entry(symbol).or_insert(0) += 1;
    }

    /// How often a symbol was called to make a container.
    pub(in crate::checkpoint) fn containers(&self, symbol: (&str, &str)) -> usize {
        self.containers.get(&symbol).copied().unwrap_or(0)
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Node<'a> {
        &mut self.nodes[id.0 as usize]
    }

    pub(in crate::checkpoint) fn get(&self, id: Id) -> &Node<'a> {
        &self.nodes[id.0 as usize]
    }

    pub(in crate::checkpoint) fn text(&self, id: Id) -> Option<&'a str> {
        match self.get(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number that is not negative.
    pub(in crate::checkpoint) fn index(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Node::Int(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The items of a tuple or list.
    pub(in crate::checkpoint) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// A tuple or list of a few whole numbers, one for each axis; also inside `torch.Size(…)`.
    pub(in crate::checkpoint) fn indices(&self, id: Id) -> Option<Vec<usize>> {
        let id = match self.get(id) {
            Node::Call { callable, args, .. } if self.global(*callable) == Some(("torch", "Size")) => {
                *self.items(*args)?.first()?
            }
            _ => id,
        };
        self.items(id).filter(|items| items.len() <= MAX_AXES)?.iter().map(|item| self.index(*item)).collect()
    }

    pub(in crate::checkpoint) fn entries(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Node::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value under a text key of a dictionary. The last one wins, as in Python.
    pub(in crate::checkpoint) fn entry(&self, id: Id, key: &str) -> Option<Id> {
        let entries = self.entries(id)?;
        self.budget.spend_steps(entries.len());
        entries.iter().rev().find(|(k, _)| self.text(*k) == Some(key)).map(|(_, value)| *value)
    }

    pub(in crate::checkpoint) fn global(&self, id: Id) -> Option<(&'a str, &'a str)> {
        match self.get(id) {
            Node::Global { module, name } => Some((module, name)),
            _ => None,
        }
    }

    /// The class that a value names: a symbol, or, in the legacy format, a reference `('module', class, file, source)`
    /// that carries the class's source code along.
    pub(in crate::checkpoint) fn class(&self, id: Id) -> Option<(&'a str, &'a str)> {
        let Node::Persistent(description) = self.get(id) else { return self.global(id) };
        match self.items(*description)? {
            [kind, class, ..] if self.text(*kind) == Some("module") => self.global(*class),
            _ => None,
        }
    }

    /// Every value, in the order of the file.
    pub(in crate::checkpoint) fn nodes(&self) -> impl Iterator<Item = &Node<'a>> {
        self.nodes.iter()
    }

    /// Every class or function that the pickle names.
    pub(in crate::checkpoint) fn globals(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.nodes().filter_map(|node| match node {
            Node::Global { module, name } => Some((*module, *name)),
            _ => None,
        })
    }
}

//! What a checkpoint says about its training. Kept as text, because nothing depends on it.

use std::collections::BTreeMap;

use super::pickle::{Arena, Id, Node};

/// Entries of the dictionary that training saves.
const TOP: &[&str] = &["date", "epoch", "version", "license", "best_fitness"];
/// Dictionaries (or objects) with the arguments of the training command, in each format.
const ARGUMENTS: &[&str] = &["train_args", "opt"];
/// Arguments that say something to others than their author.
const KEPT: &[&str] =
    &["imgsz", "epochs", "batch", "batch_size", "optimizer", "lr0", "data", "cfg", "model", "weights", "seed"];
/// Longer texts are not worth a line.
const MAX_TEXT: usize = 200;

pub(super) fn read(arena: &Arena<'_>, top: Id) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for key in TOP {
        if let Some(text) = arena.entry(top, key).and_then(|id| plain(arena, id)) {
            found.insert((*key).to_owned(), text);
        }
    }
    // Stripping sets it to -1.
    found.retain(|key, value| !(key == "epoch" && value == "-1"));
    for group in ARGUMENTS {
        let Some(arguments) = arena.entry(top, group) else { continue };
        let arguments = match arena.get(arguments) {
            Node::Object { state: Some(state), .. } => *state,
            _ => arguments,
        };
        for key in KEPT {
            if let Some(text) = arena.entry(arguments, key).and_then(|id| plain(arena, id)) {
                // Where a file lay is its author's business.
                let text = text.rsplit(['/', '\\']).next().unwrap_or_default();
                found.insert(format!("train.{key}"), text.to_owned());
            }
        }
    }
    found
}

fn plain(arena: &Arena<'_>, id: Id) -> Option<String> {
    match arena.get(id) {
        Node::Bool(value) => Some(value.to_string()),
        Node::Int(value) => Some(value.to_string()),
        Node::Float(value) => Some(value.to_string()),
        Node::Text(text) if !text.is_empty() && text.len() <= MAX_TEXT => Some((*text).to_owned()),
        _ => None,
    }
}

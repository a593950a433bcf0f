//! A bare dictionary of tensors, without the model that they belong to.

use std::collections::BTreeMap;

use super::pickle::Id;
use super::torch::TorchFile;
use super::{Contents, Problem};

pub(super) fn read(file: &TorchFile<'_>, id: Id) -> Result<Contents, Problem> {
    let arena = &file.arena;
    let mut tensors = BTreeMap::new();
    let mut keys = Vec::new();
    for (key, value) in arena.entries(id).unwrap_or_default() {
        let Some(key) = arena.text(*key) else { continue };
        keys.push(key);
        match file.tensor(*value) {
            Some(Ok(tensor)) => drop(tensors.insert(key.to_owned(), tensor)),
            Some(Err(reason)) => return Err(Problem::Tensor { name: key.into(), reason }),
            None => {}
        }
    }
    if tensors.is_empty() {
        keys.truncate(8);
        return Err(Problem::NoModel { reason: format!("a dictionary without tensors; its keys are {keys:?}") });
    }
    let tensors = with_official_names(tensors)?;
    Ok(Contents { description: format!("a state dict of {} tensors", tensors.len()), tensors, ..Contents::default() })
}

/// Takes away what wrappers (data parallel, `torch.compile`, trainers) put before `model.<layer>.`.
pub(super) fn with_official_names<T>(tensors: BTreeMap<String, T>) -> Result<BTreeMap<String, T>, Problem> {
    let Some(first) = tensors.keys().next() else { return Ok(tensors) };
    let first = first.clone();
    let mut rest = first.as_str();
    while !is_official(rest) {
        let shorter = ["module.", "_orig_mod.", "model.", "ema."].iter().find_map(|prefix| rest.strip_prefix(prefix));
        match shorter {
            Some(shorter) => rest = shorter,
            None if rest.starts_with(|c: char| c.is_ascii_digit()) => {
                return Err(Problem::Unsupported {
                    what: format!("a state dict whose names begin with a layer number ({first}), as MIT YOLO's do"),
                    remedy: "that dialect is not read yet; give a checkpoint of the official YOLOv9 repository",
                });
            }
            None => {
                return Err(Problem::NoModel {
                    reason: format!(
                        "a state dict with names like `{first}`; expected names like `model.0.conv.weight`"
                    ),
                });
            }
        }
    }
    let prefix = first[..first.len() - rest.len()].to_owned();
    let renamed = tensors.into_iter().map(|(name, tensor)| {
        let short = name.strip_prefix(&prefix).map(str::to_owned);
        (short.unwrap_or(name), tensor)
    });
    Ok(renamed.collect())
}

/// `model.<number>.…`.
fn is_official(name: &str) -> bool {
    let layer = name.strip_prefix("model.").and_then(|rest| rest.split('.').next());
    layer.is_some_and(|layer| !layer.is_empty() && layer.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_taken_off() {
        struct Case(&'static str, Result<&'static str, &'static str>);
        for Case(name, expected) in [
            Case("model.0.conv.weight", Ok("model.0.conv.weight")),
            Case("module.model.0.conv.weight", Ok("model.0.conv.weight")),
            Case("_orig_mod.module.model.3.cv1.bn.bias", Ok("model.3.cv1.bn.bias")),
            Case("model.model.0.conv.weight", Ok("model.0.conv.weight")),
            Case("0.conv.weight", Err("MIT YOLO")),
            Case("backbone.conv.weight", Err("expected names like `model.0.conv.weight`")),
        ] {
            let named = with_official_names(BTreeMap::from([(name.to_owned(), ())]));
            match (named, expected) {
                (Ok(map), Ok(expected)) => assert_eq!(map.into_keys().collect::<Vec<_>>(), [expected]),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (got, _) => panic!("{name}: {got:?}"),
            }
        }
    }
}

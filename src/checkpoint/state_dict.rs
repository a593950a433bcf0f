//! A bare dictionary of tensors, without the model that they belong to.

use std::collections::BTreeMap;

use super::pickle::Id;
use super::torch::TorchFile;
use super::{Contents, Problem, StoredTensor, mit};
use crate::config::ConfigFormat;
use crate::untrusted::{printable, shortened};

pub(super) fn read(file: &TorchFile<'_>, id: Id) -> Result<Contents, Problem> {
    let arena = &file.arena;
    let mut tensors = BTreeMap::new();
    for (key, value) in arena.entries(id).unwrap_or_default() {
        if let Some(key) = arena.text(*key) {
            add(file, *value, key, &mut tensors)?;
        }
    }
    if tensors.is_empty() {
        let keys = arena.entries(id).unwrap_or_default().iter().filter_map(|(key, _)| arena.text(*key));
        let keys: Vec<_> = keys.take(8).map(|key| shortened(key, 40)).collect();
        return Err(Problem::NoModel(format!("a dictionary without tensors; its keys are {keys:?}")));
    }
    let (tensors, format) = with_official_names(tensors)?;
    let description = format!("a state dict of {} tensors, {format} names", tensors.len());
    Ok(Contents { description, format, tensors, ..Contents::default() })
}

/// Tensors of a file, and bytes of the name of one. The largest published checkpoint has 2,500 of up to 60 bytes.
const MAX_TENSORS: usize = 200_000;
const MAX_NAME: usize = 512;

/// Adds the tensor that a value describes, if it is one; a bias that is switched off is None.
pub(super) fn add(
    file: &TorchFile<'_>,
    value: Id,
    name: &str,
    tensors: &mut BTreeMap<String, StoredTensor>,
) -> Result<(), Problem> {
    let Some(tensor) = file.tensor(value) else { return Ok(()) };
    let tensor = tensor.map_err(|reason| Problem::Tensor { name: name.into(), reason })?;
    file.arena.budget.spend_bytes(2 * name.len() + 256);
    file.arena.budget.check()?;
    check_name(tensors.len(), name)?;
    tensors.insert(name.into(), tensor);
    Ok(())
}

/// The limits of every container.
pub(super) fn check_name(before: usize, name: &str) -> Result<(), Problem> {
    if name.contains(char::is_control) {
        let reason = format!("a tensor is called `{}`, with control characters", shortened(&printable(name), 80));
        return Err(Problem::NoModel(reason));
    }
    if before >= MAX_TENSORS || name.len() > MAX_NAME {
        let reason = format!("more than {MAX_TENSORS} tensors, or a name of more than {MAX_NAME} bytes");
        return Err(Problem::NoModel(reason));
    }
    Ok(())
}

/// Official names of a state dict, and the config format that it had.
pub(super) fn with_official_names(
    tensors: BTreeMap<String, StoredTensor>,
) -> Result<(BTreeMap<String, StoredTensor>, ConfigFormat), Problem> {
    let tensors = without_prefix(tensors)?;
    if mit::looks_like(tensors.keys()) {
        return Ok((mit::with_official_names(tensors), ConfigFormat::Mit));
    }
    if let Some(name) = tensors.keys().find(|name| starts_with_number(name)) {
        let reason = format!("a state dict with names like `{name}`, but without a YOLOv9 head");
        return Err(Problem::NoModel(reason));
    }
    Ok((tensors, ConfigFormat::Official))
}

/// Takes away what wrappers (data parallel, `torch.compile`, trainers) put before `model.<layer>.` or `<layer>.`.
fn without_prefix<T>(tensors: BTreeMap<String, T>) -> Result<BTreeMap<String, T>, Problem> {
    let Some(first) = tensors.keys().next() else { return Ok(tensors) };
    let first = first.clone();
    let mut rest = first.as_str();
    while !(is_official(rest) || starts_with_number(rest)) {
        let shorter = ["module.", "_orig_mod.", "model.", "ema."].iter().find_map(|prefix| rest.strip_prefix(prefix));
        rest = shorter.ok_or_else(|| {
            let reason = format!("a state dict with names like `{first}`; expected names like `model.0.conv.weight`");
            Problem::NoModel(reason)
        })?;
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
    name.strip_prefix("model.").is_some_and(starts_with_number)
}

/// `<number>.…`.
fn starts_with_number(name: &str) -> bool {
    name.split_once('.').is_some_and(|(layer, _)| !layer.is_empty() && layer.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_taken_off() {
        for (name, expected) in [
            ("model.0.conv.weight", Ok("model.0.conv.weight")),
            ("module.model.0.conv.weight", Ok("model.0.conv.weight")),
            ("_orig_mod.module.model.3.cv1.bn.bias", Ok("model.3.cv1.bn.bias")),
            ("model.model.0.conv.weight", Ok("model.0.conv.weight")),
            ("model.model.0.heads.0.anchor_conv.2.bias", Ok("model.0.heads.0.anchor_conv.2.bias")),
            ("0.conv.weight", Ok("0.conv.weight")),
            ("backbone.conv.weight", Err("expected names like `model.0.conv.weight`")),
        ] {
            let named = without_prefix(BTreeMap::from([(name.to_owned(), ())]));
            match (named, expected) {
                (Ok(map), Ok(expected)) => assert_eq!(map.into_keys().collect::<Vec<_>>(), [expected]),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (got, _) => panic!("{name}: {got:?}"),
            }
        }
    }
}

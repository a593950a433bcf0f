//! The zip container of `torch.save`: entries under one root folder, stored uncompressed, read in place.

use std::collections::HashMap;

use super::Problem;
use super::directory;
use super::tensor::Storage;

/// The pickle, with its checksum verified, and where the storages lie, by key.
pub(super) fn open(bytes: &[u8]) -> Result<(&[u8], HashMap<&str, Storage>), Problem> {
    let listed = directory::entries(bytes).map_err(Problem::Zip)?;
    // PyTorch takes the folder of the first entry for the root.
    let root = listed.first().and_then(|entry| entry.name.split_once('/')).map_or("", |(root, _)| root);
    let mut entries = HashMap::with_capacity(listed.len());
    for entry in &listed {
        let name = entry.name.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')).ok_or_else(|| {
            if listed.iter().any(|entry| entry.name.ends_with("data.pkl")) {
                Problem::Zip(format!("entry {} is not in the folder {root} of the others", entry.name))
            } else {
                not_of_torch()
            }
        })?;
        entries.insert(name, Storage { start: entry.start, length: entry.length, crc32: Some(entry.crc32) });
    }
    let is_program = |name: &&str| name.eq_ignore_ascii_case("constants.pkl") || name.starts_with("code/");
    if entries.keys().any(is_program) {
        return Err(Problem::Unsupported(
            "a TorchScript file: a compiled program instead of a model with parameters; give the checkpoint (.pt) it was \
             exported from"
                .into(),
        ));
    }
    let read = |name: &str| {
        let read = entries.get(name).map(|storage| storage.bytes(bytes)).transpose();
        read.map_err(|reason| Problem::Zip(format!("entry {name}: {reason}")))
    };
    if let Some(order) = read("byteorder")?.filter(|order| *order != b"little") {
        let order = String::from_utf8_lossy(&order[..order.len().min(20)]);
        return Err(Problem::Unsupported(format!(
            "written on a machine with {order} byte order; save it again on a little-endian machine"
        )));
    }
    let pickle = read("data.pkl")?.ok_or_else(not_of_torch)?;
    let storages = entries.iter().filter_map(|(name, storage)| Some((name.strip_prefix("data/")?, *storage)));
    Ok((pickle, storages.collect()))
}

fn not_of_torch() -> Problem {
    Problem::Unsupported(
        "a zip file without data.pkl, so not written by torch.save; give the .pt file that training wrote".into(),
    )
}

//! safetensors: our own model files, and anybody's state dict in that container.
//!
//! Our metadata keys: `format` (`yolo9`), `config` (YAML), `names` (JSON), `activation` (as in YAML), `batch_norm_eps`
//! (JSON, from the module's path to its epsilon, `*` for all others); every other key is metadata that is kept as it is.

use std::collections::{BTreeMap, HashMap};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use super::tensor::{KINDS, Storage, StoredTensor};
use crate::config::{Activation, ConfigFormat};

use super::{Checkpoint, CheckpointError, Contents, Metadata, ModuleAttributes, Problem};

const FORMAT: &str = "yolo9";
/// The container itself allows 100 MB. A checkpoint of ours has 0.3 MB at most.
const MAX_HEADER: u64 = 16 << 20;
/// As a file's first bytes may be read.
const MAX_HEADER_OF_ALL: u64 = 100_000_000;

/// Eight bytes of header length and a JSON object.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk::<8>().map(|length| u64::from_le_bytes(*length));
    length.is_some_and(|length| length <= MAX_HEADER_OF_ALL) && bytes.get(8) == Some(&b'{')
}

pub(super) fn read(bytes: &[u8]) -> Result<Contents, Problem> {
    if let Some(length) = bytes.first_chunk::<8>().map(|length| u64::from_le_bytes(*length)).filter(|n| *n > MAX_HEADER)
    {
        return Err(Problem::Safetensors(format!("its header has {length} bytes; at most {MAX_HEADER} are read")));
    }
    let damaged = |error: safetensors::SafeTensorError| Problem::Safetensors(error.to_string());
    let (header, parsed) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let data_start = header + 8;
    let mut tensors = BTreeMap::new();
    for (name, info) in parsed.tensors() {
        super::state_dict::check_name(tensors.len(), &name)?;
        let wrong = |reason: String| Problem::Tensor { name: name.clone(), reason };
        let kind = KINDS.iter().find(|kind| kind.container == info.dtype);
        let kind = kind.ok_or_else(|| wrong(format!("stored as {:?}, which is not supported", info.dtype)))?;
        let (start, end) = info.data_offsets;
        let storage = Storage { start: data_start + start, length: end - start, crc32: None };
        let strides = StoredTensor::contiguous_strides(&info.shape);
        tensors.insert(
            name.clone(),
            StoredTensor::new(kind.dtype, info.shape.clone(), strides, 0, storage).map_err(wrong)?,
        );
    }
    let fields = parsed.metadata().clone().unwrap_or_default();
    let mut modules = if is_ours(&fields) { epsilons(&fields, &tensors)? } else { BTreeMap::new() };
    if let Some(text) = fields.get("activation").filter(|_| is_ours(&fields)) {
        modules.insert(super::COMMON_ACTIVATION.into(), ModuleAttributes::Activation(Activation::from_yaml(text)));
    }
    let (description, tensors, format) = if is_ours(&fields) {
        ("a yolo9 model (safetensors)".to_owned(), tensors, ConfigFormat::Official)
    } else {
        let (tensors, format) = super::state_dict::with_official_names(tensors)?;
        (format!("a state dict (safetensors), {format} names"), tensors, format)
    };
    Ok(Contents { description, format, tensors, modules, metadata: metadata(fields)?, warnings: Vec::new() })
}

fn json<T: serde::de::DeserializeOwned>(fields: &HashMap<String, String>, key: &str) -> Result<Option<T>, Problem> {
    let Some(text) = fields.get(key) else { return Ok(None) };
    serde_json::from_str(text)
        .map(Some)
        .map_err(|error| Problem::Safetensors(format!("metadata `{key}` is not what yolo9 writes: {error}")))
}

fn is_ours(fields: &HashMap<String, String>) -> bool {
    fields.get("format").map(String::as_str) == Some(FORMAT)
}

fn metadata(mut fields: HashMap<String, String>) -> Result<Metadata, Problem> {
    if !is_ours(&fields) {
        // Under our own keys they would be taken for ours once the model is written.
        let theirs = |key: String| match super::RESERVED_METADATA.contains(&key.as_str()) {
            true => format!("their.{key}"),
            false => key,
        };
        let extra = fields.into_iter().map(|(key, value)| (theirs(key), value)).collect();
        return Ok(Metadata { extra, ..Metadata::default() });
    }
    let class_names = json(&fields, "names")?;
    let config = fields.remove("config");
    for known in super::RESERVED_METADATA {
        fields.remove(*known);
    }
    Ok(Metadata { config, class_names, extra: fields.into_iter().collect() })
}

/// The epsilon of every normalisation that the tensors show.
fn epsilons(
    fields: &HashMap<String, String>,
    tensors: &BTreeMap<String, StoredTensor>,
) -> Result<BTreeMap<String, ModuleAttributes>, Problem> {
    let Some(stated) = json::<BTreeMap<String, f64>>(fields, "batch_norm_eps")? else { return Ok(BTreeMap::new()) };
    let paths = tensors.keys().filter_map(|name| name.strip_suffix(".running_var"));
    let extra = paths.filter_map(|path| {
        let eps = *stated.get(path).or_else(|| stated.get("*"))?;
        Some((path.to_owned(), ModuleAttributes::BatchNorm(eps)))
    });
    Ok(extra.collect())
}

/// The first epsilon as `*` (usually that of all), and the exceptions by path.
fn stated_epsilons(modules: &BTreeMap<String, ModuleAttributes>) -> BTreeMap<&str, f64> {
    let stated = |(path, attributes): (_, &ModuleAttributes)| match attributes {
        ModuleAttributes::BatchNorm(eps) => Some((path, *eps)),
        _ => None,
    };
    let all: Vec<(&String, f64)> = modules.iter().filter_map(stated).collect();
    let Some((_, common)) = all.first().copied() else { return BTreeMap::new() };
    let exceptions = all.into_iter().filter(|(_, eps)| *eps != common);
    exceptions.map(|(path, eps)| (path.as_str(), eps)).chain([("*", common)]).collect()
}

pub(super) fn write(checkpoint: &Checkpoint) -> Result<Vec<u8>, CheckpointError> {
    let mut data = Vec::with_capacity(checkpoint.tensors().len());
    for (name, tensor) in checkpoint.tensors() {
        let bytes = checkpoint.read(name, StoredTensor::to_bytes)?;
        data.push((name.as_str(), tensor, bytes));
    }
    let mut views = Vec::with_capacity(data.len());
    for (name, tensor, bytes) in &data {
        let view = TensorView::new(tensor.dtype().kind().container, tensor.shape().to_vec(), bytes)
            .map_err(|error| checkpoint.failed(Problem::Tensor { name: (*name).into(), reason: error.to_string() }))?;
        views.push((*name, view));
    }
    let metadata = checkpoint.metadata();
    let mut fields: HashMap<String, String> = metadata.extra.clone().into_iter().collect();
    fields.insert("format".into(), FORMAT.into());
    if let Some(config) = &metadata.config {
        fields.insert("config".into(), config.clone());
    }
    if let Some(names) = &metadata.class_names {
        fields.insert("names".into(), serde_json::json!(names).to_string());
    }
    if let Some(activation) = checkpoint.common_activation() {
        fields.insert("activation".into(), activation.to_yaml());
    }
    let epsilons = stated_epsilons(checkpoint.modules());
    if !epsilons.is_empty() {
        fields.insert("batch_norm_eps".into(), serde_json::json!(epsilons).to_string());
    }
    let bytes = safetensors::serialize(views, Some(fields))
        .map_err(|error| checkpoint.failed(Problem::Safetensors(error.to_string())))?;
    Ok(with_sorted_metadata(&bytes))
}

/// The library writes the metadata in the order of a hash map; the same model should give the same bytes.
pub(crate) fn with_sorted_metadata(bytes: &[u8]) -> Vec<u8> {
    let (length, rest) = bytes.split_first_chunk::<8>().expect("the library writes a header");
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(header).expect("the library writes a JSON object");
    if let Some(serde_json::Value::Object(metadata)) = header.get_mut("__metadata__") {
        metadata.sort_keys();
    }
    let mut header = serde_json::to_vec(&header).expect("a JSON value can be written");
    // Tensors start at a multiple of eight.
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, data].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_activation_survives() {
        let mut model = crate::embedded::MODELS[0].checkpoint().unwrap();
        let relu = crate::config::Activation::Relu;
        model.contents.modules.insert("model.0.act".into(), ModuleAttributes::Activation(Some(relu)));
        model.contents.modules.remove("act");
        let copy = Checkpoint::from_bytes("copy", model.to_safetensors().unwrap()).unwrap();
        assert_eq!(copy.common_activation(), Some(relu));
    }

    #[test]
    fn damaged_files_are_refused() {
        let good = crate::embedded::MODELS[0].checkpoint().unwrap().to_safetensors().unwrap();
        let mut cases: Vec<Vec<u8>> = (1..50).map(|n| good[..good.len() * n / 50].to_vec()).collect();
        let mut wrong_offset = good.clone();
        let at = good.windows(14).position(|window| window == b"data_offsets\":").unwrap();
        wrong_offset[at + 15] = b'9';
        cases.push(wrong_offset);
        for bytes in cases {
            assert!(Checkpoint::from_bytes("x", bytes).is_err());
        }
    }
}

//! What `--weights` can name: a file, a model inside the program, or a released file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use sha2::{Digest, Sha256};
use yolo9::checkpoint::Checkpoint;
use yolo9::embedded::{self, EmbeddedModel};
use yolo9::hexadecimal;
use yolo9::hub::{Hub, Release, download};
use yolo9::model::{self, ModelFile};
use yolo9::untrusted::{FileKind, read};

use crate::cli::Globals;
use crate::objects;
use crate::report::bar;

/// Where weights are, now that what had to be fetched is.
pub(crate) enum LocatedWeights {
    File(PathBuf),
    Embedded(&'static EmbeddedModel),
    /// What an object of a store or a file on the web holds, and its address.
    Object(Arc<[u8]>, String),
}

/// Weights from elsewhere: they are asked for more than once, to be opened, measured and named.
static READ: Mutex<Option<HashMap<String, Arc<[u8]>>>> = Mutex::new(None);

/// The bytes at an address, read once.
fn read_once(address: &str, read: objects::ReadAt) -> Result<Arc<[u8]>, String> {
    let mut all = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let all = all.get_or_insert_default();
    if let Some(bytes) = all.get(address) {
        return Ok(Arc::clone(bytes));
    }
    let bytes: Arc<[u8]> = read(address, FileKind::Model.max_bytes())?.into();
    all.insert(address.to_owned(), Arc::clone(&bytes));
    Ok(bytes)
}

/// How the weights that an address names are read; nothing for files and names.
fn reader(weights: &str) -> Option<objects::ReadAt> {
    match Path::new(weights) {
        address if objects::address(address).is_some() => Some(objects::read),
        address if objects::web_address(address).is_some() => Some(download),
        _ => None,
    }
}

/// Finds what a name stands for, and fetches it if it is a release that is not there yet.
pub(crate) fn locate(weights: &str, globals: &Globals) -> anyhow::Result<LocatedWeights> {
    if let Some(read) = reader(weights) {
        anyhow::ensure!(!globals.is_offline(), "weights {weights}: are not fetched with --offline (or YOLO9_OFFLINE)");
        let bytes = read_once(weights, read).map_err(|reason| anyhow::anyhow!("weights {weights}: {reason}"))?;
        return Ok(LocatedWeights::Object(bytes, weights.to_owned()));
    }
    Ok(match model::WeightsLocation::find(Path::new(name_or_default(weights)))? {
        model::WeightsLocation::File(path) => LocatedWeights::File(path),
        model::WeightsLocation::Embedded(model) => LocatedWeights::Embedded(model),
        model::WeightsLocation::Release(release) => LocatedWeights::File(fetch(release, globals)?),
    })
}

/// An empty YOLO9_WEIGHTS is as good as none.
fn name_or_default(weights: &str) -> &str {
    if weights.is_empty() { embedded::MODELS[0].name } else { weights }
}

/// The model inside the program that a name stands for; a file of that name goes first.
pub(crate) fn embedded_model(weights: &str) -> Option<&'static EmbeddedModel> {
    match model::WeightsLocation::find(Path::new(name_or_default(weights))) {
        Ok(model::WeightsLocation::Embedded(model)) => Some(model),
        _ => None,
    }
}

/// The released file, with a progress bar while it is fetched.
pub(crate) fn fetch(release: &Release, globals: &Globals) -> anyhow::Result<PathBuf> {
    let hub = Hub::new(globals.offline)?;
    let bar = bar(None, "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}", 1, globals.quiet);
    let mut said = false;
    let path = hub.get(release, &mut |done, total| {
        if !said {
            log::info!("Fetching {} from {}", release.name, hub.url(release));
            said = true;
        }
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let path = path?;
    log::debug!("{}: {}", release.name, path.display());
    Ok(path)
}

/// Reads what a name stands for.
pub(crate) fn open_file(weights: &str, globals: &Globals) -> anyhow::Result<ModelFile> {
    let file = match locate(weights, globals)? {
        LocatedWeights::Embedded(model) => return Ok(ModelFile::Checkpoint(model.checkpoint()?)),
        LocatedWeights::File(path) => ModelFile::open(&path)?,
        LocatedWeights::Object(bytes, name) => ModelFile::from_bytes(&name, bytes.to_vec())?,
    };
    if let ModelFile::Checkpoint(checkpoint) = &file {
        checkpoint.warnings().iter().for_each(|warning| log::warn!("{weights}: {warning}"));
        log::debug!("{weights}: {}", checkpoint.description());
    }
    Ok(file)
}

/// As [`open_file`], for commands that need weights.
pub(crate) fn open_weights(weights: &str, globals: &Globals) -> anyhow::Result<Checkpoint> {
    match open_file(weights, globals)? {
        ModelFile::Checkpoint(checkpoint) => Ok(checkpoint),
        ModelFile::Exported(_) => anyhow::bail!(
            "weights {weights}: an ONNX file: a finished network, which `yolo9 detect` runs and `yolo9 info` describes, but \
             whose weights cannot be taken out; give the checkpoint that it was exported from"
        ),
    }
}

/// Bytes of the file of weights.
pub(crate) fn file_bytes(weights: &str, globals: &Globals) -> anyhow::Result<u64> {
    match locate(weights, globals)? {
        LocatedWeights::Embedded(model) => Ok(model.bytes.len() as u64),
        LocatedWeights::Object(bytes, _) => Ok(bytes.len() as u64),
        LocatedWeights::File(path) => Ok(std::fs::metadata(&path).with_context(|| path.display().to_string())?.len()),
    }
}

/// The file that something is made from: its name and sha256.
pub(crate) fn provenance(weights: &str, globals: &Globals) -> anyhow::Result<(String, String)> {
    let location = locate(weights, globals)?;
    let (name, bytes) = match &location {
        LocatedWeights::Embedded(model) => (model.name.to_owned(), Cow::Borrowed(model.bytes)),
        LocatedWeights::Object(bytes, name) => {
            let name = name.rsplit('/').next().unwrap_or_default().to_owned();
            (name, Cow::Borrowed(&**bytes))
        }
        LocatedWeights::File(path) => {
            let bytes = read(path, FileKind::Model).with_context(|| format!("{weights} cannot be read"))?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            (name.unwrap_or_else(|| weights.to_owned()), Cow::Owned(bytes))
        }
    };
    Ok((name, hexadecimal(&Sha256::digest(&bytes))))
}

//! Which pictures a run searches, and where the results of each go.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use sha2::{Digest, Sha256};
use yolo9::detect::Settings;
use yolo9::hexadecimal;

use super::DetectArgs;
use crate::args::Globals;
use crate::journal::{Header, Shard};
use crate::outputs::Places;
use crate::sources::{Source, Sources};
use crate::weights::provenance;

/// A picture of the run.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// Its number among all inputs, shards included.
    pub(super) index: usize,
    pub(super) source: Arc<Source>,
    /// Of its files, below the output folder.
    pub(super) place: PathBuf,
}

/// The pictures of a run in order.
pub(super) struct Plan {
    pub(super) pictures: Vec<Planned>,
    shard: Shard,
    /// Of all shards.
    total: usize,
    inputs: String,
    unusable: Vec<(String, String)>,
}

impl Plan {
    /// Gives every input its place before it takes the shard's part of them, so that shards cannot collide.
    pub(super) fn new(sources: &Sources, with_labels: bool, shard: Shard) -> Self {
        let mut places = Places::default();
        let mut names = Sha256::new();
        let mut pictures = Vec::new();
        for (index, source) in sources.pictures.iter().enumerate() {
            let place = places.claim(&source.relative, with_labels);
            names.update(source.name().as_bytes());
            names.update(b"\n");
            if shard.has(index) {
                pictures.push(Planned { index, source: Arc::clone(source), place });
            }
        }
        let unusable = sources.failed.iter().map(|(path, reason)| (path.display().to_string(), reason.clone()));
        Self {
            pictures,
            shard,
            total: sources.pictures.len(),
            inputs: hexadecimal(&names.finalize()),
            unusable: unusable.collect(),
        }
    }

    /// What must be the same for the run to be continued later.
    pub(super) fn header(
        &self,
        args: &DetectArgs,
        globals: &Globals,
        settings: &Settings,
        class_names: &[String],
    ) -> anyhow::Result<Option<Header>> {
        if !args.output.needs_folder() {
            return Ok(None);
        }
        let (name, hash) = provenance(&args.model.weights, globals)?;
        let mut model = format!("{name} {hash}");
        if let Some(config) = &args.model.config {
            let bytes = if Path::new(config).is_file() {
                std::fs::read(config).with_context(|| format!("{config} cannot be read"))?
            } else {
                Vec::new()
            };
            model += &format!(" with {config} {}", hexadecimal(&Sha256::digest(bytes)));
        }
        let output = &args.output;
        let files = (output.no_draw, output.line_width, output.hide_labels, output.hide_conf);
        let labels = (output.txt, output.save_conf, output.save_crop);
        Ok(Some(Header {
            yolo9: env!("CARGO_PKG_VERSION").into(),
            model,
            settings: format!("{settings:?}, {:?}, files {files:?} {labels:?}", args.runtime.dysample),
            inputs: self.inputs.clone(),
            total: self.total,
            shard: self.shard,
            class_names: class_names.to_vec(),
            unusable: self.unusable.clone(),
        }))
    }
}

//! Which pictures a run searches, and where the results of each go.

use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};
use yolo9::detect::Settings;
use yolo9::hexadecimal;
use yolo9::output::{Header, Shard, Written};
use yolo9::untrusted::{FileKind, read};

use super::DetectArgs;
use crate::args::Globals;
use crate::outputs::Places;
use crate::sources::{Reading, Source, Sources};
use crate::weights::provenance;

/// A picture or video of the run. Small: a run may have millions of them.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// Its number among all inputs, shards included.
    pub(super) index: usize,
    pub(super) source: Source,
    /// The place of its files, where that of its source was taken.
    renamed: Option<Box<Path>>,
}

impl Planned {
    /// Of its files, below the output folder.
    pub(super) fn place(&self) -> PathBuf {
        self.renamed.as_deref().map_or_else(|| self.source.relative(), Path::to_path_buf)
    }
}

/// The pictures of a run in order.
pub(super) struct Plan {
    pub(super) pictures: Vec<Planned>,
    shard: Shard,
    /// Of all shards.
    total: usize,
    inputs: String,
    /// Inputs that are no pictures, with the reason.
    pub(super) unusable: Vec<(String, String)>,
    /// Files that were read for their lines.
    pub(super) lists: Vec<PathBuf>,
}

impl Plan {
    /// Gives every input its place before it takes the shard's part of them, so that shards cannot collide.
    pub(super) fn new(sources: Sources, with_labels: bool, shard: Shard) -> Self {
        let mut places = Places::default();
        let mut names = Sha256::new();
        let mut pictures = Vec::new();
        let total = sources.pictures.len();
        for (index, source) in sources.pictures.into_iter().enumerate() {
            let relative = source.relative();
            let place = places.claim(&relative, with_labels);
            names.update(source.name().as_bytes());
            names.update(b"\n");
            if shard.has(index) {
                let renamed = (place != relative).then(|| place.into());
                pictures.push(Planned { index, source, renamed });
            }
        }
        pictures.shrink_to_fit();
        let unusable = sources.failed.iter().map(|(path, reason)| (path.display().to_string(), reason.clone()));
        let (unusable, lists) = (unusable.collect(), sources.lists);
        Self { pictures, shard, total, inputs: hexadecimal(&names.finalize()), unusable, lists }
    }

    /// The picture of that number, if it is one of this run.
    pub(super) fn picture(&self, index: usize) -> Option<&Planned> {
        self.pictures.get(index / self.shard.parts()).filter(|planned| planned.index == index)
    }

    /// The first video. Its frames are not counted before they come, so a run with one cannot be continued or divided.
    pub(super) fn video(&self) -> Option<&Planned> {
        self.pictures.iter().find(|planned| planned.source.video().is_some())
    }

    /// How many pictures there are to search, a video counting as many.
    pub(super) fn at_least(&self) -> usize {
        // A shard may have none at all; the network is opened all the same.
        if self.video().is_some() { usize::MAX } else { self.pictures.len().max(1) }
    }

    /// What must be the same for the run to be continued later.
    pub(super) fn header(
        &self,
        args: &DetectArgs,
        globals: &Globals,
        (settings, reading): (&Settings, Reading),
        class_names: &[String],
    ) -> anyhow::Result<Option<Header>> {
        if !args.output.needs_folder() || self.video().is_some() {
            return Ok(None);
        }
        let (name, hash) = provenance(&args.model.weights, globals)?;
        let mut model = format!("{name} {hash}");
        if let Some(config) = &args.model.config {
            let bytes = if Path::new(config).is_file() {
                read(Path::new(config), FileKind::Config).with_context(|| format!("{config} cannot be read"))?
            } else {
                Vec::new()
            };
            model += &format!(" with {config} {}", hexadecimal(&Sha256::digest(bytes)));
        }
        let output = &args.output;
        let style = (output.line_width, output.hide_labels, output.hide_conf, output.save_conf);
        // How much memory there is decides which pictures fail, not what is found; and every machine has its own.
        let reading = format!("at most {} pixels, only for {:?}", reading.limits.max_pixels, reading.only_for);
        let written =
            Written { drawn: !output.no_draw, labels: output.txt, crops: output.save_crop, thumbnails: output.html };
        Ok(Some(Header {
            yolo9: env!("CARGO_PKG_VERSION").into(),
            model,
            settings: format!("{settings:?}, {reading}, {:?}, style {style:?}", args.runtime.dysample),
            written,
            inputs: self.inputs.clone(),
            total: self.total,
            shard: self.shard,
            class_names: class_names.to_vec(),
            unusable: self.unusable.clone(),
        }))
    }
}

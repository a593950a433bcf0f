//! `yolo9 merge`: the output folders of all shards of a run become one, as if it had not been divided.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use walkdir::WalkDir;
use yolo9::output::Record;

use crate::Outcome;
use crate::args::Globals;
use crate::console::say;
use crate::formats::{FormatArgs, Formats};
use crate::gallery::{Gallery, thumbnail_place};
use crate::journal::{Header, Journal, JournalReader, Shard};
use crate::outputs::{CROPS, LABELS, RunFolder, write_failures};

#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// The output folders of all shards, in any order.
    #[arg(required = true, value_name = "FOLDER")]
    shards: Vec<PathBuf>,

    /// The folder to write.
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,

    /// Write into an existing folder, and replace files.
    #[arg(long)]
    exist_ok: bool,

    /// Write gallery.html, if the shards were searched with --html.
    #[arg(long)]
    html: bool,

    #[command(flatten)]
    formats: FormatArgs,
}

pub(crate) fn run(args: &MergeArgs, globals: &Globals) -> anyhow::Result<Outcome> {
    let mut shards = Shards::open(&args.shards)?;
    let out = args.out.canonicalize().ok();
    if let Some(shard) = args.shards.iter().find(|shard| out.is_some() && shard.canonicalize().ok() == out) {
        anyhow::bail!("--out {}: is one of the shards; give another folder", shard.display());
    }
    anyhow::ensure!(
        !args.html || shards.header.written.thumbnails,
        "--html: the shards were searched without --html, and have no small pictures"
    );
    // Gaps show before anything is written.
    shards.check()?;
    args.formats.check(Some(&args.out), args.exist_ok)?;
    let folder = RunFolder::create(Some(&args.out), args.exist_ok)?;
    let mut journal = Journal::lock(folder.path())?
        .with_context(|| format!("{}: another run is writing into this folder", folder.path().display()))?;
    let mut formats = Formats::create(&args.formats, false)?;
    let header = Header { shard: Shard::WHOLE, ..shards.header.clone() };
    journal.begin(&header)?;
    let mut gallery = args.html.then(|| Gallery::new(folder.path(), &header.class_names, true));
    let mut failures = header.unusable.clone();
    let mut shards = Shards::open(&args.shards)?;
    for index in 0..header.total {
        let (record, from) = shards.record(index)?;
        if let Some(reason) = record.failure() {
            failures.push((record.image.clone(), reason.to_owned()));
        }
        if let Some(place) = record.place() {
            let label = Path::new(LABELS).join(place.with_extension("txt"));
            for file in [place, &label, &thumbnail_place(place)] {
                take(&from.join(file), &folder.path().join(file))?;
            }
        }
        let detections = record.detections();
        if let (Some(result), Some(place)) = (record.result(&detections, &header.class_names), record.place()) {
            formats.push(&result)?;
            if let Some(gallery) = gallery.as_mut().filter(|_| record.failure().is_none()) {
                gallery.push(&result, place)?;
            }
        }
        journal.append(&record)?;
    }
    for shard in &args.shards {
        take_crops(shard, folder.path())?;
    }
    formats.finish()?;
    gallery.map_or(Ok(()), Gallery::finish)?;
    write_failures(folder.path(), &failures)?;
    if !globals.quiet {
        let (total, parts) = (header.total, args.shards.len());
        say!("{total} pictures of {parts} shards, {} failed: {}", failures.len(), folder.path().display());
    }
    Ok(if failures.is_empty() { Outcome::Done } else { Outcome::SomeFailed })
}

/// The journals of all shards, by part.
struct Shards {
    header: Header,
    readers: Vec<(PathBuf, JournalReader)>,
}

impl Shards {
    fn open(folders: &[PathBuf]) -> anyhow::Result<Self> {
        let mut readers: Vec<(PathBuf, JournalReader)> = Vec::with_capacity(folders.len());
        for folder in folders {
            let reader = JournalReader::open(folder)?
                .with_context(|| format!("{}: no journal; expected the output folder of a shard", folder.display()))?;
            if let Some((first, other)) = readers.first() {
                let whole = |header: &Header| Header { shard: Shard::WHOLE, ..header.clone() };
                if let Some(difference) = whole(&other.header).difference(&whole(&reader.header)) {
                    anyhow::bail!("{} and {} are of different runs: {difference}", first.display(), folder.display());
                }
            }
            readers.push((folder.clone(), reader));
        }
        readers.sort_by_key(|(_, reader)| reader.header.shard.part);
        let parts = readers.first().map_or(0, |(_, reader)| reader.header.shard.parts);
        for (n, (folder, reader)) in readers.iter().enumerate() {
            let Shard { part, parts: other } = reader.header.shard;
            anyhow::ensure!(other == parts, "{}: a shard of {other}, the others are of {parts}", folder.display());
            anyhow::ensure!(part != n, "shard {part}/{parts} is there twice: {}", folder.display());
            anyhow::ensure!(part == n + 1, "shard {}/{parts} is missing", n + 1);
        }
        anyhow::ensure!(readers.len() == parts, "shard {}/{parts} is missing", readers.len() + 1);
        let header = readers[0].1.header.clone();
        Ok(Self { header, readers })
    }

    /// That all shards have finished.
    fn check(&mut self) -> anyhow::Result<()> {
        let written = self.header.written;
        for index in 0..self.header.total {
            let (record, folder) = self.record(index)?;
            let Some(place) = record.place().filter(|_| record.failure().is_none()) else { continue };
            let has_labels = written.labels && !record.detections().is_empty();
            let files = [
                written.drawn.then(|| place.to_path_buf()),
                has_labels.then(|| Path::new(LABELS).join(place.with_extension("txt"))),
                written.thumbnails.then(|| thumbnail_place(place)),
            ];
            if let Some(missing) =
                files.into_iter().flatten().map(|file| folder.join(file)).find(|file| !file.is_file())
            {
                anyhow::bail!("{} is missing, a file of {}; search that shard again", missing.display(), record.image);
            }
        }
        for (folder, reader) in &mut self.readers {
            if let Some(record) = reader.next()? {
                anyhow::bail!(
                    "{}: {} is there although the shard has all its pictures",
                    folder.display(),
                    record.image
                );
            }
        }
        Ok(())
    }

    /// The record of a picture and the folder of its shard.
    fn record(&mut self, index: usize) -> anyhow::Result<(Record, &Path)> {
        let parts = self.readers.len();
        let (folder, reader) = &mut self.readers[index % parts];
        let shard = reader.header.shard;
        let record = reader.next()?.with_context(|| {
            format!("{}: shard {shard} is not finished; continue it with --resume", folder.display())
        })?;
        anyhow::ensure!(
            record.index == index,
            "{}: has picture {} where {index} is expected",
            folder.display(),
            record.index
        );
        Ok((record, folder))
    }
}

/// A file of a shard, as a second name of the same file where that is possible. Not every picture has every file.
fn take(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_file() {
        return Ok(());
    }
    let context = || format!("{} cannot be taken over to {}", from.display(), to.display());
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).with_context(context)?;
    }
    if to.exists() {
        std::fs::remove_file(to).with_context(context)?;
    }
    std::fs::hard_link(from, to).or_else(|_| std::fs::copy(from, to).map(drop)).with_context(context)
}

fn take_crops(shard: &Path, out: &Path) -> anyhow::Result<()> {
    let crops = shard.join(CROPS);
    if !crops.is_dir() {
        return Ok(());
    }
    for entry in WalkDir::new(&crops) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let relative = entry.path().strip_prefix(shard)?;
            take(entry.path(), &out.join(relative))?;
        }
    }
    Ok(())
}

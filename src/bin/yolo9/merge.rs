//! `yolo9 merge`: the output folders of all shards of a run become one, as if it had not been divided.

use std::path::{Path, PathBuf};

use anyhow::Context;
use yolo9::output::{Header, Record, Shard, delete_if_there, folder_of};
use yolo9::untrusted::below;

use crate::cli::{Globals, MergeArgs};
use crate::console::say;
use crate::exit::ExitStatus;
use crate::overwrite::refuse_inside;
use crate::report::counted;
use crate::run::journal::{self, Journal, JournalFile};
use crate::run::places::{JOURNAL, RunFolder, is_regular, is_reserved};
use crate::run::plan::made_with;
use crate::run::recorder::push_record;
use crate::run::sink::{IMAGE_FILES, Opening, Sinks, check_files, files_of};

pub(crate) fn run(args: &MergeArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    let mut shards = Shards::open(&args.shards)?;
    let out = args.out.canonicalize().ok();
    if let Some(shard) = args.shards.iter().find(|shard| out.is_some() && shard.canonicalize().ok() == out) {
        anyhow::bail!("--out {}: is one of the shards; give another folder", shard.display());
    }
    anyhow::ensure!(
        !args.html || shards.header.written.iter().any(|name| name == "thumbnails"),
        "--html: the shards were run without --html, and have no thumbnails"
    );
    // Gaps show before anything is written.
    shards.check()?;
    check_files(&args.formats, Some(&args.out), args.exist_ok)?;
    for shard in &args.shards {
        // Nothing that is read may be replaced, nor anything put beside it.
        refuse_inside([shard.as_path()], &args.out)?;
        let into_shard = |path: &Path| {
            let folder = folder_of(path).canonicalize();
            folder.is_ok_and(|folder| shard.canonicalize().is_ok_and(|shard| folder.starts_with(shard)))
        };
        let mut outputs = args.formats.files().chain([("--out", args.out.as_path())]);
        if let Some((option, path)) = outputs.find(|(_, path)| into_shard(path)) {
            anyhow::bail!("{option} {}: lies in the shard {}; choose another place", path.display(), shard.display());
        }
    }
    let folder = RunFolder::create(&args.out, args.exist_ok)?;
    let mut journal = Journal::lock(folder.path())?
        .with_context(|| format!("{}: another run is writing into this folder", folder.path().display()))?;
    let header = Header { shard: Shard::WHOLE, ..shards.header.clone() };
    journal.begin(&header)?;
    let class_names = header.class_names.as_slice().into();
    let opening = Opening {
        folder: Some(&folder),
        class_names: &class_names,
        made_with: made_with(&header.model, header.settings.confidence_threshold, header.settings.iou_threshold),
        interrupt: None,
        rows: false,
        journal: Some(journal),
        owns_folder: true,
        unusable: &header.unusable,
    };
    let mut sinks = Sinks::merged(&args.formats, args.html, opening)?;
    let mut failed = header.unusable.len();
    for index in 0..header.total {
        let (record, from) = shards.record(index)?;
        failed += usize::from(record.failure().is_some());
        for file in files_of(&record, &header) {
            take(from, folder.path(), &file)?;
        }
        push_record(&mut sinks, &record, &header.class_names, false)?;
    }
    sinks.finish()?;
    if !globals.quiet {
        let (images, shards) = (counted(header.total, "image"), counted(args.shards.len(), "shard"));
        say!("{images} of {shards}, {failed} failed: {}", folder.path().display());
    }
    Ok(if failed == 0 { ExitStatus::Done } else { ExitStatus::SomeFailed })
}

/// The journals of all shards, by part.
struct Shards {
    header: Header,
    shards: Vec<OpenShard>,
}

struct OpenShard {
    folder: PathBuf,
    reader: JournalFile,
    /// Numbers of images, ascending, and where their records begin.
    records: Vec<(usize, u64)>,
}

impl OpenShard {
    fn open(folder: &Path) -> anyhow::Result<Self> {
        let mut reader = journal::open(folder)?
            .with_context(|| format!("{}: no journal; expected the output folder of a shard", folder.display()))?;
        let (records, _) = reader.places().with_context(|| folder.join(JOURNAL).display().to_string())?;
        Ok(Self { folder: folder.to_path_buf(), reader, records })
    }

    fn shard(&self) -> Shard {
        self.reader.header().shard
    }
}

impl Shards {
    fn open(folders: &[PathBuf]) -> anyhow::Result<Self> {
        let mut shards: Vec<OpenShard> = Vec::with_capacity(folders.len());
        for folder in folders {
            let shard = OpenShard::open(folder)?;
            if let Some(other) = shards.first() {
                let whole = |header: &Header| Header { shard: Shard::WHOLE, ..header.clone() };
                if let Some(difference) = whole(other.reader.header()).difference(&whole(shard.reader.header())) {
                    let first = other.folder.display();
                    anyhow::bail!("{first} and {} are of different runs: {difference}", folder.display());
                }
            }
            shards.push(shard);
        }
        shards.sort_by_key(|shard| shard.shard().part());
        let parts = shards.first().map_or(0, |shard| shard.shard().parts());
        for (n, shard) in shards.iter().enumerate() {
            let (folder, part, other) = (shard.folder.display(), shard.shard().part(), shard.shard().parts());
            anyhow::ensure!(other == parts, "{folder}: a shard of {other}, the others are of {parts}");
            anyhow::ensure!(part != n, "shard {part}/{parts} is there twice: {folder}");
            anyhow::ensure!(part == n + 1, "shard {}/{parts} is missing", n + 1);
        }
        anyhow::ensure!(shards.len() == parts, "shard {}/{parts} is missing", shards.len() + 1);
        let header = shards[0].reader.header().clone();
        if let Some(unknown) = header.written.iter().find(|name| IMAGE_FILES.iter().all(|files| files.name != **name)) {
            let folder = shards[0].folder.display();
            anyhow::bail!("{folder}: its images have files `{unknown}`, which this version of yolo9 does not know");
        }
        Ok(Self { header, shards })
    }

    /// That all shards have finished, and have the files that they should.
    fn check(&mut self) -> anyhow::Result<()> {
        for index in 0..self.header.total {
            let (record, folder) = self.record(index)?;
            let folder = folder.to_path_buf();
            if let Some(place) = record.place() {
                let image = &record.image;
                anyhow::ensure!(!is_reserved(place), "{}: {image} has a place that is not its own", folder.display());
            }
            for file in files_of(&record, &self.header) {
                let path = below(&folder, &file).with_context(|| format!("a file of {}", record.image))?;
                // One that could not be written is said to be so.
                if is_regular(&path) || record.failure().is_some() {
                    continue;
                }
                let what = if path.symlink_metadata().is_ok() { "no regular file" } else { "missing" };
                anyhow::bail!("{} is {what}, a file of {}; run that shard again", path.display(), record.image);
            }
        }
        Ok(())
    }

    /// The record of an image and the folder of its shard.
    fn record(&mut self, index: usize) -> anyhow::Result<(Record, &Path)> {
        let parts = self.shards.len();
        let OpenShard { folder, reader, records } = &mut self.shards[index % parts];
        let shard = reader.header().shard;
        let position = match records.get(index / parts) {
            Some((found, position)) if *found == index => *position,
            _ => anyhow::bail!("{}: shard {shard} is not finished; continue it with --resume", folder.display()),
        };
        let record = reader.record_at(position).with_context(|| folder.join(JOURNAL).display().to_string())?;
        Ok((record, folder))
    }
}

/// Takes a file of a shard over, as a second name of the same file where that is possible. An image with a failure may
/// lack some.
fn take(shard: &Path, out: &Path, file: &Path) -> anyhow::Result<()> {
    let context = || format!("{} cannot be taken over to {}", shard.join(file).display(), out.display());
    let from = below(shard, file).with_context(context)?;
    if !is_regular(&from) {
        return Ok(());
    }
    let to = below(out, file).with_context(context)?;
    std::fs::create_dir_all(folder_of(&to)).with_context(context)?;
    delete_if_there(&to).with_context(context)?;
    std::fs::hard_link(&from, &to).or_else(|_| std::fs::copy(&from, &to).map(drop)).with_context(context)
}

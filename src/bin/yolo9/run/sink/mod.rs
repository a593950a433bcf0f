//! What is written of a run: one file for each kind of output, and each implements [`Sink`]. How to add one is in
//! docs/adding-an-output.md.

mod coco;
mod crops;
mod csv;
mod drawn;
mod failures;
mod file;
mod gallery;
mod journal;
mod json;
mod labels;
mod rows;
mod video;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use image::RgbImage;
use yolo9::image::Image;
use yolo9::output::{FileError, Header, ImageResult, Record};
use yolo9::untrusted::{FileStamp, below};

use super::journal::Journal;
use super::places::{RunFolder, is_regular};
use super::plan::FeedEvent;
use super::sources::Failure;
use crate::cli::{FormatArgs, OutputArgs};
use crate::interrupt::Interrupt;
use crate::objects;
use coco::COCO;
pub(crate) use coco::coco_entry;
use csv::CSV;
use file::Format;
pub(crate) use file::check as check_files;
use json::{JSON, JSONL};

/// An image of the run, as outputs see it, in the order of inputs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// Its number among all inputs, shards included.
    pub(crate) index: usize,
    pub(crate) name: &'a str,
    /// Of its files, below the output folder.
    pub(crate) place: &'a Path,
    /// What its file was when it was read.
    pub(crate) stamp: Option<FileStamp>,
    /// Nothing if it could not be processed.
    pub(crate) result: Option<ImageResult<'a>>,
    /// Why that was so, or why one of its own files could not be written.
    pub(crate) failure: Option<&'a Failure>,
    /// Of a video, with what was drawn on it.
    pub(crate) frame: Option<&'a RgbImage>,
    /// Whether an earlier run processed it, and its journal tells of it.
    pub(crate) replayed: bool,
}

/// One output of a run.
pub(crate) trait Sink {
    /// What writes files of single images, if it has such.
    fn writer(&self) -> Option<Arc<dyn ImageWriter>> {
        None
    }

    /// Takes an image, in the order of inputs.
    fn push(&mut self, entry: &Entry<'_>) -> anyhow::Result<()>;

    /// Takes the beginning or the end of a video.
    fn video(&mut self, _event: &FeedEvent) -> anyhow::Result<()> {
        Ok(())
    }

    /// Completes the output, also after an error of the run.
    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        Ok(())
    }

    /// A line about the output for people, if it has something to say.
    fn line(&self) -> Option<String> {
        None
    }
}

/// What an output writes of each image by itself, on many threads.
pub(crate) trait ImageWriter: Send + Sync {
    /// Writes them. Those that draw on the image come last.
    fn write(&self, result: &ImageResult<'_>, place: &Path, image: &mut Image, is_frame: bool)
    -> Result<(), FileError>;
}

/// The files that an output writes of each image: enough to find them again, for `merge` and `--resume`.
#[derive(Debug)]
pub(crate) struct ImageFiles {
    /// What journals call them.
    pub(crate) name: &'static str,
    /// The folder below the output folder that they lie in; nothing where they lie at the image's own place.
    pub(crate) folder: Option<&'static str>,
    /// Those of an image with that result and place, below the output folder.
    pub(crate) of: fn(&ImageResult<'_>, &Path) -> Vec<PathBuf>,
    /// Whether they were asked for.
    wanted: fn(&OutputArgs) -> bool,
}

/// An output that has nothing but files of single images.
struct PerImage(Arc<dyn ImageWriter>);

impl Sink for PerImage {
    fn writer(&self) -> Option<Arc<dyn ImageWriter>> {
        Some(Arc::clone(&self.0))
    }

    fn push(&mut self, _entry: &Entry<'_>) -> anyhow::Result<()> {
        Ok(())
    }
}

/// All there are, in the order in which they are written.
pub(crate) const IMAGE_FILES: &[&ImageFiles] = &[&labels::FILES, &crops::FILES, &gallery::FILES, &drawn::FILES];

/// The files that an image has, below the output folder.
pub(crate) fn files_of(record: &Record, header: &Header) -> Vec<PathBuf> {
    let detections = record.detections();
    let (Some(result), Some(place)) = (record.result(&detections, &header.class_names), record.place()) else {
        return Vec::new();
    };
    let written = IMAGE_FILES.iter().filter(|files| header.written.iter().any(|name| name == files.name));
    written.flat_map(|files| (files.of)(&result, place)).collect()
}

/// Deletes the files that an earlier run wrote of an image, before it is processed again: it may have other objects now.
pub(crate) fn delete_files_of(record: &Record, header: &Header, folder: &Path) -> anyhow::Result<()> {
    for file in files_of(record, header) {
        let context = || format!("{} cannot be deleted", folder.join(&file).display());
        let path = below(folder, &file).with_context(context)?;
        if is_regular(&path) {
            std::fs::remove_file(&path).with_context(context)?;
        }
    }
    Ok(())
}

impl OutputArgs {
    /// The files of single images that are written.
    pub(crate) fn image_files(&self) -> impl Iterator<Item = &'static ImageFiles> {
        IMAGE_FILES.iter().copied().filter(|files| (files.wanted)(self))
    }

    /// Whether an image has files besides the drawn one, whose names come from its name without the extension.
    pub(crate) fn has_named_files(&self) -> bool {
        self.image_files().any(|files| files.folder.is_some())
    }

    pub(crate) fn needs_folder(&self) -> bool {
        self.image_files().next().is_some() || self.out.is_some()
    }
}

/// What outputs are opened with.
pub(crate) struct Opening<'a> {
    pub(crate) folder: Option<&'a RunFolder>,
    pub(crate) class_names: &'a Arc<[String]>,
    /// Model and thresholds, in words.
    pub(crate) made_with: String,
    pub(crate) interrupt: Option<&'a Interrupt>,
    /// Whether rows of detections go to stdout.
    pub(crate) rows: bool,
    pub(crate) journal: Option<Journal>,
    /// Whether no other run writes into the folder.
    pub(crate) owns_folder: bool,
    /// Inputs that cannot be used, with the reason.
    pub(crate) unusable: &'a [(String, String)],
}

/// All outputs of a run.
pub(crate) struct Sinks(Vec<Box<dyn Sink>>);

impl Sinks {
    /// Those of `detect`: one line for each.
    pub(crate) fn open(output: &OutputArgs, opening: Opening<'_>) -> anyhow::Result<Self> {
        let folder = opening.folder.map(|folder| folder.path().to_path_buf()).unwrap_or_default();
        let drawn = !output.no_draw;
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        sinks.extend(opening.rows.then(rows::sink));
        sinks.extend(file_sinks(&output.formats, opening.folder.is_none())?);
        sinks.extend(output.txt.then(|| labels::sink(&folder, output.save_conf)));
        sinks.extend(output.save_crop.then(|| crops::sink(&folder)));
        sinks.extend(output.html.then(|| gallery::sink(&folder, &opening, drawn)));
        sinks.extend(drawn.then(|| drawn::sink(&folder, output)));
        if let Some(interrupt) = opening.interrupt.filter(|_| drawn) {
            sinks.push(video::sink(&folder, interrupt));
        }
        if opening.owns_folder && opening.folder.is_some() {
            sinks.push(failures::sink(&folder, opening.unusable));
        }
        // Last: what it tells of is written.
        sinks.extend(opening.journal.map(|journal| Box::new(journal) as _));
        Ok(Self(sinks))
    }

    /// Those of `merge`, which writes no files of single images.
    pub(crate) fn merged(formats: &FormatArgs, html: bool, opening: Opening<'_>) -> anyhow::Result<Self> {
        let folder = opening.folder.map(|folder| folder.path().to_path_buf()).unwrap_or_default();
        let mut sinks = file_sinks(formats, false)?;
        sinks.extend(html.then(|| gallery::sink(&folder, &opening, true)));
        sinks.push(failures::sink(&folder, opening.unusable));
        sinks.extend(opening.journal.map(|journal| Box::new(journal) as _));
        Ok(Self(sinks))
    }

    pub(crate) fn writers(&self) -> Vec<Arc<dyn ImageWriter>> {
        self.0.iter().filter_map(|sink| sink.writer()).collect()
    }

    pub(crate) fn push(&mut self, entry: &Entry<'_>) -> anyhow::Result<()> {
        self.0.iter_mut().try_for_each(|sink| sink.push(entry))
    }

    pub(crate) fn video(&mut self, event: &FeedEvent) -> anyhow::Result<()> {
        self.0.iter_mut().try_for_each(|sink| sink.video(event))
    }

    /// Completes all of them, also if one fails. Gives their lines.
    pub(crate) fn finish(self) -> anyhow::Result<Vec<String>> {
        let lines = self.0.iter().filter_map(|sink| sink.line()).collect();
        let finished: Vec<_> = self.0.into_iter().map(Sink::finish).collect();
        finished.into_iter().collect::<anyhow::Result<()>>()?;
        Ok(lines)
    }
}

/// Files of all images.
fn file_sinks(formats: &FormatArgs, alone: bool) -> anyhow::Result<Vec<Box<dyn Sink>>> {
    let alone = alone && formats.wanted().count() == 1;
    formats
        .all()
        .into_iter()
        .filter_map(|(option, path, format)| Some(file::open(format, option, path?, alone)))
        .collect()
}

impl FormatArgs {
    /// The option, the path and the format of each: one line for each.
    fn all(&self) -> [(&'static str, Option<&Path>, Format); 4] {
        [
            ("--json", self.json.as_deref(), JSON),
            ("--jsonl", self.jsonl.as_deref(), JSONL),
            ("--csv", self.csv.as_deref(), CSV),
            ("--coco", self.coco.as_deref(), COCO),
        ]
    }

    /// The option and the path of those that were asked for.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.all().into_iter().filter_map(|(option, path, _)| Some((option, path?)))
    }

    /// The files, as opposed to stdout.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.wanted().filter(|(_, path)| *path != Path::new("-") && objects::address(path).is_none())
    }

    /// Whether one of them has stdout for itself.
    pub(crate) fn on_stdout(&self) -> bool {
        self.wanted().any(|(_, path)| path == Path::new("-"))
    }
}

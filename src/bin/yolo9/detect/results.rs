//! The places that results go to.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use image::RgbImage;
use yolo9::Size;
use yolo9::detect::{Detection, Found};
use yolo9::output::{
    FileError, Header, PictureResult, Record, Style, annotate, crop_places, crops, encode_picture, thumbnail,
    write_below, yolo_lines,
};
use yolo9::picture::Picture;
use yolo9::untrusted::{FileStamp, Place};

use super::DetectArgs;
use super::plan::{Plan, Planned};
use crate::console::say;
use crate::formats::Formats;
use crate::gallery::Gallery;
use crate::interrupt::Interrupt;
use crate::journal::{JOURNAL, Journal, Reader};
use crate::outputs::{CROPS, LABELS, RunFolder, delete_files_of, label_place, thumbnail_place, write_failures};
use crate::report::Report;
use crate::sources::Failure;
use crate::video::Film;

/// What a run writes besides its lines.
pub(super) struct Results {
    folder: Option<RunFolder>,
    formats: Formats,
    gallery: Option<Gallery>,
    journal: Option<Journal>,
    earlier: Option<Earlier>,
    /// Whether no other run writes into the folder.
    owns_folder: bool,
    labels: usize,
    files: Arc<Files>,
}

/// What an interrupted run left, to be put in at its place among what this one finds.
struct Earlier {
    reader: Reader,
    /// Numbers of pictures, ascending, and where their records begin.
    records: VecDeque<(usize, u64)>,
}

/// What is written of each picture.
#[derive(Debug)]
pub(super) struct Files {
    class_names: Arc<[String]>,
    folder: PathBuf,
    draw: Option<Style>,
    txt: bool,
    save_conf: bool,
    crop: bool,
    thumbnail: bool,
}

/// A picture, or a frame of a video by its number.
pub(super) struct Item {
    pub(super) planned: Planned,
    pub(super) frame: Option<u64>,
    /// What its file was when it was read.
    pub(super) stamp: Option<FileStamp>,
}

impl Item {
    /// What results call it.
    fn name(&self) -> String {
        match self.frame {
            None => self.planned.source.name(),
            Some(number) => format!("{}#{number}", self.planned.source.name()),
        }
    }

    /// Of its files below the output folder; those of frames lie in a folder for their video.
    fn place(&self) -> PathBuf {
        match self.frame {
            None => self.planned.place(),
            Some(number) => self.planned.place().join(format!("{number:06}.jpg")),
        }
    }
}

/// One picture on its way to its files.
pub(super) struct Job {
    item: Item,
    name: String,
    size: Size,
    input: Size,
    detections: Vec<Detection>,
    files: Arc<Files>,
}

impl Results {
    pub(super) fn create(args: &DetectArgs, class_names: Arc<[String]>, plan: &Plan) -> anyhow::Result<Self> {
        let output = &args.output;
        let exist_ok = output.exist_ok || args.resume;
        let folder = output.needs_folder().then(|| RunFolder::create(output.out.as_deref(), exist_ok)).transpose()?;
        let style =
            Style { line_width: output.line_width, hide_labels: output.hide_labels, hide_confidence: output.hide_conf };
        let files = Files {
            class_names,
            folder: folder.as_ref().map(|folder| folder.path().to_path_buf()).unwrap_or_default(),
            draw: (!output.no_draw).then_some(style),
            txt: output.txt,
            save_conf: output.save_conf,
            crop: output.save_crop,
            thumbnail: output.html,
        };
        let keeps_journal = folder.as_ref().filter(|_| plan.video().is_none());
        let journal = keeps_journal.map(|folder| Journal::lock(folder.path())).transpose()?.flatten();
        if let (Some(folder), None) = (keeps_journal, &journal) {
            let folder = folder.path().display();
            anyhow::ensure!(!args.resume, "{folder}: another run is writing into this folder");
            // Several runs with --exist-ok may share a folder; one journal cannot tell of all of them.
            log::warn!("{folder}: another run is writing into this folder; this one cannot be continued by --resume");
        }
        // Before files of this run's own are begun.
        if let Some(folder) = folder.as_ref().filter(|_| args.resume) {
            folder.sweep();
        }
        let formats = Formats::create(&output.formats, folder.is_none()).inspect_err(|_| {
            // A run that cannot start leaves no folder behind that would stop the next one.
            if let Some(folder) = folder.as_ref().filter(|_| !exist_ok) {
                let _ = std::fs::remove_file(folder.path().join(JOURNAL));
                let _ = std::fs::remove_dir(folder.path());
            }
        })?;
        let gallery = output.html.then(|| Gallery::new(&files.folder, &files.class_names, files.draw.is_some()));
        let owns_folder = journal.is_some() || plan.video().is_some();
        Ok(Self { folder, formats, gallery, journal, earlier: None, owns_folder, labels: 0, files: Arc::new(files) })
    }

    /// Begins the journal, or continues it. Gives the numbers of pictures that are finished: those with a record, but for
    /// those whose file has changed since, and, if they shall be tried again, those that failed.
    pub(super) fn begin(
        &mut self,
        header: &Option<Header>,
        plan: &Plan,
        args: &DetectArgs,
        report: &mut Report,
    ) -> anyhow::Result<Vec<usize>> {
        let (Some(journal), Some(header)) = (&mut self.journal, header) else { return Ok(Vec::new()) };
        if !args.resume {
            journal.begin(header)?;
            return Ok(Vec::new());
        }
        let (mut changed, mut failed) = (0, 0);
        let kept = journal.resume(header, |record| {
            let planned = plan.picture(record.index).filter(|planned| planned.source.name() == record.image);
            let planned = planned.with_context(|| {
                let (image, index) = (&record.image, record.index);
                format!("the journal has {image} as number {index}, which this run has not there; use another --out")
            })?;
            let is_changed = record.file.is_some() && planned.source.stamp() != record.file;
            let is_tried_again = args.retry_failed && record.failure().is_some();
            changed += usize::from(is_changed);
            failed += usize::from(is_tried_again && !is_changed);
            let is_kept = !is_changed && !is_tried_again;
            if !is_kept && record.place() == Some(planned.place().as_path()) {
                delete_files_of(record, header, &self.files.folder)?;
            }
            Ok(is_kept)
        })?;
        if changed > 0 {
            log::warn!("{changed} pictures have another size or time than when they were searched: searched again");
        }
        if failed > 0 {
            log::info!("{failed} pictures that failed are tried again");
        }
        let Some((reader, records)) = kept else { return Ok(Vec::new()) };
        let done: Vec<usize> = records.iter().map(|(index, _)| *index).collect();
        if !done.is_empty() {
            log::info!("{} of {} pictures were finished before", done.len(), plan.pictures.len());
        }
        self.earlier = Some(Earlier { reader, records: records.into() });
        let first_missing = plan.pictures.iter().find(|planned| done.binary_search(&planned.index).is_err());
        self.repeat_before(first_missing.map(|planned| planned.index), report)?;
        Ok(done)
    }

    /// Puts what an earlier run found into the files of all pictures, up to one, or all of it.
    fn repeat_before(&mut self, index: Option<usize>, report: &mut Report) -> anyhow::Result<()> {
        let Some(earlier) = &mut self.earlier else { return Ok(()) };
        while let Some((_, position)) = earlier.records.pop_front_if(|(first, _)| index.is_none_or(|end| *first < end))
        {
            let record = earlier.reader.record_at(position)?;
            let detections = record.detections();
            if let (Some(result), Some(place)) = (record.result(&detections, &self.files.class_names), record.place()) {
                let problem = record.failure().is_some();
                self.labels += usize::from(self.files.txt && !detections.is_empty());
                push(&mut self.formats, &mut self.gallery, &result, (place, problem))?;
            }
            report.finished_before(&record.image, record.failure());
        }
        Ok(())
    }

    /// Puts in what is left of an earlier run.
    pub(super) fn repeat_rest(&mut self, report: &mut Report) -> anyhow::Result<()> {
        self.repeat_before(None, report)
    }

    pub(super) fn files(&self) -> Arc<Files> {
        Arc::clone(&self.files)
    }

    /// The annotated video of a video, if pictures are drawn.
    pub(super) fn film(&self, planned: &Planned, rate: Option<&str>, interrupt: &Interrupt) -> Option<Film> {
        let rate = rate.unwrap_or("25");
        self.files.draw.map(|_| Film::new(&self.files.folder, planned.place(), rate, interrupt))
    }

    /// Notes that a picture is finished, with what went wrong with its files. What failed by no fault of its own is
    /// reported, but not noted, so that a continued run tries it again.
    pub(super) fn finished(&mut self, job: &Job, problem: Option<&Failure>, report: &mut Report) -> anyhow::Result<()> {
        self.repeat_before(Some(job.item.planned.index), report)?;
        self.labels += usize::from(self.files.txt && !job.detections.is_empty());
        let place = job.item.place();
        push(&mut self.formats, &mut self.gallery, &job.result(), (&place, problem.is_some()))?;
        if problem.is_some_and(|problem| problem.passing) {
            return Ok(());
        }
        let reason = problem.map(|problem| problem.reason.clone());
        let place = Place::new(place.to_string_lossy());
        self.note(|| Ok(Record::found(job.item.planned.index, &job.result(), place?, reason).of_file(job.item.stamp)))
    }

    /// As [`Results::finished`] for a picture that could not be searched.
    pub(super) fn failed(&mut self, item: &Item, failure: &Failure, report: &mut Report) -> anyhow::Result<()> {
        self.repeat_before(Some(item.planned.index), report)?;
        if failure.passing {
            return Ok(());
        }
        let planned = &item.planned;
        self.note(|| Ok(Record::failed(planned.index, &planned.source.name(), &failure.reason).of_file(item.stamp)))
    }

    fn note(&mut self, record: impl FnOnce() -> anyhow::Result<Record>) -> anyhow::Result<()> {
        match &mut self.journal {
            Some(journal) => journal.append(&record()?),
            None => Ok(()),
        }
    }

    /// Completes the files of all pictures; after an error of the run as far as they came.
    pub(super) fn finish(self, report: &Report, quiet: bool) -> anyhow::Result<()> {
        self.formats.finish()?;
        self.gallery.map_or(Ok(()), Gallery::finish)?;
        self.journal.map_or(Ok(()), Journal::finish)?;
        let Some(folder) = &self.folder else { return Ok(()) };
        if self.owns_folder {
            write_failures(folder.path(), report.failures())?;
        }
        if !quiet {
            say!("Results saved to {}", folder.path().display());
            if self.files.txt {
                say!("{} labels saved to {}", self.labels, folder.path().join(LABELS).display());
            }
        }
        Ok(())
    }
}

/// Into everything that covers all pictures. `problem` is whether one of the picture's own files could not be written.
fn push(
    formats: &mut Formats,
    gallery: &mut Option<Gallery>,
    result: &PictureResult<'_>,
    (place, problem): (&Path, bool),
) -> anyhow::Result<()> {
    formats.push(result)?;
    match gallery {
        Some(gallery) if !problem => gallery.push(result, place),
        _ => Ok(()),
    }
}

impl Job {
    pub(super) fn new(item: Item, size: Size, found: Found, files: Arc<Files>) -> Self {
        let name = item.name();
        let Found { detections, input, .. } = found;
        Self { item, name, size, input, detections, files }
    }

    pub(super) fn result(&self) -> PictureResult<'_> {
        PictureResult {
            source: &self.name,
            size: self.size,
            input: self.input,
            detections: &self.detections,
            class_names: &self.files.class_names,
        }
    }

    /// Writes the picture's own files. Of a frame that is drawn, the pixels come back.
    pub(super) fn write(&self, picture: Picture) -> Result<Option<RgbImage>, FileError> {
        let files = &*self.files;
        let place = &self.item.place();
        if files.txt && !self.detections.is_empty() {
            let path = label_place(place);
            write_below(&files.folder, &path, yolo_lines(&self.result(), files.save_conf).as_bytes())?;
        }
        if files.crop {
            self.write_crops(&picture)?;
        }
        if files.thumbnail {
            write_below(&files.folder, &thumbnail_place(place), &thumbnail(&picture.pixels)?)?;
        }
        if let Some(style) = &files.draw {
            let Picture { mut pixels, format, .. } = picture;
            annotate(&mut pixels, &self.result(), style);
            if self.item.frame.is_some() {
                return Ok(Some(pixels));
            }
            write_below(&files.folder, place, &encode_picture(&pixels, format)?)?;
        }
        Ok(None)
    }

    fn write_crops(&self, picture: &Picture) -> Result<(), FileError> {
        let (place, result) = (self.item.place(), self.result());
        for (crop, place) in crops(&picture.pixels, &result).zip(crop_places(&result, &place)) {
            let (Some(crop), Some(place)) = (crop, place) else { continue };
            let bytes = encode_picture(&crop.pixels, picture.format)?;
            write_below(&self.files.folder, &Path::new(CROPS).join(place), &bytes)?;
        }
        Ok(())
    }
}

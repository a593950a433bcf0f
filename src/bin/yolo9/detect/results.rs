//! The places that results go to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;
use yolo9::Size;
use yolo9::detect::{Detection, Found};
use yolo9::output::{
    Crop, PictureResult, Record, Style, annotate, crops, encode_picture, thumbnail, write_atomically, yolo_lines,
};
use yolo9::picture::Picture;

use super::DetectArgs;
use super::plan::{Plan, Planned};
use crate::console::say;
use crate::formats::Formats;
use crate::gallery::{Gallery, thumbnail_place};
use crate::journal::{Header, JOURNAL, Journal};
use crate::outputs::{CROPS, LABELS, RunFolder, write_failures};
use crate::report::Report;
use crate::video::Film;

/// What a run writes besides its lines.
pub(super) struct Results {
    folder: Option<RunFolder>,
    formats: Formats,
    gallery: Option<Gallery>,
    journal: Option<Journal>,
    /// Whether no other run writes into the folder.
    owns_folder: bool,
    labels: usize,
    files: Arc<Files>,
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
        if exist_ok {
            refuse_to_replace(folder.as_ref(), output.formats.files(), plan)?;
        }
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
            folder.sweep()?;
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
        Ok(Self { folder, formats, gallery, journal, owns_folder, labels: 0, files: Arc::new(files) })
    }

    /// Begins the journal, or continues it: what it holds goes into the files of all pictures again. Gives the number of
    /// pictures that are finished.
    pub(super) fn begin(
        &mut self,
        header: &Option<Header>,
        plan: &Plan,
        resume: bool,
        report: &mut Report,
    ) -> anyhow::Result<usize> {
        let (Some(mut journal), Some(header)) = (self.journal.take(), header) else { return Ok(0) };
        let mut done = 0;
        let seen = |record: Record| {
            let expected = plan.pictures.get(done);
            anyhow::ensure!(
                expected.is_some_and(|planned| planned.index == record.index && planned.source.name() == record.image),
                "the journal has {} as number {done}, which this run has not there; use another --out",
                record.image
            );
            let detections = record.detections();
            if let (Some(result), Some(place)) = (record.result(&detections, &self.files.class_names), record.place()) {
                let problem = record.failure().is_some();
                self.labels += usize::from(self.files.txt && !detections.is_empty());
                push(&mut self.formats, &mut self.gallery, &result, (place, problem))?;
            }
            report.finished_before(&record.image, record.failure());
            done += 1;
            Ok(())
        };
        if resume {
            journal.resume(header, seen)?;
        } else {
            journal.begin(header)?;
        }
        self.journal = Some(journal);
        if done > 0 {
            log::info!("{done} of {} pictures were finished before", plan.pictures.len());
        }
        Ok(done)
    }

    pub(super) fn files(&self) -> Arc<Files> {
        Arc::clone(&self.files)
    }

    /// The annotated video of a video, if pictures are drawn.
    pub(super) fn film(&self, planned: &Planned, rate: Option<&str>) -> Option<Film> {
        let rate = rate.unwrap_or("25");
        self.files.draw.map(|_| Film::new(self.files.folder.join(planned.place()), rate))
    }

    /// Notes that a picture is finished, with what went wrong with its files.
    pub(super) fn finished(&mut self, job: &Job, problem: Option<String>) -> anyhow::Result<()> {
        self.labels += usize::from(self.files.txt && !job.detections.is_empty());
        let place = job.item.place();
        push(&mut self.formats, &mut self.gallery, &job.result(), (&place, problem.is_some()))?;
        self.note(|| Record::found(job.item.planned.index, &job.result(), &place.to_string_lossy(), problem))
    }

    /// Notes that a picture could not be searched.
    pub(super) fn failed(&mut self, planned: &Planned, reason: &str) -> anyhow::Result<()> {
        self.note(|| Record::failed(planned.index, &planned.source.name(), reason))
    }

    fn note(&mut self, record: impl FnOnce() -> Record) -> anyhow::Result<()> {
        match &mut self.journal {
            Some(journal) => journal.append(&record()),
            None => Ok(()),
        }
    }

    pub(super) fn finish(self, report: &Report, quiet: bool) -> anyhow::Result<()> {
        self.formats.finish()?;
        self.gallery.map_or(Ok(()), Gallery::finish)?;
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

/// A result could land on the picture that it was made from.
fn refuse_to_replace<'a>(
    folder: Option<&RunFolder>,
    targets: impl Iterator<Item = &'a Path>,
    plan: &Plan,
) -> anyhow::Result<()> {
    let targets: Vec<PathBuf> = targets.filter_map(|path| path.canonicalize().ok()).collect();
    for planned in &plan.pictures {
        let Some(original) = planned.source.path().and_then(|path| path.canonicalize().ok()) else { continue };
        let drawn = folder.and_then(|folder| folder.path().join(planned.place()).canonicalize().ok());
        if drawn.iter().chain(&targets).any(|target| *target == original) {
            let name = planned.source.name();
            anyhow::bail!("{name} would be replaced by its own result; choose another place for that");
        }
    }
    Ok(())
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
    pub(super) fn write(&self, picture: Picture) -> anyhow::Result<Option<RgbImage>> {
        let files = &*self.files;
        let place = &self.item.place();
        if files.txt && !self.detections.is_empty() {
            let path = files.folder.join(LABELS).join(place.with_extension("txt"));
            write_atomically(&path, yolo_lines(&self.result(), files.save_conf).as_bytes())?;
        }
        if files.crop {
            self.write_crops(&picture)?;
        }
        if files.thumbnail {
            write_atomically(&files.folder.join(thumbnail_place(place)), &thumbnail(&picture.pixels)?)?;
        }
        if let Some(style) = &files.draw {
            let Picture { mut pixels, format, .. } = picture;
            annotate(&mut pixels, &self.result(), style);
            if self.item.frame.is_some() {
                return Ok(Some(pixels));
            }
            write_atomically(&files.folder.join(place), &encode_picture(&pixels, format)?)?;
        }
        Ok(None)
    }

    /// `crops/<class>/<picture>.1.jpg`, `<picture>.2.jpg` and so on by falling score.
    fn write_crops(&self, picture: &Picture) -> anyhow::Result<()> {
        let place = &self.item.place();
        let stem = place.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let extension = place.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
        for (number, crop) in crops(&picture.pixels, &self.result()).enumerate() {
            let Some(Crop { class, pixels }) = crop else { continue };
            let place = place.with_file_name(format!("{stem}.{}{extension}", number + 1));
            let path = self.files.folder.join(CROPS).join(class).join(place);
            write_atomically(&path, &encode_picture(&pixels, picture.format)?)?;
        }
        Ok(())
    }
}

//! The places that results go to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use yolo9::Size;
use yolo9::detect::{Detection, Found};
use yolo9::output::{Crop, PictureResult, Style, annotate, crops, encode_picture, write_atomically, yolo_lines};
use yolo9::picture::Picture;

use super::OutputArgs;
use crate::console::say;
use crate::formats::Formats;
use crate::outputs::{CROPS, LABELS, RunFolder};
use crate::sources::Source;

/// What a run writes besides its lines.
pub(super) struct Results {
    folder: Option<RunFolder>,
    formats: Formats,
    labels: usize,
    files: Arc<Files>,
    /// Files that may not be pictures of the run.
    targets: Vec<PathBuf>,
    exist_ok: bool,
}

/// What is written of each picture.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) class_names: Arc<[String]>,
    folder: PathBuf,
    draw: Option<Style>,
    txt: bool,
    save_conf: bool,
    crop: bool,
}

/// One picture on its way to its files.
pub(super) struct Job {
    pub(super) files: Arc<Files>,
    /// Below the output folder.
    place: PathBuf,
    pub(super) name: String,
    pub(super) size: Size,
    input: Size,
    pub(super) detections: Vec<Detection>,
}

impl Results {
    pub(super) fn create(args: &OutputArgs, class_names: Arc<[String]>) -> anyhow::Result<Self> {
        let needs_folder = !args.no_draw || args.txt || args.save_crop || args.out.is_some();
        args.formats.check(args.out.as_deref(), args.exist_ok)?;
        let folder = needs_folder.then(|| RunFolder::create(args.out.as_deref(), args.exist_ok)).transpose()?;
        let formats = Formats::create(&args.formats)?;
        let OutputArgs { line_width, hide_labels, hide_conf, .. } = *args;
        let style = Style { line_width, hide_labels, hide_confidence: hide_conf };
        let files = Files {
            class_names,
            folder: folder.as_ref().map(|folder| folder.path().to_path_buf()).unwrap_or_default(),
            draw: (!args.no_draw).then_some(style),
            txt: args.txt,
            save_conf: args.save_conf,
            crop: args.save_crop,
        };
        let targets = args.formats.files().map(Path::to_path_buf).collect();
        Ok(Self { folder, formats, labels: 0, files: Arc::new(files), targets, exist_ok: args.exist_ok })
    }

    /// With --exist-ok a result could land on the picture that it was made from.
    pub(super) fn refuse_to_replace(&self, pictures: &[Source]) -> anyhow::Result<()> {
        if !self.exist_ok {
            return Ok(());
        }
        let targets: Vec<PathBuf> = self.targets.iter().filter_map(|path| path.canonicalize().ok()).collect();
        for source in pictures {
            let Some(original) = source.path().and_then(|path| path.canonicalize().ok()) else { continue };
            let drawn = self.folder.as_ref().and_then(|f| f.path().join(&source.relative).canonicalize().ok());
            if drawn.iter().chain(&targets).any(|target| *target == original) {
                anyhow::bail!("{} would be replaced by its own result; choose another place for that", source.name());
            }
        }
        Ok(())
    }

    /// Adds a picture to what covers all pictures. Gives what remains to be written of it, if anything.
    pub(super) fn add(&mut self, source: &Source, size: Size, found: Found) -> anyhow::Result<Job> {
        let place =
            self.folder.as_mut().map(|folder| folder.claim(&source.relative, self.files.txt || self.files.crop));
        let job = Job {
            files: Arc::clone(&self.files),
            place: place.unwrap_or_default(),
            name: source.name(),
            size,
            input: found.input,
            detections: found.detections,
        };
        self.formats.push(&job.result())?;
        if self.files.txt && !job.detections.is_empty() {
            self.labels += 1;
        }
        Ok(job)
    }

    pub(super) fn finish(self, quiet: bool) -> anyhow::Result<()> {
        self.formats.finish()?;
        if let (Some(folder), false) = (&self.folder, quiet) {
            say!("Results saved to {}", folder.path().display());
            if self.files.txt {
                let labels = folder.path().join(LABELS);
                say!("{} labels saved to {}", self.labels, labels.display());
            }
        }
        Ok(())
    }
}

impl Job {
    pub(super) fn result(&self) -> PictureResult<'_> {
        PictureResult {
            source: &self.name,
            size: self.size,
            input: self.input,
            detections: &self.detections,
            class_names: &self.files.class_names,
        }
    }

    /// Writes the picture's own files.
    pub(super) fn write(&self, picture: Picture) -> anyhow::Result<()> {
        let files = &*self.files;
        if files.txt && !self.detections.is_empty() {
            let path = files.folder.join(LABELS).join(self.place.with_extension("txt"));
            write_atomically(&path, yolo_lines(&self.result(), files.save_conf).as_bytes())?;
        }
        if files.crop {
            self.write_crops(&picture)?;
        }
        if let Some(style) = &files.draw {
            let Picture { mut pixels, format } = picture;
            annotate(&mut pixels, &self.result(), style);
            write_atomically(&files.folder.join(Path::new(&self.place)), &encode_picture(&pixels, format)?)?;
        }
        Ok(())
    }

    /// `crops/<class>/<picture>.1.jpg`, `<picture>.2.jpg` and so on by falling score.
    fn write_crops(&self, picture: &Picture) -> anyhow::Result<()> {
        let stem = self.place.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let extension = self.place.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
        for (number, crop) in crops(&picture.pixels, &self.result()).enumerate() {
            let Some(Crop { class, pixels }) = crop else { continue };
            let place = self.place.with_file_name(format!("{stem}.{}{extension}", number + 1));
            let path = self.files.folder.join(CROPS).join(class).join(place);
            write_atomically(&path, &encode_picture(&pixels, picture.format)?)?;
        }
        Ok(())
    }
}

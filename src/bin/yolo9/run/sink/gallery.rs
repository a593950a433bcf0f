//! `--html`: a page to look through the results, with thumbnails.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use yolo9::image::Image;
use yolo9::output::{
    FileError, GALLERY_PART, GalleryAbout, GalleryImage, ImageResult, gallery_page, gallery_part, thumbnail,
    write_below,
};
use yolo9::untrusted::{FileKind, below, read};

use super::{Entry, ImageFiles, ImageWriter, Opening, Sink};
use crate::report::counted;
use crate::run::places::{PAGE, is_regular};

/// The folder of data and thumbnails, below the output folder.
const FOLDER: &str = "gallery";

pub(super) const FILES: ImageFiles = ImageFiles {
    name: "thumbnails",
    folder: Some(FOLDER),
    of: |_, place| vec![thumbnail_place(place)],
    wanted: |output| output.html,
};

/// Where the thumbnail of an image lies below the output folder.
fn thumbnail_place(place: &Path) -> PathBuf {
    Path::new(FOLDER).join("thumbs").join(place).with_added_extension("jpg")
}

/// A gallery that is written while a run goes on: of up to [`GALLERY_PART`] images one page with everything inside, of
/// more a page that loads parts.
#[derive(Debug, Default)]
struct Gallery {
    out: PathBuf,
    /// Model and thresholds.
    made_with: String,
    class_names: Arc<[String]>,
    /// Whether images are drawn, so that the page can link to them.
    drawn: bool,
    waiting: Vec<(GalleryImage, PathBuf)>,
    parts: usize,
    total: usize,
    detections: usize,
    failed: usize,
    /// The first ones.
    failures: Vec<(String, String)>,
}

/// Failures that a page lists; failed.jsonl has all.
const LISTED: usize = 100;

struct Writer(PathBuf);

pub(super) fn sink(out: &Path, opening: &Opening<'_>, drawn: bool) -> Box<dyn Sink> {
    let failures: Vec<(String, String)> = opening.unusable.iter().take(LISTED).cloned().collect();
    Box::new(Gallery {
        out: out.to_path_buf(),
        made_with: opening.made_with.clone(),
        class_names: Arc::clone(opening.class_names),
        drawn,
        failed: opening.unusable.len(),
        failures,
        ..Gallery::default()
    })
}

impl ImageWriter for Writer {
    fn write(&self, _: &ImageResult<'_>, place: &Path, image: &mut Image, _: bool) -> Result<(), FileError> {
        write_below(&self.0, &thumbnail_place(place), &thumbnail(&image.pixels)?)
    }
}

impl Sink for Gallery {
    fn writer(&self) -> Option<Arc<dyn ImageWriter>> {
        Some(Arc::new(Writer(self.out.clone())))
    }

    /// Adds an image whose thumbnail is written. Frames of a video have no drawn image of their own.
    fn push(&mut self, entry: &Entry<'_>) -> anyhow::Result<()> {
        if let Some(failure) = entry.failure {
            self.failed += 1;
            if self.failures.len() < LISTED {
                self.failures.push((entry.name.to_owned(), failure.reason.clone()));
            }
        }
        let (Some(result), None) = (&entry.result, entry.failure) else { return Ok(()) };
        if self.waiting.len() == GALLERY_PART {
            self.write_part()?;
        }
        let drawn = entry.place.to_string_lossy();
        let is_file = |path: PathBuf| is_regular(&path);
        let drawn = (self.drawn && below(&self.out, entry.place).is_ok_and(is_file)).then_some(&*drawn);
        let original = relative(Path::new(entry.name), &self.out);
        let image = GalleryImage::new(result, drawn, original.as_deref().and_then(Path::to_str));
        self.waiting.push((image, thumbnail_place(entry.place)));
        self.total += 1;
        self.detections += result.detections.len();
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        let mut inside = Vec::new();
        if self.parts > 0 {
            self.write_part()?;
        } else {
            for (image, thumbnail) in std::mem::take(&mut self.waiting) {
                let bytes = below(&self.out, &thumbnail).and_then(|path| read(&path, FileKind::Image));
                let bytes = bytes.with_context(|| format!("{} cannot be read", self.out.join(&thumbnail).display()))?;
                inside.push(image.embedded(&bytes));
            }
        }
        let (detections, images) = (counted(self.detections, "detection"), counted(self.total, "image"));
        let mut counts = format!("{detections} in {images}");
        if self.failed > 0 {
            counts += &format!("; {} could not be processed", counted(self.failed, "input"));
        }
        let about = GalleryAbout {
            lines: &[counts, format!("{}, by yolo9 {}", self.made_with, env!("CARGO_PKG_VERSION"))],
            class_names: &self.class_names,
            total: self.total,
            parts: self.parts,
            failures: &self.failures,
        };
        let page = gallery_page(&about, &inside);
        Ok(write_below(&self.out, Path::new(PAGE), page.as_bytes())?)
    }
}

impl Gallery {
    fn write_part(&mut self) -> anyhow::Result<()> {
        self.parts += 1;
        let linked = |(image, thumbnail): (GalleryImage, PathBuf)| image.linked(&thumbnail.to_string_lossy());
        let images: Vec<GalleryImage> = self.waiting.drain(..).map(linked).collect();
        let path = Path::new(FOLDER).join(format!("data-{}.js", self.parts));
        Ok(write_below(&self.out, &path, gallery_part(&images).as_bytes())?)
    }
}

/// A file as seen from a folder; nothing if it is none, or on another drive.
fn relative(file: &Path, folder: &Path) -> Option<PathBuf> {
    if !is_regular(file) {
        return None;
    }
    let [file, folder] = [file, folder].map(|path| path.canonicalize().ok());
    let (file, folder) = (file?, folder?);
    let common = file.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(common);
    let mut relative: PathBuf =
        up.map(|component| matches!(component, Component::Normal(_)).then_some("..")).collect::<Option<_>>()?;
    relative.extend(file.components().skip(common));
    Some(relative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn originals_are_seen_from_the_page() {
        let place = tempfile::tempdir().unwrap();
        let (image, out) = (place.path().join("in/a.jpg"), place.path().join("runs/out"));
        std::fs::create_dir_all(image.parent().unwrap()).unwrap();
        std::fs::create_dir_all(&out).unwrap();
        std::fs::write(&image, "").unwrap();
        assert_eq!(relative(&image, &out), Some(Path::new("../../in/a.jpg").into()));
        assert_eq!(relative(&out.join("none.jpg"), &out), None);
    }
}

//! `gallery.html` of an output folder.

use std::path::{Path, PathBuf};

use anyhow::Context;
use yolo9::output::{GALLERY_PART, GalleryPicture, PictureResult, gallery_page, gallery_part, write_below};
use yolo9::untrusted::{FileKind, below, read};

use crate::outputs::{GALLERY, PAGE, thumbnail_place};

/// A gallery that is written while a run goes on: of up to [`GALLERY_PART`] pictures one page with everything inside, of
/// more a page that loads parts.
#[derive(Debug)]
pub(crate) struct Gallery {
    out: PathBuf,
    class_names: Vec<String>,
    /// Whether pictures are drawn, so that the page can link to them.
    drawn: bool,
    waiting: Vec<(GalleryPicture, PathBuf)>,
    parts: usize,
    total: usize,
    detections: usize,
}

impl Gallery {
    pub(crate) fn new(out: &Path, class_names: &[String], drawn: bool) -> Self {
        let (out, class_names) = (out.to_path_buf(), class_names.to_vec());
        Self { out, class_names, drawn, waiting: Vec::new(), parts: 0, total: 0, detections: 0 }
    }

    /// Adds a picture, whose thumbnail is written. Frames of a video have no drawn picture of their own.
    pub(crate) fn push(&mut self, result: &PictureResult<'_>, place: &Path) -> anyhow::Result<()> {
        if self.waiting.len() == GALLERY_PART {
            self.write_part()?;
        }
        let drawn = place.to_string_lossy();
        let is_file = |path: PathBuf| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
        let drawn = (self.drawn && below(&self.out, place).is_ok_and(is_file)).then_some(&*drawn);
        self.waiting.push((GalleryPicture::new(result, drawn), thumbnail_place(place)));
        self.total += 1;
        self.detections += result.detections.len();
        Ok(())
    }

    fn write_part(&mut self) -> anyhow::Result<()> {
        self.parts += 1;
        let linked = |(picture, thumbnail): (GalleryPicture, PathBuf)| picture.linked(&thumbnail.to_string_lossy());
        let pictures: Vec<GalleryPicture> = self.waiting.drain(..).map(linked).collect();
        let path = Path::new(GALLERY).join(format!("data-{}.js", self.parts));
        Ok(write_below(&self.out, &path, gallery_part(&pictures).as_bytes())?)
    }

    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        let mut inside = Vec::new();
        if self.parts > 0 {
            self.write_part()?;
        } else {
            for (picture, thumbnail) in std::mem::take(&mut self.waiting) {
                let bytes = below(&self.out, &thumbnail).and_then(|path| read(&path, FileKind::Image));
                let bytes = bytes.with_context(|| format!("{} cannot be read", self.out.join(&thumbnail).display()))?;
                inside.push(picture.embedded(&bytes));
            }
        }
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        let text = format!(
            "{} detection{} in {} picture{}, by yolo9 {}",
            self.detections,
            plural(self.detections),
            self.total,
            plural(self.total),
            env!("CARGO_PKG_VERSION")
        );
        let page = gallery_page(&text, &self.class_names, self.total, self.parts, &inside);
        Ok(write_below(&self.out, Path::new(PAGE), page.as_bytes())?)
    }
}

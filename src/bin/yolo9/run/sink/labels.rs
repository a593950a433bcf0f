//! `--txt`: a YOLO label file for each image with detections.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use yolo9::image::Image;
use yolo9::output::{FileError, ImageResult, write_below, yolo_lines};

use super::{Entry, ImageFiles, ImageWriter, Sink};
use crate::report::counted;

/// The folder of label files, below the output folder.
const FOLDER: &str = "labels";

pub(super) const FILES: ImageFiles = ImageFiles {
    name: "labels",
    folder: Some(FOLDER),
    of: |result, place| if result.detections.is_empty() { Vec::new() } else { vec![label_place(place)] },
    wanted: |output| output.txt,
};

/// The label file of the image at a place below the output folder.
pub(crate) fn label_place(place: &Path) -> PathBuf {
    Path::new(FOLDER).join(place.with_extension("txt"))
}

struct Labels {
    writer: Arc<Writer>,
    written: usize,
}

struct Writer {
    out: PathBuf,
    with_confidence: bool,
}

pub(super) fn sink(out: &Path, with_confidence: bool) -> Box<dyn Sink> {
    Box::new(Labels { writer: Arc::new(Writer { out: out.to_path_buf(), with_confidence }), written: 0 })
}

impl Sink for Labels {
    fn writer(&self) -> Option<Arc<dyn ImageWriter>> {
        Some(Arc::clone(&self.writer) as _)
    }

    fn push(&mut self, entry: &Entry<'_>) -> anyhow::Result<()> {
        self.written += usize::from(entry.result.is_some_and(|result| !result.detections.is_empty()));
        Ok(())
    }

    fn line(&self) -> Option<String> {
        let (files, folder) = (counted(self.written, "label file"), self.writer.out.join(FOLDER));
        Some(format!("{files} saved to {}", folder.display()))
    }
}

impl ImageWriter for Writer {
    fn write(&self, result: &ImageResult<'_>, place: &Path, _: &mut Image, _: bool) -> Result<(), FileError> {
        if result.detections.is_empty() {
            return Ok(());
        }
        write_below(&self.out, &label_place(place), yolo_lines(result, self.with_confidence).as_bytes())
    }
}

//! Images with their boxes drawn, unless `--no-draw` says otherwise.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use yolo9::image::Image;
use yolo9::output::{AnnotateOptions, FileError, ImageResult, annotate, encode_image, write_below};

use super::{Entry, ImageFiles, ImageWriter, Sink};
use crate::cli::OutputArgs;

pub(super) const FILES: ImageFiles =
    ImageFiles { name: "drawn", folder: None, of: |_, place| vec![place.to_path_buf()] };

struct Drawn(Arc<Writer>);

struct Writer {
    out: PathBuf,
    options: AnnotateOptions,
}

pub(super) fn sink(out: &Path, args: &OutputArgs) -> Box<dyn Sink> {
    let options = AnnotateOptions::default()
        .line_width(args.line_width)
        .hide_labels(args.hide_labels)
        .hide_confidence(args.hide_conf);
    Box::new(Drawn(Arc::new(Writer { out: out.to_path_buf(), options })))
}

impl Sink for Drawn {
    fn writer(&self) -> Option<Arc<dyn ImageWriter>> {
        Some(Arc::clone(&self.0) as _)
    }

    fn push(&mut self, _entry: &Entry<'_>) -> anyhow::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Option<String>> {
        Ok(None)
    }
}

impl ImageWriter for Writer {
    /// A frame is drawn on, and goes into its video.
    fn write(
        &self,
        result: &ImageResult<'_>,
        place: &Path,
        image: &mut Image,
        is_frame: bool,
    ) -> Result<(), FileError> {
        annotate(&mut image.pixels, result, &self.options);
        if is_frame {
            return Ok(());
        }
        write_below(&self.out, place, &encode_image(&image.pixels, image.format)?)
    }
}

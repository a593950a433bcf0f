//! Images with their boxes drawn, unless `--no-draw` says otherwise.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use yolo9::image::Image;
use yolo9::output::{AnnotateOptions, FileError, ImageResult, annotate, encode_image, write_below};

use super::{ImageFiles, ImageWriter, PerImage, Sink};
use crate::cli::OutputArgs;

pub(super) const FILES: ImageFiles = ImageFiles {
    name: "drawn",
    folder: None,
    of: |_, place| vec![place.to_path_buf()],
    wanted: |output| !output.no_draw,
};

struct Writer {
    out: PathBuf,
    options: AnnotateOptions,
}

pub(super) fn sink(out: &Path, args: &OutputArgs) -> Box<dyn Sink> {
    let options = AnnotateOptions::default()
        .line_width(args.line_width)
        .hide_labels(args.hide_labels)
        .hide_confidence(args.hide_conf);
    Box::new(PerImage(Arc::new(Writer { out: out.to_path_buf(), options })))
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

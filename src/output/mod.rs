//! What becomes of detections: images with boxes, JSON, YOLO text, lines for people.

#[cfg(feature = "draw")]
mod annotate;
#[cfg(feature = "draw")]
mod crop;
#[cfg(feature = "draw")]
mod encode;
mod files;
#[cfg(feature = "draw")]
mod gallery;
mod journal;
mod json;
#[cfg(feature = "draw")]
mod label;
#[cfg(feature = "draw")]
mod plot;
mod record;
mod text;

#[cfg(feature = "draw")]
pub use annotate::{AnnotateOptions, Mark, annotate, class_colour, css_colour, draw_marks, write_text};
#[cfg(feature = "draw")]
pub use crop::{crop_places, crops};
#[cfg(feature = "draw")]
pub use encode::{encode_image, encode_thumbnail};
pub use files::{
    FileError, TemporaryFile, delete_if_there, folder_of, is_temporary, sweep, temporary_beside, write_atomically,
    write_below,
};
#[cfg(feature = "draw")]
pub use gallery::{GALLERY_PART, GalleryAbout, GalleryImage, address, gallery_page, gallery_part, thumbnail};
pub use journal::{Header, JournalError, JournalReader, RunSettings, Shard};
pub use json::to_json;
#[cfg(feature = "draw")]
pub use plot::{Bars, Series, bar_plot, curve_plot, escaped, line_plot, table_plot};
pub use record::{Record, RecordContent};
pub use text::{summary, table_rows, yolo_lines};

use crate::Size;
use crate::detect::{DetectOutput, Detection};

/// The result of one image, as the formats need it.
#[derive(Debug, Clone, Copy)]
pub struct ImageResult<'a> {
    /// What the user called the image: usually its path.
    pub source: &'a str,
    /// Size of the image.
    pub size: Size,
    /// Size of the network's input.
    pub input: Size,
    /// By falling confidence, in pixels of the image.
    pub detections: &'a [Detection],
    /// Class names by id.
    pub class_names: &'a [String],
}

impl<'a> ImageResult<'a> {
    /// What a detector gave for an image.
    #[must_use]
    pub fn new(source: &'a str, output: &'a DetectOutput, class_names: &'a [String]) -> Self {
        let DetectOutput { image, input, detections, .. } = output;
        Self { source, size: *image, input: *input, detections, class_names }
    }

    /// Name of a class; its number where there is none.
    #[must_use]
    pub fn name_of(&self, class: usize) -> std::borrow::Cow<'_, str> {
        match self.class_names.get(class) {
            Some(name) => name.as_str().into(),
            None => class.to_string().into(),
        }
    }
}

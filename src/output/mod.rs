//! What becomes of detections: pictures with boxes, JSON, YOLO text, lines for people.

mod annotate;
mod crop;
mod encode;
mod files;
mod format;
mod gallery;
mod journal;
mod json;
mod label;
mod plot;
mod record;
mod text;

pub use annotate::{Mark, Style, annotate, class_colour, css_colour, draw_marks, write_text};
pub use crop::{Crop, crop_places, crops};
pub use encode::{encode_picture, encode_thumbnail};
pub use files::{
    FileError, TemporaryFile, folder_of, is_temporary, sweep, temporary_beside, write_atomically, write_below,
};
pub use format::FileFormat;
pub use gallery::{GALLERY_PART, GalleryPicture, gallery_page, gallery_part, thumbnail};
pub use journal::{Header, JournalError, JournalReader, Shard, Written};
pub use json::to_json;
pub use plot::{Series, escaped, line_plot, table_plot};
pub use record::{Outcome, Record};
pub use text::{summary, table_rows, yolo_lines};

use crate::Size;
use crate::detect::Detection;

/// The result of one picture, as the formats need it.
#[derive(Debug, Clone, Copy)]
pub struct PictureResult<'a> {
    /// What the user called the picture: usually its path.
    pub source: &'a str,
    /// Size of the picture.
    pub size: Size,
    /// Size of the network's input.
    pub input: Size,
    /// By falling score, in pixels of the picture.
    pub detections: &'a [Detection],
    /// Class names by id.
    pub class_names: &'a [String],
}

impl PictureResult<'_> {
    /// Name of a class; its number where there is none.
    fn name_of(&self, class: usize) -> std::borrow::Cow<'_, str> {
        match self.class_names.get(class) {
            Some(name) => name.as_str().into(),
            None => class.to_string().into(),
        }
    }
}

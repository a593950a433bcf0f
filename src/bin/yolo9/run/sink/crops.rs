//! `--save-crop`: each object, cropped, in a folder for its class.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use yolo9::image::Image;
use yolo9::output::{FileError, ImageResult, crop_places, crops, encode_image, write_below};

use super::{Entry, ImageFiles, ImageWriter, Sink};

/// The folder of crops, below the output folder.
const FOLDER: &str = "crops";

pub(super) const FILES: ImageFiles = ImageFiles {
    name: "crops",
    folder: Some(FOLDER),
    of: |result, place| crop_places(result, place).flatten().map(|crop| Path::new(FOLDER).join(crop)).collect(),
};

struct Crops(PathBuf);

struct Writer(PathBuf);

pub(super) fn sink(out: &Path) -> Box<dyn Sink> {
    Box::new(Crops(out.to_path_buf()))
}

impl Sink for Crops {
    fn writer(&self) -> Option<Arc<dyn ImageWriter>> {
        Some(Arc::new(Writer(self.0.clone())))
    }

    fn push(&mut self, _entry: &Entry<'_>) -> anyhow::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Option<String>> {
        Ok(None)
    }
}

impl ImageWriter for Writer {
    fn write(&self, result: &ImageResult<'_>, place: &Path, image: &mut Image, _: bool) -> Result<(), FileError> {
        for (crop, place) in crops(&image.pixels, result).zip(crop_places(result, place)) {
            let (Some(crop), Some(place)) = (crop, place) else { continue };
            write_below(&self.0, &Path::new(FOLDER).join(place), &encode_image(&crop.pixels, image.format)?)?;
        }
        Ok(())
    }
}

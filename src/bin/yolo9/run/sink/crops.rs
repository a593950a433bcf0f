//! `--save-crop`: each object, cropped, in a folder for its class.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use yolo9::image::Image;
use yolo9::output::{FileError, ImageResult, crop_places, crops, encode_image, write_below};

use super::{ImageFiles, ImageWriter, PerImage, Sink};

/// The folder of crops, below the output folder.
const FOLDER: &str = "crops";

pub(super) const FILES: ImageFiles = ImageFiles {
    name: "crops",
    folder: Some(FOLDER),
    of: |result, place| crop_places(result, place).flatten().map(|crop| Path::new(FOLDER).join(crop)).collect(),
    wanted: |output| output.save_crop,
};

struct Writer(PathBuf);

pub(super) fn sink(out: &Path) -> Box<dyn Sink> {
    Box::new(PerImage(Arc::new(Writer(out.to_path_buf()))))
}

impl ImageWriter for Writer {
    fn write(&self, result: &ImageResult<'_>, place: &Path, image: &mut Image, _: bool) -> Result<(), FileError> {
        for (crop, place) in crops(&image.pixels, result).zip(crop_places(result, place)) {
            let (Some(crop), Some(place)) = (crop, place) else { continue };
            write_below(&self.0, &Path::new(FOLDER).join(place), &encode_image(&crop, image.format)?)?;
        }
        Ok(())
    }
}

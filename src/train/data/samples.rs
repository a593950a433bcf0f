//! The images of a training set with their objects.

use std::path::{Path, PathBuf};

use image::RgbImage;
use rayon::prelude::*;

use crate::Size;
use crate::evaluate::{Dataset, LabelProblem, Labelled};
use crate::image::{Image, ImageError, resize_bilinear};
use crate::train::loss::Target;

/// An image as the network may see it, with its objects in pixels.
#[derive(Debug, Clone)]
pub struct Sample {
    /// RGB.
    pub pixels: RgbImage,
    /// In pixels of it.
    pub objects: Vec<Target>,
}

/// An image that cannot be read.
#[derive(Debug)]
pub struct UnusedImage {
    /// Its file.
    pub path: PathBuf,
    /// Why.
    pub reason: ImageError,
}

/// Images for training, scaled so that the longer side is that of the input.
#[derive(Debug)]
pub struct TrainingSet {
    size: usize,
    entries: Vec<SampleFile>,
}

#[derive(Debug)]
struct SampleFile {
    path: PathBuf,
    /// In pixels of the scaled image.
    objects: Vec<Target>,
    /// Unless memory was used up: then the file is read again each time.
    pixels: Option<RgbImage>,
}

/// Images that are read at a time.
const AT_A_TIME: usize = 64;

impl TrainingSet {
    /// Reads all images once, `size` pixels along the longer side, and keeps them in memory up to `cache` bytes. What
    /// cannot be read is left out and listed, and so are labels of objects without an area. `progress` hears how many
    /// images have been read; it answers whether to go on.
    #[must_use]
    pub fn read(
        dataset: &Dataset,
        size: usize,
        cache: usize,
        mut progress: impl FnMut(usize) -> bool,
    ) -> (Self, Vec<UnusedImage>, Vec<LabelProblem>) {
        let (mut unused, mut problems, mut entries) =
            (Vec::new(), Vec::new(), Vec::with_capacity(dataset.images.len()));
        let mut kept = 0;
        for images in dataset.images.chunks(AT_A_TIME) {
            let read: Vec<_> = images.par_iter().map(|image| (image, open(&image.path, size))).collect();
            for (image, result) in read {
                match result {
                    Ok((pixels, original)) => {
                        let objects = objects(image, original, &pixels, &mut problems);
                        let bytes = pixels.as_raw().len();
                        let fits = kept + bytes <= cache;
                        kept += if fits { bytes } else { 0 };
                        entries.push(SampleFile { path: image.path.clone(), objects, pixels: fits.then_some(pixels) });
                    }
                    Err(reason) => unused.push(UnusedImage { path: image.path.clone(), reason }),
                }
            }
            if !progress(entries.len() + unused.len()) {
                break;
            }
        }
        (Self { size, entries }, unused, problems)
    }

    /// How many images there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many of them are kept in memory.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.entries.iter().filter(|entry| entry.pixels.is_some()).count()
    }

    /// Bytes that these take.
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        self.entries.iter().filter_map(|entry| Some(entry.pixels.as_ref()?.as_raw().len())).sum()
    }

    /// The longer side of the images, in pixels.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The file of an image.
    #[must_use]
    pub fn path(&self, image: usize) -> &Path {
        &self.entries[image].path
    }

    /// The objects of an image, in pixels of the scaled one.
    #[must_use]
    pub fn objects(&self, image: usize) -> &[Target] {
        &self.entries[image].objects
    }

    /// An image with its objects.
    ///
    /// # Errors
    /// When a file that was read before cannot be read any more.
    pub fn sample(&self, image: usize) -> Result<Sample, UnusedImage> {
        let entry = &self.entries[image];
        let pixels = match &entry.pixels {
            Some(pixels) => pixels.clone(),
            None => {
                let failed = |reason| UnusedImage { path: entry.path.clone(), reason };
                open(&entry.path, self.size).map_err(failed)?.0
            }
        };
        Ok(Sample { pixels, objects: entry.objects.clone() })
    }
}

/// The scaled image, and its own size.
fn open(path: &Path, size: usize) -> Result<(RgbImage, Size), ImageError> {
    let image = Image::open(path)?.pixels;
    let original = Size::new(image.width() as usize, image.height() as usize);
    let ratio = size as f64 / original.width.max(original.height) as f64;
    let scaled = |side: usize| ((side as f64 * ratio).round() as usize).clamp(1, size);
    let target = Size::new(scaled(original.width), scaled(original.height));
    let pixels = if target == original { image } else { resize_bilinear(&image, target) };
    Ok((pixels, original))
}

/// Objects in pixels of the scaled image, clipped to it. A crowd is no object to learn from.
fn objects(image: &Labelled, original: Size, pixels: &RgbImage, problems: &mut Vec<LabelProblem>) -> Vec<Target> {
    let (width, height) = (f64::from(pixels.width()), f64::from(pixels.height()));
    let (across, down) = (width / original.width as f64, height / original.height as f64);
    let truths = image.ground_truths(original).into_iter().filter(|truth| !truth.crowd);
    let clipped = truths.filter_map(|truth| {
        let b = truth.bbox;
        let corners = [
            (b.x * across).clamp(0.0, width),
            (b.y * down).clamp(0.0, height),
            ((b.x + b.width) * across).clamp(0.0, width),
            ((b.y + b.height) * down).clamp(0.0, height),
        ];
        // False for NaN too.
        let has_area = corners[2] > corners[0] && corners[3] > corners[1];
        if !has_area {
            let message = format!(
                "a box of {} by {} pixels at {}, {} has no area in its image of {original}",
                b.width, b.height, b.x, b.y
            );
            problems.push(LabelProblem { file: image.path.clone(), message, missing: false });
        }
        has_area.then_some(Target { class: truth.class, corners })
    });
    clipped.collect()
}

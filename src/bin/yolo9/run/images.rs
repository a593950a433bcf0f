//! Decoding, inference and the files of single images, as stages of the pipeline.

use std::path::PathBuf;
use std::sync::Arc;

use image::RgbImage;
use yolo9::Size;
use yolo9::detect::{DetectOutput, DetectorOptions, Engine, Prepared};
use yolo9::image::{Image, ImageError, ImageLimits, LetterboxOptions, Undecoded};
use yolo9::output::{FileError, ImageResult};
use yolo9::runtime::OrtBackend;
use yolo9::untrusted::FileStamp;

use super::pipeline::Stages;
use super::plan::Planned;
use super::sessions::{Infer, infer_batch};
use super::sink::ImageWriter;
use super::sources::{Failure, Source};
use super::{Held, Turn};

/// Bytes of a file from which on only one is read at a time, before its memory is counted.
const LARGE: u64 = 16 << 20;

/// An image of a run, or a frame of a video by its number.
pub(crate) struct Item {
    pub(crate) planned: Planned,
    /// A frame comes decoded.
    frame: Option<(u64, Option<RgbImage>)>,
    /// What its file was when it was read.
    stamp: Option<FileStamp>,
    /// Once it is decoded, for those who write files.
    image: Option<(Image, Held)>,
}

impl Item {
    pub(crate) fn image(planned: Planned) -> Self {
        Self { planned, frame: None, stamp: None, image: None }
    }

    pub(crate) fn frame(planned: Planned, number: u64, pixels: RgbImage) -> Self {
        Self { frame: Some((number, Some(pixels))), ..Self::image(planned) }
    }

    /// What results call it.
    fn name(&self) -> String {
        match self.frame {
            None => self.planned.source.name(),
            Some((number, _)) => format!("{}#{number}", self.planned.source.name()),
        }
    }

    /// Of its files below the output folder; those of frames lie in a folder for their video.
    fn place(&self) -> PathBuf {
        match self.frame {
            None => self.planned.place(),
            Some((number, _)) => self.planned.place().join(format!("{number:06}.jpg")),
        }
    }
}

/// What every image goes through.
pub(crate) struct ImageStages {
    pub(crate) limits: ImageLimits,
    pub(crate) letterbox: LetterboxOptions,
    pub(crate) class_names: Arc<[String]>,
    /// What writes files of each image; the last ones may draw on it. Without any, pixels are dropped at once.
    pub(crate) writers: Vec<Arc<dyn ImageWriter>>,
}

/// The result of an image.
pub(crate) struct ImageDone {
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) place: PathBuf,
    pub(crate) stamp: Option<FileStamp>,
    pub(crate) outcome: Result<Written, Failure>,
}

/// What was detected, and whether the image's files could be written.
pub(crate) struct Written {
    pub(crate) output: DetectOutput,
    pub(crate) files: Result<(), FileError>,
    /// Of a video, with what was drawn on it.
    pub(crate) frame: Option<(RgbImage, Held)>,
}

impl Stages for ImageStages {
    type Item = Item;
    type Ready = Prepared;
    type Inferred = DetectOutput;
    type Done = ImageDone;

    fn decode(&self, item: &mut Item, turn: Turn) -> Result<(Size, Prepared), Failure> {
        let (image, held) = match &mut item.frame {
            Some((_, pixels)) => {
                let pixels = pixels.take().unwrap_or_default();
                let held = turn.take(pixels.as_raw().len() as u64);
                (Image::from(pixels), held)
            }
            None => {
                let (stamp, decoded) = read_image(&item.planned.source, &self.limits, turn);
                item.stamp = stamp;
                decoded?
            }
        };
        let prepared = Prepared::new(&image.pixels, &self.letterbox);
        item.image = (!self.writers.is_empty()).then_some((image, held));
        Ok((prepared.size(), prepared))
    }

    fn finish(&self, mut item: Item, inferred: Result<DetectOutput, Failure>) -> ImageDone {
        let (name, place) = (item.name(), item.place());
        let is_frame = item.frame.is_some();
        let outcome = inferred.map(|output| {
            let Some((mut image, held)) = item.image.take() else {
                return Written { output, files: Ok(()), frame: None };
            };
            let result = ImageResult::new(&name, &output, &self.class_names);
            let files = self.writers.iter().try_for_each(|writer| writer.write(&result, &place, &mut image, is_frame));
            // The memory of an image is given back here, that of a frame with the frame.
            Written { output, files, frame: is_frame.then_some((image.pixels, held)) }
        });
        ImageDone { index: item.planned.index, name, place, stamp: item.stamp, outcome }
    }
}

/// Reads and decodes an image, and what its file was then. Its memory is asked for with `turn`.
pub(crate) fn read_image(
    source: &Source,
    limits: &ImageLimits,
    turn: Turn,
) -> (Option<FileStamp>, Result<(Image, Held), Failure>) {
    if source.stamp().is_some_and(|stamp| stamp.bytes > LARGE) {
        turn.wait();
    }
    let (bytes, stamp) = match source.read() {
        Ok(read) => read,
        Err(failure) => return (source.stamp(), Err(failure)),
    };
    let decode = || {
        let undecoded = Undecoded::read(&bytes, limits)?;
        let held = turn.take(undecoded.memory + bytes.len() as u64);
        Ok((undecoded.decode()?, held))
    };
    (stamp, decode().map_err(|error: ImageError| error.into()))
}

/// A session that runs inference on images.
pub(crate) fn session(backend: OrtBackend, options: DetectorOptions) -> Infer<Prepared, DetectOutput> {
    let mut engine = Engine::new(backend, options);
    let mut seen = 0;
    Box::new(move |batch| {
        let outputs = infer_batch(&mut engine, &batch.iter().collect::<Vec<_>>());
        say_shape(&engine, &mut seen);
        outputs
    })
}

/// The first time that a batch is larger than any before: what ONNX Runtime got.
fn say_shape(engine: &Engine<OrtBackend>, seen: &mut usize) {
    let shape = engine.backend().last_input_shape();
    if let Some(batch) = shape.first().filter(|batch| **batch > *seen) {
        log::debug!("Input of the session: {shape:?}");
        *seen = *batch;
    }
}

//! The exact result of one image as a line of text, from which every file of a run can be written again.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ImageResult;
use crate::Size;
use crate::detect::{BoxXyxy, Detection};
use crate::untrusted::{FileStamp, RelativePath};

/// Beyond what any format of images can have.
const MAX_SIDE: usize = 1 << 31;

/// What became of one image of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its number among all inputs of the run, shards included.
    pub index: usize,
    /// What the user called it.
    pub image: String,
    /// The file that was read, if it is one: another content under the same name is another image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileStamp>,
    /// Its result.
    #[serde(flatten)]
    pub outcome: RecordContent,
}

/// Result or failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RecordContent {
    /// The image was processed.
    Processed {
        /// Width and height of the image.
        size: [usize; 2],
        /// Width and height of the network's input.
        input: [usize; 2],
        /// Where its files lie below the output folder.
        place: RelativePath,
        /// Class, confidence, x1, y1, x2, y2.
        detections: Vec<(usize, f32, f32, f32, f32, f32)>,
        /// Why one of its files could not be written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// It could not be processed.
    Failed {
        /// Why.
        error: String,
    },
}

impl Record {
    /// The detections as the formats need them; none of a failure.
    #[must_use]
    pub fn detections(&self) -> Vec<Detection> {
        let RecordContent::Processed { detections, .. } = &self.outcome else { return Vec::new() };
        let detection = |&(class, confidence, x1, y1, x2, y2): &(usize, f32, f32, f32, f32, f32)| Detection {
            bbox: BoxXyxy { x1, y1, x2, y2 },
            class,
            confidence,
        };
        detections.iter().map(detection).collect()
    }

    /// The result, with `detections` as [`Record::detections`] gives them; nothing for a failure.
    #[must_use]
    pub fn result<'a>(&'a self, detections: &'a [Detection], class_names: &'a [String]) -> Option<ImageResult<'a>> {
        let RecordContent::Processed { size: [width, height], input, .. } = self.outcome else { return None };
        let (size, input) = (Size::new(width, height), Size::new(input[0], input[1]));
        Some(ImageResult { source: &self.image, size, input, detections, class_names })
    }

    /// Where its files lie below the output folder; nothing for a failure.
    #[must_use]
    pub fn place(&self) -> Option<&Path> {
        match &self.outcome {
            RecordContent::Processed { place, .. } => Some(place.as_path()),
            RecordContent::Failed { .. } => None,
        }
    }

    /// The record of a result.
    #[must_use]
    pub fn found(index: usize, result: &ImageResult<'_>, place: RelativePath, problem: Option<String>) -> Self {
        let row = |d: &Detection| (d.class, d.confidence, d.bbox.x1, d.bbox.y1, d.bbox.x2, d.bbox.y2);
        let outcome = RecordContent::Processed {
            size: [result.size.width, result.size.height],
            input: [result.input.width, result.input.height],
            place,
            detections: result.detections.iter().map(row).collect(),
            problem,
        };
        Self { index, image: result.source.into(), file: None, outcome }
    }

    /// The record of a failure.
    #[must_use]
    pub fn failed(index: usize, image: &str, error: &str) -> Self {
        Self { index, image: image.into(), file: None, outcome: RecordContent::Failed { error: error.into() } }
    }

    /// The same with what its file was.
    #[must_use]
    pub fn of_file(self, file: Option<FileStamp>) -> Self {
        Self { file, ..self }
    }

    /// Whether it is one that a run over that many classes can have written.
    ///
    /// # Errors
    /// A sentence that names the first thing that cannot be.
    pub fn check(&self, classes: usize) -> Result<(), String> {
        let RecordContent::Processed { size, input, detections, .. } = &self.outcome else { return Ok(()) };
        if let Some(side) = size.iter().chain(input).find(|side| !(1..=MAX_SIDE).contains(*side)) {
            return Err(format!("a side of {side} pixels"));
        }
        match detections.iter().find(|d| d.0 >= classes || ![d.1, d.2, d.3, d.4, d.5].iter().all(|n| n.is_finite())) {
            Some(d) if d.0 >= classes => {
                Err(format!("a detection of class {}, where there are {classes} classes", d.0))
            }
            Some(_) => Err("a detection with a number that is not finite".into()),
            None => Ok(()),
        }
    }

    /// Why it, or one of its files, failed.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        match &self.outcome {
            RecordContent::Processed { problem, .. } => problem.as_deref(),
            RecordContent::Failed { error } => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back_bit_for_bit(numbers in prop::collection::vec(-1e6f32..1e6, 5), index: usize, image: String) {
            let [confidence, x1, y1, x2, y2] = numbers[..] else { unreachable!() };
            let detections = [Detection { bbox: BoxXyxy { x1, y1, x2, y2 }, class: 7, confidence }];
            let (size, input) = (Size::new(3, 4), Size::new(32, 64));
            let result = ImageResult { source: &image, size, input, detections: &detections, class_names: &[] };
            let record = Record::found(index, &result, RelativePath::new("a/b.jpg").unwrap(), None);
            let line = serde_json::to_string(&record).unwrap();
            let again: Record = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&again, &record);
            let found = again.detections();
            prop_assert_eq!(found[0].bbox.x1.to_bits(), x1.to_bits());
            prop_assert_eq!(again.result(&found, &[]).unwrap().input, input);
        }
    }

    #[test]
    fn failures_are_told_from_results() {
        let record = Record::failed(3, "a.jpg", "damaged");
        let line = serde_json::to_string(&record).unwrap();
        assert_eq!(line, r#"{"index":3,"image":"a.jpg","error":"damaged"}"#);
        let again: Record = serde_json::from_str(&line).unwrap();
        assert_eq!((again.failure(), again.detections().len()), (Some("damaged"), 0));
    }
}

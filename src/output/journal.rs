//! The journal of a run as text: a line that says what run it is, then a line for each image. Files that cover all
//! images can be written again from it.
//!
//! A journal may come from anybody (the parts of a run are sent around): lines are bounded, places stay below the output
//! folder, classes are those of the header.

use std::cmp::Reverse;
use std::io::{BufRead, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::Record;
use crate::image::{BoxRescaling, InputShape};

/// An image with some 300,000 detections.
const MAX_LINE: u64 = 32 << 20;

/// Part of a run, from 1, and the number of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ShardNumbers")]
pub struct Shard {
    /// From 1.
    part: usize,
    /// Of so many.
    parts: usize,
}

impl Default for Shard {
    fn default() -> Self {
        Self::WHOLE
    }
}

#[derive(Deserialize)]
struct ShardNumbers {
    part: usize,
    parts: usize,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Self = Self { part: 1, parts: 1 };

    /// A part; at most a million of them.
    #[must_use]
    pub fn new(part: usize, parts: usize) -> Option<Self> {
        ((1..=parts).contains(&part) && parts <= 1_000_000).then_some(Self { part, parts })
    }

    /// Which one, from 1.
    #[must_use]
    pub fn part(self) -> usize {
        self.part
    }

    /// Of how many.
    #[must_use]
    pub fn parts(self) -> usize {
        self.parts
    }

    /// Images are dealt out like cards, so that parts are of equal size and of equal mixture.
    #[must_use]
    pub fn has(self, index: usize) -> bool {
        index % self.parts == self.part - 1
    }
}

impl TryFrom<ShardNumbers> for Shard {
    type Error = &'static str;

    fn try_from(ShardNumbers { part, parts }: ShardNumbers) -> Result<Self, &'static str> {
        Self::new(part, parts).ok_or("a shard that cannot be")
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)));
        parts
            .and_then(|(part, parts)| Self::new(part, parts))
            .ok_or_else(|| format!("`{text}` is not a shard; expected one of 1/4, 2/4, 3/4 and 4/4, for example"))
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.part, self.parts)
    }
}

/// Everything that decides about the results of a run besides its model and inputs. Sizes are in pixels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "fields are called as the options that they are")]
pub struct RunSettings {
    /// Width and height of the largest input.
    pub input: [usize; 2],
    pub stride: usize,
    pub input_shape: InputShape,
    pub box_rescaling: BoxRescaling,
    pub confidence_threshold: f32,
    pub iou_threshold: f32,
    pub max_detections: usize,
    pub class_agnostic: bool,
    pub classes: Option<Vec<usize>>,
    pub max_pixels: u64,
    /// Name of the device that runs inference, without its number.
    pub device: String,
    /// The numbers of its convolutions.
    pub precision: String,
    pub native_dysample: bool,
    pub line_width: Option<u32>,
    pub hide_labels: bool,
    pub hide_confidence: bool,
    pub save_confidence: bool,
}

impl RunSettings {
    /// The first one that differs, as a sentence.
    fn difference(&self, other: &Self) -> Option<String> {
        let [Ok(Value::Object(a)), Ok(Value::Object(b))] = [self, other].map(serde_json::to_value) else { return None };
        let differs = |key: &str| a.get(key) != b.get(key);
        // The device decides about DySample too.
        let key = ["device"].into_iter().chain(b.keys().map(String::as_str)).find(|key| differs(key))?;
        // Thresholds are f32, which JSON's f64 shows with digits that nobody typed.
        let shown = |value: &Value| match value.as_f64().filter(|_| value.is_f64()) {
            Some(number) => (number as f32).to_string(),
            None => value.to_string(),
        };
        let before = a.get(key).map_or_else(|| "nothing".into(), shown);
        Some(format!("the settings differ: {} {before}, then {}", key.replace('_', " "), shown(&b[key])))
    }
}

/// The first line: what must be the same for a run to be resumed, or for shards to be merged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the journal's format, [`Header::VERSION`].
    pub journal: u32,
    /// Version of the program.
    pub yolo9: String,
    /// Name and sha256 of the weights, and of a config beside them.
    pub model: String,
    /// All settings that decide about results.
    pub settings: RunSettings,
    /// sha256 of the names of all inputs in order.
    pub inputs: String,
    /// Their number, of all shards.
    pub total: usize,
    /// Which shard of them the run has.
    pub shard: Shard,
    /// Class names by id.
    pub class_names: Vec<String>,
    /// Which files are written of each image, by the names of the outputs.
    pub written: Vec<String>,
    /// Inputs that are no images, with the reason.
    pub unusable: Vec<(String, String)>,
}

impl Header {
    /// The version that is written and read.
    pub const VERSION: u32 = 3;

    /// The first thing that differs, as a sentence.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        let sentence = |what: &str, a: &str, b: &str| (a != b).then(|| format!("the {what} differ: {a}, then {b}"));
        if self.shard != other.shard {
            return Some(format!("the shards differ: {}, then {}", self.shard, other.shard));
        }
        if self.inputs != other.inputs {
            let (a, b) = (self.total, other.total);
            let same = if a == b { ", but others or in another order" } else { "" };
            return Some(format!("the inputs differ: {a}, then {b} images{same}"));
        }
        let written = [&self.written, &other.written].map(|written| written.join(" and "));
        sentence("files of each image", &written[0], &written[1])
            .or_else(|| sentence("versions of yolo9", &self.yolo9, &other.yolo9))
            .or_else(|| sentence("models", &self.model, &other.model))
            .or_else(|| self.settings.difference(&other.settings))
            .or_else(|| (self != other).then(|| "class names or inputs differ".into()))
    }
}

#[derive(Deserialize)]
struct HeaderVersion {
    journal: u32,
}

/// Why a journal cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The operating system refused.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// Its first line is something else.
    #[error("not a journal: {0}")]
    Header(serde_json::Error),
    /// It was written by another version of the program.
    #[error(
        "a journal of format {0}; this version of yolo9 reads format {expected}, so finish the run with the version that began it",
        expected = Header::VERSION
    )]
    Version(u32),
    /// A line is not what a run writes.
    #[error("damaged after {position} bytes: {reason}")]
    Damaged {
        /// Where the line begins.
        position: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// A journal that is read.
#[derive(Debug)]
pub struct JournalReader<R> {
    header: Header,
    lines: R,
    /// Bytes up to the end of the last whole line.
    whole: u64,
}

impl<R: BufRead + Seek> JournalReader<R> {
    /// Reads the first line; nothing if that is not whole: then nothing was finished yet.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn new(mut lines: R) -> Result<Option<Self>, JournalError> {
        let Some(first) = line(&mut lines, 0)? else { return Ok(None) };
        // Another version has other fields.
        let HeaderVersion { journal } = serde_json::from_slice(&first).map_err(JournalError::Header)?;
        if journal != Header::VERSION {
            return Err(JournalError::Version(journal));
        }
        let header: Header = serde_json::from_slice(&first).map_err(JournalError::Header)?;
        Ok(Some(Self { header, lines, whole: first.len() as u64 }))
    }

    /// What run it is.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes up to the end of the last line that was read whole.
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// The next whole record and where it begins.
    fn next_record(&mut self) -> Result<Option<(u64, Record)>, JournalError> {
        let position = self.whole;
        let Some(line) = line(&mut self.lines, position)? else { return Ok(None) };
        let damaged = |reason: String| JournalError::Damaged { position, reason };
        let record: Record = serde_json::from_slice(&line).map_err(|error| damaged(error.to_string()))?;
        record.check(self.header.class_names.len()).map_err(damaged)?;
        if record.index >= self.header.total || !self.header.shard.has(record.index) {
            let (total, shard) = (self.header.total, self.header.shard);
            return Err(damaged(format!("image {} is none of shard {shard} of {total} images", record.index)));
        }
        self.whole += line.len() as u64;
        Ok(Some((position, record)))
    }

    /// Where the last record of each image begins, in the order of images. Records stand in that order, but for
    /// those of images that were tried again: also gives whether there are such.
    ///
    /// # Errors
    /// [`JournalError`] when a line is not what a run of this header writes.
    pub fn places(&mut self) -> Result<(Vec<(usize, u64)>, bool), JournalError> {
        let mut places = Vec::new();
        while let Some((position, record)) = self.next_record()? {
            places.push((record.index, position));
        }
        let in_order = places.windows(2).all(|pair| pair[0].0 < pair[1].0);
        // The last record of an image comes before its earlier ones, and is the one that is kept.
        places.sort_unstable_by_key(|(index, position)| (*index, Reverse(*position)));
        places.dedup_by_key(|(index, _)| *index);
        Ok((places, !in_order))
    }

    /// The record that begins at a position of [`JournalReader::places`].
    ///
    /// # Errors
    /// When the journal has changed since.
    pub fn record_at(&mut self, position: u64) -> Result<Record, JournalError> {
        if self.whole != position {
            self.lines.seek(SeekFrom::Start(position))?;
            self.whole = position;
        }
        let gone = || JournalError::Damaged { position, reason: "the record is gone".into() };
        self.next_record()?.map(|(_, record)| record).ok_or_else(gone)
    }
}

/// The next whole line with its end; nothing at the end, or if a kill left a part of one.
fn line(lines: &mut impl BufRead, position: u64) -> Result<Option<Vec<u8>>, JournalError> {
    let mut line = Vec::new();
    lines.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        return Ok(Some(line));
    }
    if line.len() as u64 == MAX_LINE {
        return Err(JournalError::Damaged { position, reason: format!("a line of more than {MAX_LINE} bytes") });
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn header() -> Header {
        Header { journal: Header::VERSION, total: 9, class_names: vec!["a".into()], ..Header::default() }
    }

    fn journal(lines: &[&str]) -> JournalReader<Cursor<Vec<u8>>> {
        let text = std::iter::once(serde_json::to_string(&header()).unwrap().as_str())
            .chain(lines.iter().copied())
            .fold(String::new(), |text, line| text + line + "\n");
        JournalReader::new(Cursor::new(text.into_bytes())).unwrap().unwrap()
    }

    #[test]
    fn shards_deal_out_every_image_once() {
        for parts in 1..7 {
            for index in 0..40 {
                let owners = (1..=parts).filter(|part| Shard::new(*part, parts).unwrap().has(index)).count();
                assert_eq!(owners, 1);
            }
        }
        assert_eq!("3/16".parse(), Ok(Shard { part: 3, parts: 16 }));
        for wrong in ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", "1/1000001"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<Shard>(r#"{"part":1,"parts":0}"#).is_err());
    }

    #[test]
    fn another_run_is_told_apart() {
        let settings = RunSettings { max_detections: 300, ..RunSettings::default() };
        let other = Header { settings, ..header() };
        assert_eq!(header().difference(&other).unwrap(), "the settings differ: max detections 0, then 300");
        let mut newer = serde_json::to_value(header()).unwrap();
        newer["journal"] = 9.into();
        let error = JournalReader::new(Cursor::new(format!("{newer}\n"))).unwrap_err().to_string();
        assert!(error.contains("a journal of format 9; this version of yolo9 reads format 3"), "{error}");
        let shard = Header { shard: Shard { part: 1, parts: 2 }, ..header() };
        assert_eq!(header().difference(&shard).unwrap(), "the shards differ: 1/1, then 1/2");
        assert_eq!(header().difference(&header()), None);
    }

    #[test]
    fn the_last_record_of_a_image_counts() {
        let failed = |index: usize, error: &str| serde_json::to_string(&Record::failed(index, "a", error)).unwrap();
        let lines = [failed(0, "x"), failed(2, "first"), failed(1, "late"), failed(2, "second")];
        let mut journal = journal(&lines.each_ref().map(String::as_str));
        let (places, tried_again) = journal.places().unwrap();
        assert!(tried_again);
        let records: Vec<Record> = places.iter().map(|(_, at)| journal.record_at(*at).unwrap()).collect();
        let seen: Vec<_> = records.iter().map(|record| (record.index, record.failure().unwrap())).collect();
        assert_eq!(seen, [(0, "x"), (1, "late"), (2, "second")]);
    }

    #[test]
    fn what_no_run_writes_is_refused() {
        let found = |rest: &str| format!("{{\"index\":0,\"image\":\"a\",\"size\":[3,4],\"input\":[32,32],{rest}}}");
        for (line, message) in [
            (found(r#""place":"../a","detections":[]"#), "damaged after"),
            (found(r#""place":"/etc/passwd","detections":[]"#), "damaged after"),
            (found(r#""place":"a","detections":[[1,0.5,1,2,3,4]]"#), "a detection of class 1, where there are 1"),
            (found(r#""place":"a","detections":[[0,0.5,1e400,2,3,4]]"#), "damaged after"),
            (found(r#""place":"a","detections":[]"#).replace("[3,4]", "[0,4]"), "a side of 0 pixels"),
            (r#"{"index":9,"image":"a","error":"x"}"#.into(), "image 9 is none of shard 1/1 of 9 images"),
            ("garbage".into(), "damaged after"),
            ("[".repeat(200_000), "damaged after"),
        ] {
            let error = journal(&[&line]).next_record().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        assert!(matches!(JournalReader::new(Cursor::new(b"{}\n")), Err(JournalError::Header(_))));
        assert!(JournalReader::new(Cursor::new(b"{\"yolo9\"")).unwrap().is_none());
        let endless = std::io::BufReader::new(std::io::Cursor::new(vec![b'a'; MAX_LINE as usize + 10]));
        assert!(JournalReader::new(endless).unwrap_err().to_string().contains("a line of more than"));
    }
}

//! The journal of a run: a line for each picture that is finished, in the order of the inputs, written when its own files
//! are. What covers all pictures can be written again from it, so an interrupted run continues exactly, and the journals
//! of shards can be joined.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use yolo9::output::Record;

/// Its name in the output folder.
pub(crate) const JOURNAL: &str = ".journal.jsonl";

/// Part of a run, from 1, and the number of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shard {
    pub(crate) part: usize,
    pub(crate) parts: usize,
}

impl Shard {
    /// All of it.
    pub(crate) const WHOLE: Self = Self { part: 1, parts: 1 };

    /// Pictures are dealt out like cards, so that parts are of equal size and of equal mixture.
    pub(crate) fn has(self, index: usize) -> bool {
        index % self.parts == self.part - 1
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)));
        match parts {
            Some((part, parts)) if (1..=parts).contains(&part) && parts <= 1_000_000 => Ok(Self { part, parts }),
            _ => Err(format!("`{text}` is not a part of a whole; expected 1/4, 2/4, 3/4 or 4/4, say")),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.part, self.parts)
    }
}

/// Which files a picture has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) drawn: bool,
    pub(crate) labels: bool,
    pub(crate) crops: bool,
    pub(crate) thumbnails: bool,
}

/// The first line: what must be the same for a run to be continued, or for shards to be joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Version of the program.
    pub(crate) yolo9: String,
    /// Name and sha256 of the weights, and whatever else decides about results.
    pub(crate) model: String,
    pub(crate) settings: String,
    /// sha256 of the names of all inputs in order, and their number.
    pub(crate) inputs: String,
    pub(crate) total: usize,
    pub(crate) shard: Shard,
    pub(crate) class_names: Vec<String>,
    /// What is written of each picture.
    pub(crate) written: Written,
    /// Inputs that are no pictures, with the reason.
    pub(crate) unusable: Vec<(String, String)>,
}

impl Header {
    /// The first thing that differs, as a sentence.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let fields = [
            ("version of yolo9", &self.yolo9, &other.yolo9),
            ("model", &self.model, &other.model),
            ("settings", &self.settings, &other.settings),
        ];
        if self.shard != other.shard {
            return Some(format!("the shards differ: {}, then {}", self.shard, other.shard));
        }
        if self.inputs != other.inputs {
            let (a, b) = (self.total, other.total);
            let same = if a == b { ", but others or in another order" } else { "" };
            return Some(format!("the inputs differ: {a}, then {b} pictures{same}"));
        }
        if self.written != other.written {
            return Some("the files of each picture differ (--no-draw, --txt, --save-crop, --html)".into());
        }
        let different = fields.into_iter().find(|(_, a, b)| a != b);
        let sentence = |(what, a, b): (&str, &String, &String)| format!("the {what} differ: {a}, then {b}");
        different.map(sentence).or_else(|| (self != other).then(|| "class names or inputs differ".into()))
    }
}

/// An open journal.
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// The journal of a folder, for this run alone; nothing while another run has it.
    pub(crate) fn lock(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(JOURNAL);
        let open = || OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = open().with_context(|| format!("{} cannot be written", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            // File systems without locks are no reason to do nothing.
            Err(std::fs::TryLockError::Error(error)) => log::debug!("{}: cannot be locked: {error}", path.display()),
        }
        Ok(Some(Self { file, path }))
    }

    /// Begins it anew.
    pub(crate) fn begin(&mut self, header: &Header) -> anyhow::Result<()> {
        self.cut(0)?;
        self.line(&serde_json::to_string(header)?)
    }

    /// Continues it; `seen` gets every record that is whole. An empty one is begun.
    pub(crate) fn resume(
        &mut self,
        header: &Header,
        mut seen: impl FnMut(Record) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let Some(mut reader) = JournalReader::open(folder)? else { return self.begin(header) };
        if let Some(difference) = reader.header.difference(header) {
            anyhow::bail!("{}: another run than this one: {difference}; use another --out", self.path.display());
        }
        while let Some(record) = reader.next()? {
            seen(record)?;
        }
        // What a kill left of a last line.
        self.cut(reader.whole)
    }

    /// Keeps that many bytes, and goes on behind them.
    fn cut(&mut self, length: u64) -> anyhow::Result<()> {
        let cut = self.file.set_len(length).and_then(|()| self.file.seek(SeekFrom::Start(length)));
        cut.map(drop).with_context(|| format!("{} cannot be written", self.path.display()))
    }

    pub(crate) fn append(&mut self, record: &Record) -> anyhow::Result<()> {
        self.line(&serde_json::to_string(record)?)
    }

    /// In one call, so that a kill leaves at most one incomplete line.
    fn line(&mut self, text: &str) -> anyhow::Result<()> {
        let line = format!("{text}\n");
        self.file.write_all(line.as_bytes()).with_context(|| format!("{} cannot be written", self.path.display()))
    }
}

/// A journal that is read.
pub(crate) struct JournalReader {
    pub(crate) header: Header,
    pub(crate) path: PathBuf,
    lines: BufReader<File>,
    /// Bytes up to the end of the last whole line.
    whole: u64,
}

impl JournalReader {
    /// The journal of a folder, if there is one.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(JOURNAL);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let mut lines = BufReader::new(file);
        let mut first = String::new();
        let read = lines.read_line(&mut first).with_context(|| format!("{} cannot be read", path.display()))?;
        if !first.ends_with('\n') {
            // Killed while it was begun: nothing was finished yet.
            return Ok(None);
        }
        let header = serde_json::from_str(&first).with_context(|| format!("{}: not a journal", path.display()))?;
        Ok(Some(Self { header, path, lines, whole: read as u64 }))
    }

    /// The next whole record.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<Record>> {
        let context = || format!("{}: damaged after {} bytes", self.path.display(), self.whole);
        let mut line = Vec::new();
        let read = self.lines.read_until(b'\n', &mut line).with_context(context)?;
        if line.last() != Some(&b'\n') {
            return Ok(None);
        }
        let record = serde_json::from_slice(&line).with_context(context)?;
        self.whole += read as u64;
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            yolo9: "1".into(),
            model: "m".into(),
            settings: "s".into(),
            inputs: "i".into(),
            total: 9,
            shard: Shard::WHOLE,
            class_names: vec!["a".into()],
            written: Written::default(),
            unusable: Vec::new(),
        }
    }

    #[test]
    fn shards_deal_out_every_picture_once() {
        for parts in 1..7 {
            for index in 0..40 {
                let owners = (1..=parts).filter(|part| Shard { part: *part, parts }.has(index)).count();
                assert_eq!(owners, 1);
            }
        }
        assert_eq!("3/16".parse(), Ok(Shard { part: 3, parts: 16 }));
        for wrong in ["0/4", "5/4", "1", "a/b", "1/0", "-1/4"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_journal_cut_anywhere_is_continued_after_its_last_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let records: Vec<Record> = (0..3).map(|n| Record::failed(n, &format!("{n}.jpg"), "é")).collect();
        let mut journal = Journal::lock(dir.path()).unwrap().unwrap();
        journal.begin(&header()).unwrap();
        records.iter().for_each(|record| journal.append(record).unwrap());
        let path = dir.path().join(JOURNAL);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..=whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let mut seen = Vec::new();
            journal
                .resume(&header(), |record| {
                    seen.push(record);
                    Ok(())
                })
                .unwrap();
            assert_eq!(seen[..], records[..seen.len()]);
            records[seen.len()..].iter().for_each(|record| journal.append(record).unwrap());
            assert_eq!(std::fs::read(&path).unwrap(), whole, "cut to {length} bytes");
        }
        assert!(Journal::lock(dir.path()).unwrap().is_none(), "another run has it");
    }

    #[test]
    fn another_run_is_not_continued() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::lock(dir.path()).unwrap().unwrap();
        journal.begin(&header()).unwrap();
        let other = Header { settings: "t".into(), ..header() };
        let error = journal.resume(&other, |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("the settings differ: s, then t"), "{error}");
        let shard = Header { shard: Shard { part: 1, parts: 2 }, ..header() };
        let error = journal.resume(&shard, |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("the shards differ: 1/1, then 1/2"), "{error}");
    }
}

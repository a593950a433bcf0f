//! The journal of a run: a line for each image that is finished, written when its own files are. What covers all
//! images can be written again from it, so an interrupted run resumes exactly, and the journals of shards can be
//! merged.
//!
//! What failed through no fault of the image (an interruption, a full disk, no more file handles) is not noted: a
//! resumed run processes it again, and appends it then. The last line of an image counts.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use yolo9::output::{Header, JournalReader, Record, temporary_beside};
use yolo9::untrusted::open_own;

use super::lock::lock;
use super::places::JOURNAL;

/// A journal that is read.
pub(crate) type JournalFile = JournalReader<BufReader<File>>;

/// What an earlier run left, to be put in at its place among what this one detects.
pub(crate) struct Replay {
    reader: JournalFile,
    /// Numbers of images, ascending, and where their records begin.
    records: VecDeque<(usize, u64)>,
}

impl Replay {
    /// The numbers of images that are left.
    pub(crate) fn indices(&self) -> Vec<usize> {
        self.records.iter().map(|(index, _)| *index).collect()
    }

    /// The next record before the image of that number, or of all.
    pub(crate) fn next_before(&mut self, index: Option<usize>) -> anyhow::Result<Option<Record>> {
        match self.records.pop_front_if(|(first, _)| index.is_none_or(|end| *first < end)) {
            Some((_, position)) => Ok(Some(self.reader.record_at(position)?)),
            None => Ok(None),
        }
    }
}

/// The journal of a folder, if there is one with a whole first line.
pub(crate) fn open(folder: &Path) -> anyhow::Result<Option<JournalFile>> {
    let path = folder.join(JOURNAL);
    let file = match open_own(&path, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    JournalReader::new(BufReader::new(file)).with_context(|| path.display().to_string())
}

/// An open journal.
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    /// The number of the last image in it.
    last: Option<usize>,
    /// Whether images stand in another order than that of the inputs.
    disordered: bool,
}

impl Journal {
    /// The journal of a folder, for this run alone; nothing while another run has it.
    pub(crate) fn lock(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(JOURNAL);
        Ok(lock(&path)?.map(|file| Self { file, path, last: None, disordered: false }))
    }

    /// Begins it anew.
    pub(crate) fn begin(&mut self, header: &Header) -> anyhow::Result<()> {
        self.cut(0)?;
        self.line(&serde_json::to_string(header)?)
    }

    /// Continues it: gives the records that `keep` accepts. An empty journal is begun.
    pub(crate) fn resume(
        &mut self,
        header: &Header,
        mut keep: impl FnMut(&Record) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Option<Replay>> {
        let shown = self.path.display().to_string();
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let Some(mut reader) = open(folder)? else {
            self.begin(header)?;
            return Ok(None);
        };
        if let Some(difference) = reader.header().difference(header) {
            anyhow::bail!("{shown} belongs to another run: {difference}; use another --out");
        }
        let (places, tried_again) = reader.places().with_context(|| shown.clone())?;
        // What a kill left of a last line.
        self.cut(reader.whole())?;
        self.last = places.last().map(|(index, _)| *index);
        self.disordered = tried_again;
        let mut records = VecDeque::with_capacity(places.len());
        for (index, position) in places {
            let record = reader.record_at(position).with_context(|| shown.clone())?;
            if keep(&record)? {
                records.push_back((index, position));
            }
        }
        Ok(Some(Replay { reader, records }))
    }

    /// Keeps that many bytes, and goes on behind them.
    fn cut(&mut self, length: u64) -> anyhow::Result<()> {
        let cut = self.file.set_len(length).and_then(|()| self.file.seek(SeekFrom::Start(length)));
        cut.map(drop).with_context(|| format!("{} cannot be written", self.path.display()))
    }

    pub(crate) fn append(&mut self, record: &Record) -> anyhow::Result<()> {
        self.line(&serde_json::to_string(record)?)?;
        self.disordered |= self.last.is_some_and(|last| record.index <= last);
        self.last = self.last.max(Some(record.index));
        Ok(())
    }

    /// In one call, so that a kill leaves at most one incomplete line.
    fn line(&mut self, text: &str) -> anyhow::Result<()> {
        let line = format!("{text}\n");
        self.file.write_all(line.as_bytes()).with_context(|| format!("{} cannot be written", self.path.display()))
    }

    /// Puts images that were tried again where they belong: the journal of a run does not tell how often it was
    /// interrupted.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        if !self.disordered {
            return Ok(());
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let Some(mut reader) = open(folder)? else { return Ok(()) };
        let (places, _) = reader.places()?;
        let mut sorted = BufWriter::new(temporary_beside(&self.path)?);
        writeln!(sorted, "{}", serde_json::to_string(reader.header())?)?;
        for (_, position) in places {
            writeln!(sorted, "{}", serde_json::to_string(&reader.record_at(position)?)?)?;
        }
        let sorted = sorted.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        sorted.persist(&self.path).map(drop).with_context(|| format!("{} cannot be written", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header { journal: Header::VERSION, total: 9, class_names: vec!["a".into()], ..Header::default() }
    }

    fn records(count: usize) -> Vec<Record> {
        (0..count).map(|n| Record::failed(n, &format!("{n}.jpg"), "é")).collect()
    }

    #[test]
    fn a_journal_cut_anywhere_is_continued_after_its_last_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let records = records(3);
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
                    seen.push(record.clone());
                    Ok(true)
                })
                .unwrap();
            assert_eq!(seen[..], records[..seen.len()]);
            records[seen.len()..].iter().for_each(|record| journal.append(record).unwrap());
            assert_eq!(std::fs::read(&path).unwrap(), whole, "cut to {length} bytes");
        }
        assert!(Journal::lock(dir.path()).unwrap().is_none(), "another run has it");
    }

    #[test]
    fn images_that_are_tried_again_find_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let records = records(4);
        let mut journal = Journal::lock(dir.path()).unwrap().unwrap();
        journal.begin(&header()).unwrap();
        for n in [0, 2, 3] {
            journal.append(&Record::failed(n, &format!("{n}.jpg"), "first")).unwrap();
        }
        let mut replay = journal.resume(&header(), |record| Ok(record.index != 2)).unwrap().unwrap();
        assert_eq!(replay.indices(), [0, 3]);
        assert_eq!(replay.next_before(None).unwrap().unwrap().image, "0.jpg");
        assert_eq!(replay.next_before(None).unwrap().unwrap().image, "3.jpg");
        [1, 2, 0, 3].iter().for_each(|n| journal.append(&records[*n]).unwrap());
        journal.finish().unwrap();
        let text = std::fs::read_to_string(dir.path().join(JOURNAL)).unwrap();
        let expected: Vec<String> = records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
        assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), expected);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

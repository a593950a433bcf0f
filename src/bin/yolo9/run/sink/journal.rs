//! The journal, from which all other outputs can be written again.

use yolo9::output::Record;
use yolo9::untrusted::RelativePath;

use super::{Entry, Sink};
use crate::run::journal::Journal;

impl Sink for Journal {
    /// What failed by no fault of its own is not noted, so that a resumed run processes it again.
    fn push(&mut self, entry: &Entry<'_>) -> anyhow::Result<()> {
        if entry.replayed || entry.failure.is_some_and(|failure| failure.passing) {
            return Ok(());
        }
        let reason = entry.failure.map(|failure| failure.reason.clone());
        let record = match (&entry.result, reason) {
            (Some(result), reason) => {
                Record::found(entry.index, result, RelativePath::new(entry.place.to_string_lossy())?, reason)
            }
            (None, reason) => Record::failed(entry.index, entry.name, &reason.unwrap_or_default()),
        };
        self.append(&record.of_file(entry.stamp))
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        Self::finish(*self)
    }
}

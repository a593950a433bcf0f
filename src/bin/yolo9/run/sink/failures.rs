//! Inputs that failed, with the reason, one a line.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;
use yolo9::output::{delete_if_there, write_atomically};

use super::{Entry, Sink};
use crate::run::places::FAILED;
use crate::run::plan::FeedEvent;

struct Failures {
    path: PathBuf,
    lines: String,
}

pub(super) fn sink(out: &Path, unusable: &[(String, String)]) -> Box<dyn Sink> {
    let mut failures = Failures { path: out.join(FAILED), lines: String::new() };
    unusable.iter().for_each(|(input, reason)| failures.add(input, reason));
    Box::new(failures)
}

impl Failures {
    fn add(&mut self, image: &str, error: &str) {
        self.lines += &format!("{}\n", json!({ "image": image, "error": error }));
    }
}

impl Sink for Failures {
    fn push(&mut self, entry: &Entry<'_>) -> anyhow::Result<()> {
        if let Some(failure) = entry.failure {
            self.add(entry.name, &failure.reason);
        }
        Ok(())
    }

    fn video(&mut self, event: &FeedEvent) -> anyhow::Result<()> {
        if let FeedEvent::Closed(planned, Err(reason)) = event {
            self.add(&planned.source.name(), reason);
        }
        Ok(())
    }

    /// Deletes that of an earlier run if there is nothing to write.
    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        if !self.lines.is_empty() {
            return Ok(write_atomically(&self.path, self.lines.as_bytes())?);
        }
        delete_if_there(&self.path).with_context(|| format!("{} cannot be deleted", self.path.display()))
    }
}

//! Puts the results of a run into its outputs, in the order of inputs: its own, and those that an earlier run left.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use yolo9::output::{FileError, Header, ImageResult, Record};
use yolo9::untrusted::is_passing;

use super::images::{ImageDone, Written};
use super::journal::{Journal, Replay};
use super::plan::{FeedEvent, RunPlan};
use super::sink::{Entry, Sinks, delete_files_of};
use super::sources::Failure;
use crate::cli::DetectArgs;
use crate::interrupt::Interrupt;
use crate::report::{Report, counted};

pub(crate) struct Recorder {
    pub(crate) sinks: Sinks,
    pub(crate) report: Report,
    pub(crate) replay: Option<Replay>,
    pub(crate) class_names: Arc<[String]>,
    pub(crate) interrupt: Interrupt,
}

impl Recorder {
    /// Takes an image. A file that cannot be written is a failure of its image; the run goes on.
    pub(crate) fn image(&mut self, done: ImageDone) -> anyhow::Result<()> {
        self.replay_before(Some(done.index))?;
        let ImageDone { index, name, place, stamp, outcome } = done;
        let entry = |result, failure, frame| Entry {
            index,
            name: &name,
            place: &place,
            stamp,
            result,
            failure,
            frame,
            replayed: false,
        };
        let Written { output, files, frame } = match outcome {
            Ok(written) => written,
            Err(failure) => {
                let failure = self.after_interruption(failure);
                self.sinks.push(&entry(None, Some(&failure), None))?;
                self.report.failure(&name, &failure.reason);
                return Ok(());
            }
        };
        if let Err(error) = &files
            && disk_is_full(error)
        {
            // Not noted in the journal, so that the image is not taken for processed.
            anyhow::bail!("{name}: {error:#}; free some space and continue with --resume");
        }
        let failure = files.as_ref().err().map(|error| self.after_interruption(of_file(error)));
        let result = ImageResult::new(&name, &output, &self.class_names);
        let frame = frame.as_ref().map(|(frame, _held)| frame).filter(|_| failure.is_none());
        self.sinks.push(&entry(Some(result), failure.as_ref(), frame))?;
        self.report.image(&result, output.timing);
        if let Some(failure) = &failure {
            self.report.problem(&name, &failure.reason);
        }
        Ok(())
    }

    /// Takes the beginning or the end of a video or listing.
    pub(crate) fn video(&mut self, event: &FeedEvent) -> anyhow::Result<()> {
        match event {
            FeedEvent::Opened(_, about) => self.report.video_of(about.frames),
            FeedEvent::Closed(_, Ok(())) => {}
            FeedEvent::Closed(planned, Err(reason)) => self.report.failure(&planned.source.name(), reason),
        }
        self.sinks.video(event)
    }

    /// Puts in what an earlier run left before an image, or all of it.
    pub(crate) fn replay_before(&mut self, index: Option<usize>) -> anyhow::Result<()> {
        let Some(replay) = &mut self.replay else { return Ok(()) };
        while let Some(record) = replay.next_before(index)? {
            push_record(&mut self.sinks, &record, &self.class_names, true)?;
            self.report.finished_before(&record.image, record.failure());
        }
        Ok(())
    }

    /// What fails after somebody has asked to stop may fail for that reason.
    fn after_interruption(&self, failure: Failure) -> Failure {
        Failure { passing: failure.passing || self.interrupt.requested(), ..failure }
    }
}

/// Puts a record of a journal into outputs.
pub(crate) fn push_record(
    sinks: &mut Sinks,
    record: &Record,
    class_names: &[String],
    replayed: bool,
) -> anyhow::Result<()> {
    let detections = record.detections();
    let failure = record.failure().map(|reason| Failure::from(reason.to_owned()));
    sinks.push(&Entry {
        index: record.index,
        name: &record.image,
        place: record.place().unwrap_or(Path::new("")),
        stamp: record.file,
        result: record.result(&detections, class_names),
        failure: failure.as_ref(),
        frame: None,
        replayed,
    })
}

/// Begins the journal, or resumes it. Gives what an earlier run left: the images with a record, but for those whose file has
/// changed since, and, if they shall be processed again, those that failed.
pub(crate) fn begin(
    journal: &mut Journal,
    header: &Header,
    plan: &RunPlan,
    args: &DetectArgs,
    folder: &Path,
) -> anyhow::Result<Option<Replay>> {
    if !args.resume {
        journal.begin(header)?;
        return Ok(None);
    }
    let (mut changed, mut failed) = (0, 0);
    let replay = journal.resume(header, |record| {
        let planned = plan.image(record.index).filter(|planned| planned.source.name() == record.image);
        let planned = planned.with_context(|| {
            let (image, index) = (&record.image, record.index);
            format!("the journal has {image} as number {index}, which this run has not there; use another --out")
        })?;
        let is_changed = record.file.is_some() && planned.source.stamp() != record.file;
        let is_retried = args.retry_failed && record.failure().is_some();
        changed += usize::from(is_changed);
        failed += usize::from(is_retried && !is_changed);
        let is_kept = !is_changed && !is_retried;
        if !is_kept && record.place() == Some(planned.place().as_path()) {
            delete_files_of(record, header, folder)?;
        }
        Ok(is_kept)
    })?;
    if changed > 0 {
        let (images, has) = (counted(changed, "image"), if changed == 1 { "has" } else { "have" });
        log::warn!("{images} {has} another size or time than when processed, and {has} to be processed again");
    }
    if failed > 0 {
        log::info!("To be processed again after a failure: {}", counted(failed, "image"));
    }
    if let Some(done @ 1..) = replay.as_ref().map(|replay| replay.indices().len()) {
        log::info!("Finished before: {done} of {}", counted(plan.images.len(), "image"));
    }
    Ok(replay)
}

/// Whether every further file would fail for the same reason.
fn disk_is_full(error: &FileError) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error, FileError::Write { reason, .. } if matches!(reason.kind(), StorageFull | QuotaExceeded))
}

/// Why one of an image's files could not be written.
fn of_file(error: &FileError) -> Failure {
    let passing = matches!(error, FileError::Write { reason, .. } if is_passing(reason));
    Failure { reason: error.to_string(), passing }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let error = |kind: ErrorKind| FileError::Write { path: "a.jpg".into(), reason: kind.into() };
        assert!(disk_is_full(&error(ErrorKind::StorageFull)) && disk_is_full(&error(ErrorKind::QuotaExceeded)));
        assert!(!disk_is_full(&error(ErrorKind::PermissionDenied)));
        let of = |kind| of_file(&error(kind)).passing;
        assert!(of(ErrorKind::OutOfMemory) && !of(ErrorKind::PermissionDenied));
    }
}

//! Decoding, inference, and drawing at the same time. Results come in the order of inputs, whoever is faster.
//!
//! A pool of workers decodes and scales the pictures ahead, and draws and encodes those behind; each stream runs the
//! network on pictures of its own. The calling thread only hands them on and waits. Everything is bounded, so that memory
//! depends on these numbers and on the size of pictures, not on how many there are: one picture more than there are
//! workers ahead of the network; as many behind it, and two batches for each stream in it.

use std::collections::VecDeque;
use std::sync::Arc;

use image::RgbImage;
use yolo9::detect::{Found, Prepared, Timing};
use yolo9::output::FileError;
use yolo9::picture::{Fit, Picture};

use super::feed::{Feed, Next};
use super::plan::{Plan, Planned};
use super::results::{Files, Item, Job, Results};
use crate::engine::{AnyDetector, Batches, Pending, Pool, Promise, Streams};
use crate::interrupt::Interrupt;
use crate::report::Report;
use crate::sources::Reading;
use crate::video::Film;

/// A picture that is ready for the network, or why it is not.
type Decoded = Result<(Picture, Prepared), String>;

/// How a run goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) workers: usize,
    /// Pictures of one size that the network gets at once.
    pub(super) batch: usize,
    pub(super) reading: Reading,
    /// Whether the first failure ends the run.
    pub(super) fail_fast: bool,
    /// Pictures that an earlier run finished.
    pub(super) skip: usize,
}

pub(super) struct Pipeline {
    options: Options,
    fit: Fit,
    pool: Pool,
    streams: Streams<Waiting>,
    batches: Batches<Waiting>,
    /// Most pictures in and behind the network.
    most_behind: usize,
    ahead: VecDeque<Ahead>,
    behind: VecDeque<Behind>,
    /// Pictures that went to the network so far.
    serial: u64,
    /// Whether a picture has failed, though that may not have been reported yet.
    failed: bool,
    results: Results,
    /// The annotated video of the one that is playing.
    film: Option<Film>,
}

/// What comes to the network.
enum Ahead {
    Decoding(Item, Pending<Decoded>),
    Opened(Planned, Option<String>, Option<u64>),
    Closed(Planned, Result<(), String>),
}

/// What comes from the network, in the order of inputs.
enum Behind {
    Searched(u64, Pending<Finished>),
    Failed(Planned, String),
    Opened(Planned, Option<String>, Option<u64>),
    Closed(Planned, Result<(), String>),
}

/// A picture in the network.
struct Waiting {
    serial: u64,
    item: Item,
    picture: Picture,
    promise: Promise<Finished>,
}

/// A picture after the network and its own files, with its frame if that goes into a video; or why it failed.
type Finished = Result<Written, (Planned, String)>;

struct Written {
    job: Job,
    timing: Timing,
    frame: anyhow::Result<Option<RgbImage>>,
}

impl Pipeline {
    /// There must be at least one detector; each gets a thread.
    pub(super) fn new(detectors: Vec<AnyDetector>, results: Results, options: Options) -> anyhow::Result<Self> {
        let pool = Pool::new(options.workers)?;
        let fit = detectors[0].settings().fit;
        let most_behind = options.workers + 2 * options.batch * detectors.len();
        let (writers, files) = (pool.clone(), results.files());
        let streams = Streams::start(detectors, move |waiting, found| finish(waiting, found, &files, &writers));
        Ok(Self {
            options,
            fit,
            pool,
            streams,
            batches: Batches::new(options.batch),
            most_behind,
            ahead: VecDeque::new(),
            behind: VecDeque::new(),
            serial: 0,
            failed: false,
            results,
            film: None,
        })
    }

    /// Searches everything, or what comes before an interruption or an output that cannot be written. Gives the results and
    /// whether it was interrupted.
    pub(super) fn run(
        mut self,
        plan: Plan,
        interrupt: &Interrupt,
        report: &mut Report,
    ) -> (Results, anyhow::Result<bool>) {
        let ended = self.run_all(plan, interrupt, report);
        (self.results, ended)
    }

    fn run_all(&mut self, plan: Plan, interrupt: &Interrupt, report: &mut Report) -> anyhow::Result<bool> {
        let mut feed = Feed::new(plan.pictures, self.options.skip, self.options.reading.max_pixels);
        let mut interrupted = false;
        loop {
            while self.ahead.len() <= self.options.workers {
                let Some(next) = feed.next() else { break };
                let ahead = self.decode(next);
                self.ahead.push_back(ahead);
            }
            interrupted |= interrupt.requested() && !self.ahead.is_empty();
            if interrupted || self.options.fail_fast && (self.failed || report.failed() > 0) {
                break;
            }
            let Some(ahead) = self.ahead.pop_front() else { break };
            self.search(ahead);
            while self.finish_if_ready(report)? {}
            while self.behind.len() > self.most_behind {
                self.finish_first(report)?;
            }
        }
        while !self.behind.is_empty() {
            self.finish_first(report)?;
        }
        self.close_film()?;
        Ok(interrupted)
    }

    fn decode(&self, next: Next) -> Ahead {
        let fit = self.fit;
        let prepare = move |picture: Picture| {
            let prepared = Prepared::of(&picture, &fit);
            (picture, prepared)
        };
        match next {
            Next::Picture(planned) => {
                let (source, reading) = (planned.source.clone(), self.options.reading);
                let decoded = self.pool.submit(move || source.open(reading).map(prepare));
                Ahead::Decoding(Item { planned, frame: None }, decoded)
            }
            Next::Frame(planned, number, frame) => {
                let decoded = self.pool.submit(move || Ok(prepare(Picture::from_pixels(frame))));
                Ahead::Decoding(Item { planned, frame: Some(number) }, decoded)
            }
            Next::Opened(planned, rate, frames) => Ahead::Opened(planned, rate, frames),
            Next::Closed(planned, ended) => Ahead::Closed(planned, ended),
        }
    }

    /// Hands a picture to the network, once its batch is full.
    fn search(&mut self, ahead: Ahead) {
        let (item, decoded) = match ahead {
            Ahead::Decoding(item, decoded) => (item, decoded.wait()),
            Ahead::Opened(planned, rate, frames) => {
                return self.behind.push_back(Behind::Opened(planned, rate, frames));
            }
            Ahead::Closed(planned, ended) => return self.behind.push_back(Behind::Closed(planned, ended)),
        };
        match decoded {
            Err(reason) => {
                self.failed = true;
                self.behind.push_back(Behind::Failed(item.planned, reason));
            }
            Ok((picture, prepared)) => {
                let (promise, pending) = Pending::new();
                self.serial += 1;
                let serial = self.serial;
                self.behind.push_back(Behind::Searched(serial, pending));
                let full = self.batches.push((Waiting { serial, item, picture, promise }, prepared));
                full.into_iter().for_each(|batch| self.streams.submit(batch));
            }
        }
    }

    /// Notes and reports the first picture behind the network if it is finished.
    fn finish_if_ready(&mut self, report: &mut Report) -> anyhow::Result<bool> {
        match self.behind.pop_front() {
            None => return Ok(false),
            Some(Behind::Searched(serial, pending)) => match pending.ready() {
                Ok(finished) => self.note(finished, report)?,
                Err(pending) => {
                    self.behind.push_front(Behind::Searched(serial, pending));
                    return Ok(false);
                }
            },
            Some(Behind::Failed(planned, reason)) => self.note(Err((planned, reason)), report)?,
            Some(Behind::Opened(planned, rate, frames)) => {
                self.film = self.results.film(&planned, rate.as_deref());
                report.video_of(frames);
            }
            Some(Behind::Closed(planned, ended)) => {
                let name = planned.source.name();
                self.close_film()?;
                if let Err(reason) = ended {
                    report.failure(&name, &reason);
                }
            }
        }
        Ok(true)
    }

    /// The same, waiting for it.
    fn finish_first(&mut self, report: &mut Report) -> anyhow::Result<()> {
        if self.finish_if_ready(report)? {
            return Ok(());
        }
        if let Some(Behind::Searched(serial, pending)) = self.behind.pop_front() {
            // It may still wait for others of its size.
            let batch = self.batches.take(|waiting| waiting.serial == serial);
            batch.into_iter().for_each(|batch| self.streams.submit(batch));
            self.note(pending.wait(), report)?;
        }
        Ok(())
    }

    /// A file that cannot be written is a failure of its picture; the run goes on.
    fn note(&mut self, finished: Finished, report: &mut Report) -> anyhow::Result<()> {
        let Written { job, timing, frame } = match finished {
            Ok(written) => written,
            Err((planned, reason)) => {
                self.results.failed(&planned, &reason)?;
                report.failure(&planned.source.name(), &reason);
                return Ok(());
            }
        };
        if let Err(error) = &frame
            && disk_is_full(error)
        {
            // Not noted in the journal, so that the picture is not taken for finished.
            anyhow::bail!("{}: {error:#}; free some space and continue with --resume", job.result().source);
        }
        let problem = frame.as_ref().err().map(|error| format!("{error:#}"));
        self.results.finished(&job, problem.clone())?;
        report.picture(&job.result(), timing);
        if let Some(problem) = problem {
            report.problem(job.result().source, &problem);
        }
        match (frame, &mut self.film) {
            (Ok(Some(frame)), Some(film)) => film.push(&frame),
            _ => Ok(()),
        }
    }

    fn close_film(&mut self) -> anyhow::Result<()> {
        self.film.take().map_or(Ok(()), Film::finish)
    }
}

/// On the thread of a stream: the picture's files are written by the pool.
fn finish(waiting: Waiting, found: Result<Found, String>, files: &Arc<Files>, pool: &Pool) {
    let Waiting { item, picture, promise, .. } = waiting;
    let found = match found {
        Ok(found) => found,
        Err(reason) => return promise.keep(Err((item.planned, reason))),
    };
    let timing = found.timing;
    let job = Job::new(item, picture.size(), found, Arc::clone(files));
    pool.fulfil(promise, move || {
        let frame = job.write(picture);
        Ok(Written { job, timing, frame })
    });
}

/// Whether every further file would fail for the same reason.
fn disk_is_full(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let full = |reason: &std::io::Error| matches!(reason.kind(), StorageFull | QuotaExceeded);
    matches!(error.downcast_ref(), Some(FileError::Write { reason, .. }) if full(reason))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let error =
            |kind: ErrorKind| anyhow::Error::from(FileError::Write { path: "a.jpg".into(), reason: kind.into() });
        assert!(disk_is_full(&error(ErrorKind::StorageFull)) && disk_is_full(&error(ErrorKind::QuotaExceeded)));
        assert!(!disk_is_full(&error(ErrorKind::PermissionDenied)) && !disk_is_full(&anyhow::anyhow!("full")));
    }
}

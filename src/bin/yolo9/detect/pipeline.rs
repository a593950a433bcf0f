//! Decoding, inference, and drawing at the same time. Results come in the order of inputs, whoever is faster.
//!
//! A pool of workers decodes and scales the pictures ahead, another one draws and encodes those behind; each stream runs
//! the network on pictures of its own. The calling thread only hands them on and waits. Everything is bounded, so that
//! memory depends on these numbers, not on how many pictures there are: one picture more than there are workers ahead of
//! the network; as many behind it, and two batches for each stream in it; and of large pictures only as many as fit into
//! the memory for them (`engine/memory.rs`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use image::RgbImage;
use yolo9::detect::{Found, Prepared, Timing};
use yolo9::output::FileError;
use yolo9::picture::{Fit, Picture, PictureError, Undecoded};
use yolo9::untrusted::{FileStamp, is_passing};

use super::feed::{Feed, Next};
use super::plan::Planned;
use super::results::{Files, Item, Job, Results};
use crate::engine::{AnyDetector, Batches, Held, Memory, Pending, Pool, Promise, Streams, Turn};
use crate::interrupt::Interrupt;
use crate::report::Report;
use crate::sources::{Failure, Reading, Source};
use crate::video::Film;

/// A picture that is ready for the network, or why it is not; and what its file was.
type Decoded = (Result<(Picture, Prepared, Held), Failure>, Option<FileStamp>);

/// How a run goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) workers: usize,
    /// Pictures of one size that the network gets at once.
    pub(super) batch: usize,
    pub(super) reading: Reading,
    /// Whether the first failure ends the run.
    pub(super) fail_fast: bool,
    /// Bytes of memory for pictures.
    pub(super) memory: u64,
}

pub(super) struct Pipeline {
    options: Options,
    fit: Fit,
    decoders: Pool,
    memory: Memory,
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
    interrupt: Interrupt,
}

/// Bytes of a file from which on only one is read at a time, before its memory is counted.
const LARGE: u64 = 16 << 20;

/// How long a picture is waited for before others are looked at.
const PATIENCE: Duration = Duration::from_millis(20);

/// What comes to the network.
enum Ahead {
    Decoding(Item, Pending<Decoded>),
    Opened(Planned, Option<String>, Option<u64>),
    Closed(Planned, Result<(), String>),
}

/// What comes from the network, in the order of inputs.
enum Behind {
    Searched(u64, Pending<Finished>),
    Failed(Item, Failure),
    Opened(Planned, Option<String>, Option<u64>),
    Closed(Planned, Result<(), String>),
}

/// A picture in the network.
struct Waiting {
    serial: u64,
    item: Item,
    picture: Picture,
    held: Held,
    promise: Promise<Finished>,
}

/// A picture after the network and its own files, with its frame if that goes into a video; or why it failed.
type Finished = Result<Written, Box<(Item, Failure)>>;

struct Written {
    job: Job,
    timing: Timing,
    frame: Result<Option<(RgbImage, Held)>, FileError>,
}

impl Pipeline {
    /// There must be at least one detector; each gets a thread.
    pub(super) fn new(
        detectors: Vec<AnyDetector>,
        results: Results,
        interrupt: Interrupt,
        options: Options,
    ) -> anyhow::Result<Self> {
        let decoders = Pool::new("decoder", options.workers)?;
        // Of their own, since decoders may wait for memory that only these can give back.
        let writers = Pool::new("writer", options.workers)?;
        let fit = detectors[0].settings().fit;
        let most_behind = options.workers + 2 * options.batch * detectors.len();
        let files = results.files();
        let streams = Streams::start(detectors, move |waiting, found| finish(waiting, found, &files, &writers));
        Ok(Self {
            options,
            fit,
            decoders,
            memory: Memory::new(options.memory),
            streams,
            batches: Batches::new(options.batch),
            most_behind,
            ahead: VecDeque::new(),
            behind: VecDeque::new(),
            serial: 0,
            failed: false,
            results,
            film: None,
            interrupt,
        })
    }

    /// Searches everything, or what comes before an interruption or an output that cannot be written. Gives the results and
    /// whether it was interrupted.
    pub(super) fn run(mut self, feed: Feed, report: &mut Report) -> (Results, anyhow::Result<bool>) {
        let ended = self.run_all(feed, report);
        (self.results, ended)
    }

    fn run_all(&mut self, mut feed: Feed, report: &mut Report) -> anyhow::Result<bool> {
        let mut interrupted = false;
        loop {
            while self.ahead.len() <= self.options.workers {
                let Some(next) = feed.next() else { break };
                let ahead = self.decode(next);
                self.ahead.push_back(ahead);
            }
            interrupted |= self.interrupt.requested() && !self.ahead.is_empty();
            if interrupted || self.options.fail_fast && (self.failed || report.failed() > 0) {
                break;
            }
            let Some(ahead) = self.ahead.pop_front() else { break };
            self.search(ahead, report)?;
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
        match next {
            Next::Picture(planned) => {
                let (source, reading, turn) = (planned.source.clone(), self.options.reading, self.memory.turn());
                let decoded = self.decoders.submit(move || decode(&source, &reading, turn, &fit));
                Ahead::Decoding(Item { planned, frame: None, stamp: None }, decoded)
            }
            Next::Frame(planned, number, frame) => {
                let turn = self.memory.turn();
                let decoded = self.decoders.submit(move || {
                    let held = turn.take(frame.as_raw().len() as u64);
                    let picture = Picture::from_pixels(frame);
                    let prepared = Prepared::of(&picture, &fit);
                    (Ok((picture, prepared, held)), None)
                });
                Ahead::Decoding(Item { planned, frame: Some(number), stamp: None }, decoded)
            }
            Next::Opened(planned, rate, frames) => Ahead::Opened(planned, rate, frames),
            Next::Closed(planned, ended) => Ahead::Closed(planned, ended),
        }
    }

    /// Hands a picture to the network, once its batch is full.
    fn search(&mut self, ahead: Ahead, report: &mut Report) -> anyhow::Result<()> {
        let (mut item, decoded) = match ahead {
            Ahead::Decoding(item, decoded) => (item, self.wait_for(decoded, report)?),
            Ahead::Opened(planned, rate, frames) => {
                self.behind.push_back(Behind::Opened(planned, rate, frames));
                return Ok(());
            }
            Ahead::Closed(planned, ended) => {
                self.behind.push_back(Behind::Closed(planned, ended));
                return Ok(());
            }
        };
        item.stamp = decoded.1;
        match decoded.0 {
            Err(failure) => {
                self.failed = true;
                self.behind.push_back(Behind::Failed(item, failure));
            }
            Ok((picture, prepared, held)) => {
                let (promise, pending) = Pending::new();
                self.serial += 1;
                let serial = self.serial;
                self.behind.push_back(Behind::Searched(serial, pending));
                let full = self.batches.push((Waiting { serial, item, picture, held, promise }, prepared));
                full.into_iter().for_each(|batch| self.streams.submit(batch));
            }
        }
        Ok(())
    }

    /// Waits for a picture to be decoded. If that waits for memory, those before it must go on: batches that are not full
    /// yet, and frames that wait to be put into their video.
    fn wait_for(&mut self, mut decoded: Pending<Decoded>, report: &mut Report) -> anyhow::Result<Decoded> {
        loop {
            decoded = match decoded.wait_for(PATIENCE) {
                Ok(decoded) => return Ok(decoded),
                Err(pending) => pending,
            };
            if self.memory.is_starved() {
                while let Some(batch) = self.batches.take(|_| true) {
                    self.streams.submit(batch);
                }
            }
            while self.finish_if_ready(report)? {}
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
            Some(Behind::Failed(item, failure)) => self.note(Err(Box::new((item, failure))), report)?,
            Some(Behind::Opened(planned, rate, frames)) => {
                self.film = self.results.film(&planned, rate.as_deref(), &self.interrupt);
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
            Err(failed) => {
                let (item, failure) = *failed;
                let failure = self.after_interruption(failure);
                self.results.failed(&item, &failure, report)?;
                report.failure(&item.planned.source.name(), &failure.reason);
                return Ok(());
            }
        };
        if let Err(error) = &frame
            && disk_is_full(error)
        {
            // Not noted in the journal, so that the picture is not taken for finished.
            anyhow::bail!("{}: {error:#}; free some space and continue with --resume", job.result().source);
        }
        let problem = frame.as_ref().err().map(|error| self.after_interruption(of_file(error)));
        self.results.finished(&job, problem.as_ref(), report)?;
        report.picture(&job.result(), timing);
        if let Some(problem) = problem {
            report.problem(job.result().source, &problem.reason);
        }
        match (frame, &mut self.film) {
            (Ok(Some((frame, _held))), Some(film)) => film.push(&frame),
            _ => Ok(()),
        }
    }

    /// What fails after somebody has asked to stop may fail for that reason.
    fn after_interruption(&self, failure: Failure) -> Failure {
        Failure { passing: failure.passing || self.interrupt.requested(), ..failure }
    }

    fn close_film(&mut self) -> anyhow::Result<()> {
        self.film.take().map_or(Ok(()), Film::finish)
    }
}

/// On the thread of a decoder.
fn decode(source: &Source, reading: &Reading, turn: Turn, fit: &Fit) -> Decoded {
    if source.stamp().is_some_and(|stamp| stamp.bytes > LARGE) {
        turn.wait();
    }
    let (bytes, stamp) = match source.read() {
        Ok(read) => read,
        Err(failure) => return (Err(failure), source.stamp()),
    };
    let decode = || {
        let undecoded = Undecoded::read(&bytes, &reading.limits, reading.only_for.as_ref())?;
        let held = turn.take(undecoded.memory() + bytes.len() as u64);
        let picture = undecoded.decode()?;
        let prepared = Prepared::of(&picture, fit);
        Ok((picture, prepared, held))
    };
    (decode().map_err(|error: PictureError| error.into()), stamp)
}

/// On the thread of a stream: the picture's files are written by the pool.
fn finish(waiting: Waiting, found: Result<Found, Failure>, files: &Arc<Files>, pool: &Pool) {
    let Waiting { item, picture, held, promise, .. } = waiting;
    let found = match found {
        Ok(found) => found,
        Err(failure) => return promise.keep(Err(Box::new((item, failure)))),
    };
    let timing = found.timing;
    let job = Job::new(item, picture.size(), found, Arc::clone(files));
    pool.fulfil(promise, move || {
        // The memory of a picture is given back here, that of a frame with the frame.
        let frame = job.write(picture).map(|frame| frame.map(|frame| (frame, held)));
        Ok(Written { job, timing, frame })
    });
}

/// Whether every further file would fail for the same reason.
fn disk_is_full(error: &FileError) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error, FileError::Write { reason, .. } if matches!(reason.kind(), StorageFull | QuotaExceeded))
}

/// Why one of a picture's files could not be written.
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
        assert!(
            of_file(&error(ErrorKind::OutOfMemory)).passing && !of_file(&error(ErrorKind::PermissionDenied)).passing
        );
    }
}

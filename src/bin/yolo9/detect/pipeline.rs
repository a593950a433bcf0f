//! Decoding, inference, and drawing at the same time. Results come in the order of inputs, whoever is faster.
//!
//! A pool of workers decodes and scales the pictures ahead and draws and encodes those behind; the calling thread runs the
//! network. Both queues are bounded, so that memory depends on their length and on the size of pictures, not on their
//! number: at most one more than there are workers ahead of the network, and as many behind it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use anyhow::Context;
use yolo9::detect::{Detector, Prepared};
use yolo9::picture::{Fit, Picture};
use yolo9::runtime::Model;

use super::results::Results;
use crate::interrupt::Interrupt;
use crate::report::Report;
use crate::sources::Source;

/// A picture that is ready for the network, or why it is not.
type Decoded = Result<(Picture, Prepared), String>;

pub(super) struct Pipeline {
    detector: Detector<Box<dyn Model>>,
    results: Results,
    pool: Pool,
    max_pixels: u64,
    /// Pictures behind the network whose files are being written, with their names.
    writing: VecDeque<(String, Pending<anyhow::Result<()>>)>,
}

impl Pipeline {
    pub(super) fn new(
        detector: Detector<Box<dyn Model>>,
        results: Results,
        workers: usize,
        max_pixels: u64,
    ) -> anyhow::Result<Self> {
        Ok(Self { detector, results, pool: Pool::new(workers)?, max_pixels, writing: VecDeque::new() })
    }

    /// Searches all pictures, or those before an interruption. Gives the results and whether it was interrupted.
    pub(super) fn run(
        mut self,
        sources: Vec<Source>,
        interrupt: &Interrupt,
        report: &mut Report,
    ) -> anyhow::Result<(Results, bool)> {
        let mut waiting = sources.into_iter();
        let mut decoding: VecDeque<(Arc<Source>, Pending<Decoded>)> = VecDeque::new();
        let mut interrupted = false;
        loop {
            if interrupt.requested() {
                interrupted = !(decoding.is_empty() && waiting.len() == 0);
                break;
            }
            while decoding.len() <= self.pool.workers {
                let Some(source) = waiting.next() else { break };
                decoding.push_back(self.decode(source));
            }
            let Some((source, decoded)) = decoding.pop_front() else { break };
            self.picture(&source, decoded.wait(), report)?;
        }
        while let Some(written) = self.writing.pop_front() {
            note(written, report);
        }
        Ok((self.results, interrupted))
    }

    fn decode(&self, source: Source) -> (Arc<Source>, Pending<Decoded>) {
        let source = Arc::new(source);
        let (shared, fit, max_pixels) = (Arc::clone(&source), self.detector.settings().fit, self.max_pixels);
        let decoded = self.pool.submit(move || prepare(&shared, &fit, max_pixels));
        (source, decoded)
    }

    fn picture(&mut self, source: &Source, decoded: Decoded, report: &mut Report) -> anyhow::Result<()> {
        let searched = decoded.and_then(|(picture, prepared)| {
            let found = self.detector.detect_prepared(&prepared).map_err(|error| error.to_string())?;
            Ok((picture, found))
        });
        let (picture, found) = match searched {
            Ok(searched) => searched,
            Err(reason) => {
                report.failure(&source.name(), &reason);
                return Ok(());
            }
        };
        let timing = found.timing;
        let job = self.results.add(source, picture.size(), found)?;
        report.picture(&job.result(), timing);
        let name = job.name.clone();
        self.writing.push_back((name, self.pool.submit(move || job.write(picture))));
        while self.writing.len() > self.pool.workers {
            if let Some(written) = self.writing.pop_front() {
                note(written, report);
            }
        }
        Ok(())
    }
}

fn prepare(source: &Source, fit: &Fit, max_pixels: u64) -> Decoded {
    let picture = source.open(max_pixels)?;
    let prepared = Prepared::new(&picture.pixels, fit);
    Ok((picture, prepared))
}

/// A file that cannot be written is reported; the run goes on.
fn note((name, written): (String, Pending<anyhow::Result<()>>), report: &mut Report) {
    if let Err(error) = written.wait() {
        report.problem(&name, &format!("{error:#}"));
    }
}

/// Threads for jobs whose results are waited for in the order of their submission.
struct Pool {
    threads: rayon::ThreadPool,
    workers: usize,
}

impl Pool {
    fn new(workers: usize) -> anyhow::Result<Self> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .thread_name(|n| format!("worker {n}"))
            .build()
            .context("no threads for decoding and drawing")?;
        Ok(Self { threads, workers })
    }

    fn submit<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Pending<R> {
        let (sender, receiver) = sync_channel(1);
        self.threads.spawn_fifo(move || {
            // Nobody waits any more after an interruption.
            let _ = sender.send(job());
        });
        Pending(receiver)
    }
}

/// A result to come.
struct Pending<R>(Receiver<R>);

impl<R> Pending<R> {
    fn wait(self) -> R {
        self.0.recv().expect("a job always ends with its result: a panic in it ends the program")
    }
}

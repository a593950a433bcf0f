//! Decoding, inference, and drawing at the same time. Results come in the order of inputs, whoever is faster.
//!
//! A pool of workers decodes and scales the pictures ahead and draws and encodes those behind; the calling thread runs the
//! network. Both queues are bounded, so that memory depends on their length and on the size of pictures, not on their
//! number: at most one more than there are workers ahead of the network, and as many behind it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use anyhow::Context;
use yolo9::detect::{Detector, Prepared, Timing};
use yolo9::output::FileError;
use yolo9::picture::Picture;
use yolo9::runtime::Model;

use super::plan::{Plan, Planned};
use super::results::{Job, Results};
use crate::interrupt::Interrupt;
use crate::report::Report;

/// A picture that is ready for the network, or why it is not.
type Decoded = Result<(Picture, Prepared), String>;

/// How a run goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) workers: usize,
    /// Larger pictures fail.
    pub(super) max_pixels: u64,
    /// Whether the first failure ends the run.
    pub(super) fail_fast: bool,
    /// Pictures that an earlier run finished.
    pub(super) skip: usize,
}

pub(super) struct Pipeline {
    detector: Detector<Box<dyn Model>>,
    results: Results,
    pool: Pool,
    options: Options,
    /// Pictures behind the network.
    behind: VecDeque<Behind>,
}

/// A picture that the network has seen, or never will.
enum Behind {
    Written(Pending<(Job, anyhow::Result<()>)>, Timing),
    Failed(Planned, String),
}

impl Pipeline {
    pub(super) fn new(detector: Detector<Box<dyn Model>>, results: Results, options: Options) -> anyhow::Result<Self> {
        Ok(Self { detector, results, pool: Pool::new(options.workers)?, options, behind: VecDeque::new() })
    }

    /// Searches all pictures, or those before an interruption. Gives the results and whether it was interrupted.
    pub(super) fn run(
        mut self,
        plan: Plan,
        interrupt: &Interrupt,
        report: &mut Report,
    ) -> anyhow::Result<(Results, bool)> {
        let mut waiting = plan.pictures.into_iter().skip(self.options.skip);
        let mut ahead: VecDeque<(Planned, Pending<Decoded>)> = VecDeque::new();
        let mut interrupted = false;
        loop {
            while ahead.len() <= self.options.workers {
                let Some(planned) = waiting.next() else { break };
                let decoded = self.decode(&planned);
                ahead.push_back((planned, decoded));
            }
            interrupted |= interrupt.requested() && !ahead.is_empty();
            if interrupted || self.options.fail_fast && report.failed() > 0 {
                break;
            }
            let Some((planned, decoded)) = ahead.pop_front() else { break };
            self.search(planned, decoded.wait());
            while self.behind.len() > self.options.workers {
                self.finish_first(report)?;
            }
        }
        while !self.behind.is_empty() {
            self.finish_first(report)?;
        }
        Ok((self.results, interrupted))
    }

    fn decode(&self, planned: &Planned) -> Pending<Decoded> {
        let (source, fit) = (Arc::clone(&planned.source), self.detector.settings().fit);
        let max_pixels = self.options.max_pixels;
        self.pool.submit(move || {
            let picture = source.open(max_pixels)?;
            let prepared = Prepared::new(&picture.pixels, &fit);
            Ok((picture, prepared))
        })
    }

    fn search(&mut self, planned: Planned, decoded: Decoded) {
        let searched = decoded.and_then(|(picture, prepared)| {
            let found = self.detector.detect_prepared(&prepared).map_err(|error| error.to_string())?;
            Ok((picture, found))
        });
        self.behind.push_back(match searched {
            Err(reason) => Behind::Failed(planned, reason),
            Ok((picture, found)) => {
                let timing = found.timing;
                let job = self.results.job(planned, picture.size(), found);
                let write = move || {
                    let written = job.write(picture);
                    (job, written)
                };
                Behind::Written(self.pool.submit(write), timing)
            }
        });
    }

    /// Waits for the first picture behind the network, notes and reports it. A file that cannot be written is a failure
    /// of its picture; the run goes on.
    fn finish_first(&mut self, report: &mut Report) -> anyhow::Result<()> {
        match self.behind.pop_front() {
            None => {}
            Some(Behind::Failed(planned, reason)) => {
                self.results.failed(&planned, &reason)?;
                report.failure(&planned.source.name(), &reason);
            }
            Some(Behind::Written(pending, timing)) => {
                let (job, written) = pending.wait();
                if let Err(error) = &written
                    && disk_is_full(error)
                {
                    // Not noted in the journal, so that the picture is not taken for finished.
                    anyhow::bail!("{}: {error:#}; free some space and continue with --resume", job.result().source);
                }
                let problem = written.err().map(|error| format!("{error:#}"));
                self.results.finished(&job, problem.clone())?;
                report.picture(&job.result(), timing);
                if let Some(problem) = problem {
                    report.problem(job.result().source, &problem);
                }
            }
        }
        Ok(())
    }
}

/// Whether every further file would fail for the same reason.
fn disk_is_full(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let full = |reason: &std::io::Error| matches!(reason.kind(), StorageFull | QuotaExceeded);
    matches!(error.downcast_ref(), Some(FileError::Write { reason, .. }) if full(reason))
}

/// Threads for jobs whose results are waited for in the order of their submission.
struct Pool(rayon::ThreadPool);

impl Pool {
    fn new(workers: usize) -> anyhow::Result<Self> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .thread_name(|n| format!("worker {n}"))
            .build()
            .context("no threads for decoding and drawing")?;
        Ok(Self(threads))
    }

    fn submit<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Pending<R> {
        let (sender, receiver) = sync_channel(1);
        self.0.spawn_fifo(move || {
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

    #[test]
    fn results_are_waited_for_in_the_order_of_their_jobs() {
        let pool = Pool::new(3).unwrap();
        let jobs: Vec<Pending<u64>> = (0..20)
            .map(|n| {
                pool.submit(move || {
                    std::thread::sleep(std::time::Duration::from_millis((n * 7) % 5));
                    n
                })
            })
            .collect();
        assert!(jobs.into_iter().map(Pending::wait).eq(0..20));
    }
}

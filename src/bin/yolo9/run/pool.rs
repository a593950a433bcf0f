//! Threads for jobs whose results are waited for in an order of their own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

/// The threads; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Pool(Arc<rayon::ThreadPool>);

impl Pool {
    /// So many threads, called `name` and their number.
    pub(crate) fn new(name: &'static str, workers: usize) -> anyhow::Result<Self> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .thread_name(move |n| format!("{name} {n}"))
            .build()
            .context("no threads for decoding and drawing; ask for fewer with --workers")?;
        Ok(Self(Arc::new(threads)))
    }

    pub(crate) fn submit<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Pending<R> {
        let (promise, pending) = Pending::new();
        self.fulfil(promise, job);
        pending
    }

    /// As [`Pool::submit`], for somebody who waits already.
    pub(crate) fn fulfil<R: Send + 'static>(&self, promise: Promise<R>, job: impl FnOnce() -> R + Send + 'static) {
        self.0.spawn_fifo(move || promise.keep(job()));
    }
}

/// A result to come.
#[derive(Debug)]
pub(crate) struct Pending<R>(Receiver<R>);

/// The other end of a [`Pending`].
#[derive(Debug)]
pub(crate) struct Promise<R>(Sender<R>);

impl<R> Promise<R> {
    pub(crate) fn keep(self, result: R) {
        // Nobody waits any more after an interruption.
        let _ = self.0.send(result);
    }
}

/// Why a result can always be waited for.
const KEPT: &str = "a job always ends with its result: a panic in it ends the program";

impl<R> Pending<R> {
    pub(crate) fn new() -> (Promise<R>, Self) {
        let (sender, receiver) = bounded(1);
        (Promise(sender), Self(receiver))
    }

    pub(crate) fn wait(self) -> R {
        self.0.recv().expect(KEPT)
    }

    /// The result if it comes in time.
    pub(crate) fn wait_for(self, time: Duration) -> Result<R, Self> {
        match self.0.recv_timeout(time) {
            Ok(result) => Ok(result),
            Err(RecvTimeoutError::Timeout) => Err(self),
            Err(RecvTimeoutError::Disconnected) => panic!("{KEPT}"),
        }
    }

    /// The result if it is there.
    pub(crate) fn ready(self) -> Result<R, Self> {
        match self.0.try_recv() {
            Ok(result) => Ok(result),
            Err(TryRecvError::Empty) => Err(self),
            Err(TryRecvError::Disconnected) => panic!("{KEPT}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_waited_for_in_the_order_of_their_jobs() {
        let pool = Pool::new("test", 3).unwrap();
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

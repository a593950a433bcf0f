//! Pictures through a network, decoding and inference at the same time.

mod pool;
mod streams;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use yolo9::Size;
use yolo9::detect::{Detection, Detector, Prepared, Timing};
use yolo9::picture::{DEFAULT_MAX_PIXELS, Picture};
use yolo9::runtime::Model;

pub(crate) use pool::{Pending, Pool, Promise};
pub(crate) use streams::{Batches, Streams};

/// A model on a thread of its own.
pub(crate) type AnyDetector = Detector<Box<dyn Model + Send>>;

/// How many streams share so many threads. More than four only if asked for: each has a copy of the weights.
pub(crate) fn streams(threads: usize) -> usize {
    threads.clamp(1, 4)
}

/// What was found in one picture.
#[derive(Debug, Clone)]
pub(crate) struct Searched {
    pub(crate) size: Size,
    pub(crate) detections: Vec<Detection>,
    pub(crate) timing: Timing,
}

/// Searches pictures whose pixels nobody needs afterwards. `done` hears of each in the order of `paths`, with a sentence
/// that does not repeat the path where it failed; it ends the search by `false`.
pub(crate) fn search(
    detectors: Vec<AnyDetector>,
    workers: usize,
    paths: &[PathBuf],
    mut done: impl FnMut(usize, Result<Searched, String>) -> bool,
) -> anyhow::Result<()> {
    let pool = Pool::new(workers)?;
    let fit = detectors[0].settings().fit;
    let most = workers + 2 * detectors.len();
    type Waiting = (Size, Promise<Result<Searched, String>>);
    let streams = Streams::start(detectors, |(size, promise): Waiting, found| {
        promise.keep(found.map(|found| Searched { size, detections: found.detections, timing: found.timing }));
    });
    let decode = |path: &Path| {
        let path = path.to_path_buf();
        pool.submit(move || {
            let picture = Picture::open(&path, DEFAULT_MAX_PIXELS).map_err(|error| error.to_string())?;
            Ok::<_, String>((picture.size(), Prepared::of(&picture, &fit)))
        })
    };
    let mut ahead = VecDeque::new();
    let mut behind: VecDeque<Pending<Result<Searched, String>>> = VecDeque::new();
    let mut waiting = paths.iter();
    let mut finished = 0;
    loop {
        while ahead.len() <= workers {
            let Some(path) = waiting.next() else { break };
            ahead.push_back(decode(path));
        }
        let next = ahead.pop_front();
        if next.is_none() && behind.is_empty() {
            return Ok(());
        }
        let drained = next.is_none();
        if let Some(decoded) = next {
            let (promise, pending) = Pending::new();
            behind.push_back(pending);
            match decoded.wait() {
                Ok((size, prepared)) => streams.submit(vec![((size, promise), prepared)]),
                Err(reason) => promise.keep(Err(reason)),
            }
        }
        while drained && !behind.is_empty() || behind.len() > most {
            let Some(first) = behind.pop_front() else { break };
            if !done(finished, first.wait()) {
                return Ok(());
            }
            finished += 1;
        }
    }
}

//! Pictures through a network, decoding and inference at the same time.

mod memory;
mod pool;
mod streams;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use yolo9::Size;
use yolo9::detect::{Detection, Detector, Found, Prepared, Timing};
use yolo9::picture::{ImageLimits, PictureError, Undecoded};
use yolo9::runtime::Model;
use yolo9::untrusted::{FileKind, read};

pub(crate) use memory::{Held, Memory, Turn};
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
    let pool = Pool::new("decoder", workers)?;
    let limits = ImageLimits::default();
    let memory = Memory::new(limits.max_bytes);
    let fit = detectors[0].settings().fit;
    let most = workers + 2 * detectors.len();
    type Waiting = (Size, Promise<Result<Searched, String>>);
    let streams = Streams::start(detectors, |(size, promise): Waiting, found| {
        let searched = |found: Found| Searched { size, detections: found.detections, timing: found.timing };
        promise.keep(found.map(searched).map_err(|failure| failure.reason));
    });
    let decode = |path: &Path| {
        let (path, turn) = (path.to_path_buf(), memory.turn());
        pool.submit(move || {
            let prepare = || {
                let bytes = read(&path, FileKind::Image)?;
                let undecoded = Undecoded::read(&bytes, &limits, None)?;
                // Given back at the end of this: what goes on is small.
                let _held = turn.take(undecoded.memory());
                let picture = undecoded.decode()?;
                Ok((picture.size(), Prepared::of(&picture, &fit)))
            };
            prepare().map_err(|error: PictureError| error.to_string())
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

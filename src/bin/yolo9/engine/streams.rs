//! Threads that run the network, each on pictures of its own: two with a thread each finish more pictures than one with
//! two threads, because a network leaves a part of its threads waiting at every layer.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use yolo9::detect::{DetectError, Detector, Found, Prepared};
use yolo9::runtime::Model;

use crate::sources::Failure;

/// A picture for the network, and whatever comes out with its detections.
pub(crate) type Work<T> = (T, Prepared);

/// The threads. They end with the value.
#[derive(Debug)]
pub(crate) struct Streams<T> {
    /// Takes one batch for each stream, then waits.
    batches: Option<SyncSender<Vec<Work<T>>>>,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static> Streams<T> {
    /// A thread for each detector; `done` is called there for each picture.
    pub(crate) fn start<M: Model + Send + 'static>(
        detectors: Vec<Detector<M>>,
        done: impl Fn(T, Result<Found, Failure>) + Send + Sync + 'static,
    ) -> Self {
        let (batches, waiting) = sync_channel(detectors.len());
        let (waiting, done) = (Arc::new(Mutex::new(waiting)), Arc::new(done));
        let thread = |mut detector: Detector<M>| {
            let (waiting, done) = (Arc::clone(&waiting), Arc::clone(&done));
            std::thread::spawn(move || {
                while let Some(batch) = next(&waiting) {
                    search(&mut detector, batch, &*done);
                }
            })
        };
        let threads = detectors.into_iter().map(thread).collect();
        Self { batches: Some(batches), threads }
    }

    /// Hands over pictures whose inputs have one size; waits while all streams are busy and have their next batch.
    pub(crate) fn submit(&self, batch: Vec<Work<T>>) {
        let batches = self.batches.as_ref().expect("open until dropped");
        batches.send(batch).expect("a stream ends only when this value does: a panic in one ends the program");
    }
}

impl<T> Drop for Streams<T> {
    fn drop(&mut self) {
        self.batches = None;
        for thread in self.threads.drain(..) {
            // A panic has shown itself already.
            let _ = thread.join();
        }
    }
}

fn next<T>(waiting: &Mutex<Receiver<T>>) -> Option<T> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// A batch that fails is tried picture by picture, so that one does not take the others with it.
fn search<M: Model, T>(detector: &mut Detector<M>, batch: Vec<Work<T>>, done: &impl Fn(T, Result<Found, Failure>)) {
    let (owners, prepared): (Vec<T>, Vec<Prepared>) = batch.into_iter().unzip();
    let together = if prepared.len() > 1 { detector.detect_batch(&prepared).ok() } else { None };
    match together {
        Some(found) => owners.into_iter().zip(found).for_each(|(owner, found)| done(owner, Ok(found))),
        None => {
            for (owner, prepared) in owners.into_iter().zip(&prepared) {
                done(owner, detector.detect_prepared(prepared).map_err(|error| failure(&error)));
            }
        }
    }
}

/// A network that runs out of memory says nothing about the picture.
fn failure(error: &DetectError) -> Failure {
    let reason = error.to_string();
    let passing = ["bad_alloc", "bad allocation", "Failed to allocate", "out of memory", "Out of memory"];
    let passing = passing.iter().any(|sign| reason.contains(sign));
    Failure { reason, passing }
}

/// Pictures that wait for others of their size.
#[derive(Debug)]
pub(crate) struct Batches<T> {
    size: usize,
    waiting: Vec<Vec<Work<T>>>,
}

impl<T> Batches<T> {
    pub(crate) fn new(size: usize) -> Self {
        Self { size, waiting: Vec::new() }
    }

    /// Adds a picture; gives its batch if that is full now.
    pub(crate) fn push(&mut self, work: Work<T>) -> Option<Vec<Work<T>>> {
        let size = work.1.size();
        let place = match self.waiting.iter().position(|batch| batch[0].1.size() == size) {
            Some(place) => {
                self.waiting[place].push(work);
                place
            }
            None => {
                self.waiting.push(vec![work]);
                self.waiting.len() - 1
            }
        };
        (self.waiting[place].len() >= self.size).then(|| self.waiting.remove(place))
    }

    /// The batch with such a picture, full or not.
    pub(crate) fn take(&mut self, wanted: impl Fn(&T) -> bool) -> Option<Vec<Work<T>>> {
        let place = self.waiting.iter().position(|batch| batch.iter().any(|(owner, _)| wanted(owner)))?;
        Some(self.waiting.remove(place))
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;
    use ndarray::{Array3, ArrayView4};
    use yolo9::Size;
    use yolo9::detect::{Preset, Settings};
    use yolo9::picture::{Fit, InputShape};
    use yolo9::runtime::{HeadOutput, LevelOutput, RuntimeError};

    use super::*;

    /// Finds nothing, and fails on batches with a bright picture in them.
    struct Picky;

    impl Model for Picky {
        fn run(&mut self, input: ArrayView4<'_, f32>) -> Result<HeadOutput, RuntimeError> {
            if input.iter().any(|value| *value > 0.9) {
                return Err(RuntimeError::Run { shapes: Vec::new(), reason: "too bright".into() });
            }
            let (boxes, classes) = (Array3::zeros((64, 1, 1)), Array3::from_elem((1, 1, 1), -9.0));
            Ok(HeadOutput::Levels(vec![LevelOutput { stride: 32, boxes, classes }]))
        }
    }

    fn fit() -> Fit {
        Fit::new(Size::square(64), 32, InputShape::Rectangular, Preset::Yolov9.scale_back())
    }

    fn prepared(width: u32, level: u8) -> Prepared {
        Prepared::new(&RgbImage::from_pixel(width, 64, image::Rgb([level; 3])), &fit())
    }

    #[test]
    fn batches_are_of_one_size_and_lose_nobody() {
        let mut batches = Batches::new(2);
        assert!(batches.push((0, prepared(64, 0))).is_none() && batches.push((1, prepared(32, 0))).is_none());
        let full = batches.push((2, prepared(64, 0))).unwrap();
        assert_eq!(full.iter().map(|(owner, _)| *owner).collect::<Vec<_>>(), [0, 2]);
        assert!(batches.take(|owner| *owner == 2).is_none());
        assert_eq!(batches.take(|owner| *owner == 1).unwrap().len(), 1);
    }

    #[test]
    fn a_failing_picture_fails_alone() {
        let settings = || Settings { fit: fit(), thresholds: Preset::Yolov9.thresholds() };
        let detectors = (0..2).map(|_| Detector::new(Picky, settings())).collect();
        let (sender, receiver) = std::sync::mpsc::channel();
        let streams = Streams::start(detectors, move |owner: usize, found| {
            sender.send((owner, found.err())).unwrap();
        });
        streams.submit(vec![(0, prepared(64, 0)), (1, prepared(64, 255)), (2, prepared(64, 0))]);
        streams.submit(vec![(3, prepared(64, 0))]);
        drop(streams);
        let mut ended: Vec<(usize, Option<Failure>)> = receiver.iter().collect();
        ended.sort_by_key(|(owner, _)| *owner);
        let failed: Vec<usize> = ended.iter().filter(|(_, error)| error.is_some()).map(|(owner, _)| *owner).collect();
        assert_eq!((ended.len(), failed), (4, vec![1]));
    }
}

//! Threads that run inference, each with a session of its own: two with a thread each finish more images than one with two
//! threads, because a network leaves a part of its threads waiting at every layer.

use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};
use yolo9::Size;
use yolo9::detect::{Backend, DetectError, DetectOutput, Engine, Prepared};

use super::sources::Failure;

/// What a session makes of a batch: a result for each of its images, in their order.
pub(crate) type Infer<R, O> = Box<dyn FnMut(Vec<R>) -> Vec<Result<O, Failure>> + Send>;

/// The threads. They end with the value.
#[derive(Debug)]
pub(super) struct SessionPool<T, R> {
    /// Takes one batch for each session, then waits.
    batches: Option<Sender<Vec<(T, R)>>>,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static, R: Send + 'static> SessionPool<T, R> {
    /// A thread for each session; `done` is called there for each image.
    pub(super) fn start<O: 'static>(
        sessions: Vec<Infer<R, O>>,
        done: impl Fn(T, Result<O, Failure>) + Clone + Send + 'static,
    ) -> Self {
        let (batches, waiting) = bounded::<Vec<(T, R)>>(sessions.len());
        let thread = |mut infer: Infer<R, O>| {
            let (waiting, done) = (waiting.clone(), done.clone());
            std::thread::spawn(move || {
                for batch in waiting {
                    let (owners, ready): (Vec<T>, Vec<R>) = batch.into_iter().unzip();
                    owners.into_iter().zip(infer(ready)).for_each(|(owner, found)| done(owner, found));
                }
            })
        };
        Self { batches: Some(batches), threads: sessions.into_iter().map(thread).collect() }
    }

    /// Hands over images whose inputs have one size; waits while all sessions are busy and have their next batch.
    pub(super) fn submit(&self, batch: Vec<(T, R)>) {
        let batches = self.batches.as_ref().expect("open until dropped");
        batches.send(batch).expect("a session ends only when this value does: a panic in one ends the program");
    }
}

impl<T, R> Drop for SessionPool<T, R> {
    fn drop(&mut self) {
        self.batches = None;
        for thread in self.threads.drain(..) {
            // A panic has shown itself already.
            let _ = thread.join();
        }
    }
}

/// Runs an engine on batches. One that fails is run again image by image, so that an image does not take the others with
/// it; that is said, since it is slower.
pub(crate) fn infer_batch<B: Backend>(
    engine: &mut Engine<B>,
    batch: &[&Prepared],
) -> Vec<Result<DetectOutput, Failure>> {
    match engine.detect_batch(batch) {
        Ok(found) => found.into_iter().map(Ok).collect(),
        Err(error) if batch.len() == 1 => vec![Err(failure(&error))],
        Err(error) => {
            log::warn!("a batch of {} images failed ({error}); they are run one by one", batch.len());
            batch.iter().map(|one| engine.detect_prepared(one).map_err(|error| failure(&error))).collect()
        }
    }
}

/// A network that runs out of memory says nothing about the image.
pub(crate) fn failure(error: &DetectError) -> Failure {
    let reason = error.to_string();
    let passing = ["bad_alloc", "bad allocation", "Failed to allocate", "out of memory", "Out of memory"];
    let passing = passing.iter().any(|sign| reason.contains(sign));
    Failure { reason, passing }
}

/// Images that wait for others of their size.
#[derive(Debug)]
pub(super) struct Batches<T, R> {
    full: usize,
    waiting: Vec<(Size, Vec<(T, R)>)>,
}

impl<T, R> Batches<T, R> {
    /// Of so many images each.
    pub(super) fn new(full: usize) -> Self {
        Self { full, waiting: Vec::new() }
    }

    /// Adds an image; gives its batch if that is full now.
    pub(super) fn push(&mut self, size: Size, owner: T, ready: R) -> Option<Vec<(T, R)>> {
        let place = self.waiting.iter().position(|(other, _)| *other == size).unwrap_or_else(|| {
            self.waiting.push((size, Vec::new()));
            self.waiting.len() - 1
        });
        self.waiting[place].1.push((owner, ready));
        (self.waiting[place].1.len() >= self.full).then(|| self.waiting.remove(place).1)
    }

    /// The batch with such an image, full or not.
    pub(super) fn take(&mut self, wanted: impl Fn(&T) -> bool) -> Option<Vec<(T, R)>> {
        let place = self.waiting.iter().position(|(_, batch)| batch.iter().any(|(owner, _)| wanted(owner)))?;
        Some(self.waiting.remove(place).1)
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;
    use ndarray::{Array3, ArrayView4};
    use yolo9::detect::{BackendError, DetectorOptions, HeadOutput, LevelOutput, Preset};
    use yolo9::image::{InputShape, LetterboxOptions};

    use super::*;

    /// Finds nothing, and fails on batches with a bright image in them; notes the lengths of its batches.
    struct Picky(Sender<usize>);

    impl Backend for Picky {
        fn run(&mut self, input: ArrayView4<'_, f32>) -> Result<Vec<HeadOutput>, BackendError> {
            self.0.send(input.dim().0)?;
            if input.iter().any(|value| *value > 0.9) {
                return Err("too bright".into());
            }
            let (boxes, classes) = (Array3::zeros((64, 1, 1)), Array3::from_elem((1, 1, 1), -9.0));
            let level = LevelOutput { stride: 32, boxes, classes };
            Ok(vec![HeadOutput::Levels(vec![level]); input.dim().0])
        }
    }

    fn letterbox() -> LetterboxOptions {
        LetterboxOptions::new(Size::square(64), 32, InputShape::Rectangular, Preset::Yolov9.box_rescaling())
    }

    fn prepared(width: u32, level: u8) -> Prepared {
        Prepared::new(&RgbImage::from_pixel(width, 64, image::Rgb([level; 3])), &letterbox())
    }

    #[test]
    fn batches_are_of_one_size_and_lose_nobody() {
        let mut batches = Batches::new(2);
        let [wide, narrow] = [64, 32].map(Size::square);
        assert!(batches.push(wide, 0, ()).is_none() && batches.push(narrow, 1, ()).is_none());
        let full = batches.push(wide, 2, ()).unwrap();
        assert_eq!(full.iter().map(|(owner, _)| *owner).collect::<Vec<_>>(), [0, 2]);
        assert!(batches.take(|owner| *owner == 2).is_none());
        assert_eq!(batches.take(|owner| *owner == 1).unwrap().len(), 1);
    }

    #[test]
    fn a_failing_image_fails_alone() {
        let (runs, lengths) = crossbeam_channel::unbounded();
        let session = |runs: Sender<usize>| -> Infer<Prepared, DetectOutput> {
            let options = DetectorOptions::new(letterbox(), Preset::Yolov9.postprocess());
            let mut engine = Engine::new(Picky(runs), options);
            Box::new(move |batch| infer_batch(&mut engine, &batch.iter().collect::<Vec<_>>()))
        };
        let (sender, receiver) = crossbeam_channel::unbounded();
        let pool =
            SessionPool::start(vec![session(runs)], move |owner: usize, found: Result<DetectOutput, Failure>| {
                sender.send((owner, found.err())).unwrap();
            });
        pool.submit(vec![(0, prepared(64, 0)), (1, prepared(64, 255)), (2, prepared(64, 0))]);
        pool.submit(vec![(3, prepared(64, 0)), (4, prepared(64, 0))]);
        drop(pool);
        let ended: Vec<(usize, Option<Failure>)> = receiver.iter().collect();
        let failed: Vec<usize> = ended.iter().filter(|(_, error)| error.is_some()).map(|(owner, _)| *owner).collect();
        assert_eq!((ended.len(), failed), (5, vec![1]));
        // The batch, then its images alone; a batch that does not fail is one run.
        assert_eq!(lengths.iter().collect::<Vec<_>>(), [3, 1, 1, 1, 2]);
    }
}

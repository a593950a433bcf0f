//! Batches, made ahead of the network on threads of their own.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use fastrand::Rng;

use super::augment::Augmentation;
use super::samples::{Sample, TrainingSet, UnusedImage};
use crate::train::loss::Target;

/// What the network learns from at once.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[N, 3, H, W]`, RGB, 0 to 255.
    pub images: Vec<u8>,
    /// `[N, 3, H, W]`.
    pub shape: [usize; 4],
    /// The objects of each image, in pixels of it.
    pub targets: Vec<Vec<Target>>,
    /// The file of each image, of a mosaic that of its first one.
    pub sources: Vec<PathBuf>,
    /// Their numbers in the set, if nothing was changed by chance: then an image is the same each time.
    pub unchanged: Option<Vec<usize>>,
}

/// Which batches an epoch has.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The images.
    pub set: Arc<TrainingSet>,
    /// Images in a batch; the last one may have fewer.
    pub batch: usize,
    /// Decides about the order of images and all that is random in them.
    pub seed: u64,
    /// How they are changed.
    pub augmentation: Augmentation,
}

impl Plan {
    /// Batches in an epoch.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.set.len().div_ceil(self.batch)
    }

    /// The batches of these numbers of an epoch, in their order, made by `workers` threads that are at most one batch ahead
    /// each: thread `n` makes every batch whose place is `n` modulo their number.
    ///
    /// # Panics
    /// If one of the threads panicked.
    pub fn epoch(
        &self,
        epoch: usize,
        numbers: Range<usize>,
        workers: usize,
    ) -> impl Iterator<Item = Result<Batch, UnusedImage>> + use<> {
        let workers = workers.clamp(1, numbers.len().max(1));
        let start = |worker: usize| {
            let (sender, receiver) = sync_channel(1);
            let (plan, numbers) = (self.clone(), numbers.clone().skip(worker).step_by(workers));
            std::thread::spawn(move || {
                let order = plan.order(epoch);
                for number in numbers {
                    // Nobody waits for it any more once the run has ended.
                    if sender.send(plan.batch_of(&order, epoch, number)).is_err() {
                        return;
                    }
                }
            });
            receiver
        };
        let receivers: Vec<_> = (0..workers).map(start).collect();
        let receive = move |place: usize| receivers[place % workers].recv().expect("a worker makes all of its batches");
        (0..numbers.len()).map(receive)
    }

    /// The images in the order of an epoch, counted from 0.
    fn order(&self, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.set.len()).collect();
        random(self.seed, epoch, 0).shuffle(&mut order);
        order
    }

    fn batch_of(&self, order: &[usize], epoch: usize, number: usize) -> Result<Batch, UnusedImage> {
        let size = self.set.size();
        let places = number * self.batch..((number + 1) * self.batch).min(order.len());
        let unchanged = (!self.augmentation.is_random()).then(|| order[places.clone()].to_vec());
        let mut batch = Batch {
            images: Vec::with_capacity(places.len() * 3 * size * size),
            shape: [places.len(), 3, size, size],
            targets: Vec::with_capacity(places.len()),
            sources: Vec::with_capacity(places.len()),
            unchanged,
        };
        for place in places {
            let Sample { pixels, objects } =
                self.augmentation.sample(&self.set, order[place], &mut random(self.seed, epoch, 1 + place))?;
            for channel in 0..3 {
                batch.images.extend(pixels.as_raw().iter().skip(channel).step_by(3));
            }
            batch.targets.push(objects);
            batch.sources.push(self.set.path(order[place]).to_path_buf());
        }
        Ok(batch)
    }
}

/// A generator of its own for each place of each epoch, so that it does not matter who draws first.
fn random(seed: u64, epoch: usize, place: usize) -> Rng {
    // SplitMix64 (Steele, Lea and Flood 2014) as a hash of the three numbers.
    let step = |state: u64| {
        let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    Rng::with_seed(step(step(step(seed) ^ epoch as u64) ^ place as u64))
}

//! From labelled images to batches: cached, augmented on threads of their own, the same for a seed whatever the number of
//! threads.

mod augment;
mod batches;
mod colour;
mod samples;
mod warp;

pub use augment::Augmentation;
pub use batches::{Batch, Plan};
pub use samples::{Sample, TrainingSet, UnusedImage};

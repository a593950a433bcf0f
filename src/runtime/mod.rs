//! Runs models on ONNX Runtime.
//!
//! [`Model`] is the seam: everything after it is tested with a fake. The library itself is found or fetched by
//! [`library`], loaded once per process by [`Runtime`], and named in no other module.

mod environment;
mod error;
mod exported;
pub mod library;
mod model;
mod operator;
mod profile;
mod session;

pub use environment::Runtime;
pub use error::RuntimeError;
pub use exported::ExportedModel;
pub use model::OrtModel;
pub use profile::{NodeTime, read_profile};
pub use session::{DySampleBackend, OrtSession, Outputs, SessionOptions};

use ndarray::{Array2, Array3, ArrayView4, Axis};

/// The raw maps of one level for one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelOutput {
    /// Input pixels per cell.
    pub stride: usize,
    /// Box distributions before softmax, `[64, h, w]`.
    pub boxes: Array3<f32>,
    /// Class logits, `[nc, h, w]`.
    pub classes: Array3<f32>,
}

/// What a model gives for one picture. Pixels are those of the network's input.
#[derive(Debug, Clone, PartialEq)]
pub enum HeadOutput {
    /// The raw maps of every level, from the finest to the coarsest: what the graphs that we run give.
    Levels(Vec<LevelOutput>),
    /// `[4 + nc, cells]`, decoded: centre x, centre y, width and height in pixels, class probabilities. What exported
    /// files give.
    Dense(Array2<f32>),
    /// `[detections, 6]`, decoded and suppressed: x1, y1, x2, y2, score, class id. What files exported end to end give.
    Suppressed(Array2<f32>),
}

/// Something that maps a picture to the output of a detection head.
pub trait Model {
    /// Runs one picture, `[1, 3, H, W]`, RGB in 0 to 1, sides multiples of the largest stride.
    ///
    /// # Errors
    /// When the runtime refuses the input or fails.
    fn run(&mut self, input: ArrayView4<'_, f32>) -> Result<HeadOutput, RuntimeError>;

    /// Runs several pictures of one size, `[B, 3, H, W]`, and gives the output of each: in one go where the model can,
    /// else one after the other.
    ///
    /// # Errors
    /// As [`Model::run`].
    fn run_batch(&mut self, input: ArrayView4<'_, f32>) -> Result<Vec<HeadOutput>, RuntimeError> {
        input.axis_chunks_iter(Axis(0), 1).map(|picture| self.run(picture)).collect()
    }
}

impl<M: Model + ?Sized> Model for Box<M> {
    fn run(&mut self, input: ArrayView4<'_, f32>) -> Result<HeadOutput, RuntimeError> {
        (**self).run(input)
    }

    fn run_batch(&mut self, input: ArrayView4<'_, f32>) -> Result<Vec<HeadOutput>, RuntimeError> {
        (**self).run_batch(input)
    }
}

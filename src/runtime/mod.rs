//! Runs models on ONNX Runtime.
//!
//! [`Model`] is the seam: everything after it is tested with a fake. The library itself is found or fetched by
//! [`library`], loaded once per process by [`Runtime`], and named in no other module.

mod environment;
mod error;
pub mod library;
mod model;
mod operator;
mod session;

pub use environment::Runtime;
pub use error::RuntimeError;
pub use model::OrtModel;
pub use session::{DySampleBackend, OrtSession, Outputs, SessionOptions};

use ndarray::{Array3, ArrayView4};

use crate::graph::HeadLayout;

/// The raw maps of one level for one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelOutput {
    /// Box distributions before softmax, `[64, h, w]`.
    pub boxes: Array3<f32>,
    /// Class logits, `[nc, h, w]`.
    pub classes: Array3<f32>,
}

/// Something that maps a picture to the raw maps of a head.
pub trait Model {
    /// What [`Model::run`] gives.
    fn head(&self) -> &HeadLayout;

    /// Runs one picture, `[1, 3, H, W]`, RGB in 0 to 1, sides multiples of the largest stride. Gives one output per
    /// level of [`Model::head`], in its order.
    ///
    /// # Errors
    /// When the runtime refuses the input or fails.
    fn run(&mut self, input: ArrayView4<'_, f32>) -> Result<Vec<LevelOutput>, RuntimeError>;
}

impl<M: Model + ?Sized> Model for Box<M> {
    fn head(&self) -> &HeadLayout {
        (**self).head()
    }

    fn run(&mut self, input: ArrayView4<'_, f32>) -> Result<Vec<LevelOutput>, RuntimeError> {
        (**self).run(input)
    }
}

//! The seam between detection and whatever runs the network: everything after it is tested with a fake.

use ndarray::{Array2, Array3, ArrayView4};

/// The raw feature maps of one level of the head for one image.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelOutput {
    /// Input pixels per position.
    pub stride: usize,
    /// Box distributions before softmax, `[64, h, w]`.
    pub boxes: Array3<f32>,
    /// Class logits, `[nc, h, w]`.
    pub classes: Array3<f32>,
}

/// What the head gives for one image. Pixels are those of the network's input.
#[derive(Debug, Clone, PartialEq)]
pub enum HeadOutput {
    /// The raw maps of every level, from the finest to the coarsest: what the graphs that we build give.
    Levels(Vec<LevelOutput>),
    /// `[4 + nc, anchor points]`, decoded: centre x, centre y, width and height in pixels, class probabilities. What
    /// exported files give.
    Dense(Array2<f32>),
    /// `[detections, 6]`, decoded and after NMS: x1, y1, x2, y2, confidence, class id. What files exported end to end
    /// give.
    Suppressed(Array2<f32>),
}

/// Why a backend failed: any error of its own.
pub type BackendError = Box<dyn std::error::Error + Send + Sync>;

/// Something that runs a detection network.
pub trait Backend {
    /// Runs a batch of images of one size, `[B, 3, H, W]`, RGB in 0 to 1, sides multiples of the largest stride, and
    /// gives the output for each.
    ///
    /// # Errors
    /// When the runtime refuses the input or fails.
    fn run(&mut self, input: ArrayView4<'_, f32>) -> Result<Vec<HeadOutput>, BackendError>;
}

impl<B: Backend + ?Sized> Backend for &mut B {
    fn run(&mut self, input: ArrayView4<'_, f32>) -> Result<Vec<HeadOutput>, BackendError> {
        (**self).run(input)
    }
}

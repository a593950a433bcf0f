//! The network's input: resized, padded, planar, 0 to 1.

use ndarray::Array4;

use super::area::resize_area;
use super::resize::{Resampling, resize_bilinear};
use super::{Letterbox, Pixels};

/// The grey that YOLO pads with, of 255.
const PADDING: f32 = 114.0;

/// Scales an image as the letterbox says (see [`Resampling`]), pads with grey, and gives `[1, 3, H, W]`, RGB in 0
/// to 1.
///
/// # Panics
/// If the image is not of the letterbox's original size.
#[must_use]
pub fn to_tensor<'a>(image: impl Into<Pixels<'a>>, letterbox: &Letterbox) -> Array4<f32> {
    let image = image.into();
    let size = image.size();
    assert_eq!(size, letterbox.original, "the letterbox is for an image of another size");
    let input = letterbox.input;
    let padded = letterbox.resized != input;
    let fill = if padded { PADDING / 255.0 } else { 0.0 };
    let mut tensor = Array4::from_elem((1, 3, input.height, input.width), fill);
    if letterbox.resized == size {
        place(image.as_bytes(), letterbox, &mut tensor);
    } else {
        let scaled = match letterbox.interpolation {
            Resampling::Bilinear => resize_bilinear(image, letterbox.resized),
            Resampling::Area => resize_area(image, letterbox.resized),
        };
        place(scaled.as_raw(), letterbox, &mut tensor);
    }
    tensor
}

/// Interleaved bytes into the planes of the tensor: HWC => CHW.
fn place(rgb: &[u8], letterbox: &Letterbox, tensor: &mut Array4<f32>) {
    let (input, size) = (letterbox.input, letterbox.resized);
    let plane = input.width * input.height;
    let values = tensor.as_slice_mut().expect("a fresh array is contiguous");
    let (red, rest) = values.split_at_mut(plane);
    let (green, blue) = rest.split_at_mut(plane);
    for (row, pixels) in rgb.chunks_exact(3 * size.width).enumerate() {
        let start = (letterbox.top + row) * input.width + letterbox.left;
        let range = start..start + size.width;
        let planes = red[range.clone()].iter_mut().zip(&mut green[range.clone()]).zip(&mut blue[range]);
        for (pixel, ((r, g), b)) in pixels.as_chunks::<3>().0.iter().zip(planes) {
            // A division, as in the original; its reciprocal differs in the last bit.
            *r = f32::from(pixel[0]) / 255.0;
            *g = f32::from(pixel[1]) / 255.0;
            *b = f32::from(pixel[2]) / 255.0;
        }
    }
}

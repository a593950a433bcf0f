//! What an image can be, and its pixels.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use numpy::{IntoPyArray, PyArray1, PyArray3, PyArrayMethods, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use yolo9::Size;
use yolo9::image::{Image, ImageError, ImageLimits, Pixels};

use crate::error::image_exception;

/// An image as Python gives it. The package has checked arrays and said what is wrong with them.
#[derive(FromPyObject)]
pub(crate) enum Input<'py> {
    /// `uint8` of shape `[H, W, 3]`, RGB, without gaps.
    Array(PyReadonlyArray3<'py, u8>),
    /// A file in memory.
    Encoded(PyBackedBytes),
    /// A file.
    File(PathBuf),
}

/// The same, without Python: what can be used while other threads of Python run.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Pixels(Pixels<'a>),
    Encoded(&'a [u8]),
    File(&'a Path),
}

impl Input<'_> {
    /// Borrows it. Other threads must not write to an array meanwhile, as with functions of NumPy.
    pub(crate) fn source(&self) -> PyResult<Source<'_>> {
        Ok(match self {
            Input::Array(array) => Source::Pixels(pixels(array)?),
            Input::Encoded(bytes) => Source::Encoded(bytes),
            Input::File(path) => Source::File(path),
        })
    }
}

fn pixels<'a>(array: &'a PyReadonlyArray3<'_, u8>) -> PyResult<Pixels<'a>> {
    let &[height, width, channels] = array.shape() else { unreachable!("an array of three axes") };
    let limit = ImageLimits::default().max_pixels;
    let size = Size::new(width, height);
    let bytes = array.as_slice().ok().filter(|_| channels == 3 && size.area() <= limit);
    bytes.and_then(|bytes| Pixels::new(bytes, size)).ok_or_else(|| {
        let megapixels = limit / 1_000_000;
        PyValueError::new_err(format!(
            "an array of shape {:?}; expected [height, width, 3], neither of them 0, of at most {megapixels} megapixels",
            array.shape()
        ))
    })
}

impl<'a> Source<'a> {
    /// Its pixels, decoded if they are not there yet.
    pub(crate) fn decode(self) -> Result<Decoded<'a>, ImageError> {
        Ok(match self {
            Source::Pixels(pixels) => Decoded::Borrowed(pixels),
            Source::Encoded(bytes) => Decoded::Owned(Image::decode(bytes, &ImageLimits::default())?),
            Source::File(path) => Decoded::Owned(Image::open(path)?),
        })
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> Option<Cow<'a, str>> {
        match self {
            Source::File(path) => Some(path.to_string_lossy()),
            Source::Pixels(_) | Source::Encoded(_) => None,
        }
    }

    pub(crate) fn exception(&self, error: &ImageError) -> PyErr {
        image_exception(self.name().as_deref(), error)
    }
}

/// Pixels of ours, or of Python's.
pub(crate) enum Decoded<'a> {
    Borrowed(Pixels<'a>),
    Owned(Image),
}

impl Decoded<'_> {
    pub(crate) fn pixels(&self) -> Pixels<'_> {
        match self {
            Decoded::Borrowed(pixels) => *pixels,
            Decoded::Owned(image) => (&image.pixels).into(),
        }
    }

    /// To draw on.
    pub(crate) fn into_image(self) -> Image {
        match self {
            Decoded::Owned(image) => image,
            Decoded::Borrowed(pixels) => Image::copy_of(pixels),
        }
    }
}

/// The pixels of a file, or of one in memory, as `detect` reads them.
#[pyfunction]
pub(crate) fn read_image<'py>(py: Python<'py>, image: Input<'py>) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let source = image.source()?;
    let decoded = py.detach(|| source.decode().map(Decoded::into_image)).map_err(|error| source.exception(&error))?;
    array(py, decoded)
}

/// `[H, W, 3]`, without a copy.
pub(crate) fn array(py: Python<'_>, image: Image) -> PyResult<Bound<'_, PyArray3<u8>>> {
    let Size { width, height } = image.size();
    let flat: Bound<'_, PyArray1<u8>> = image.pixels.into_raw().into_pyarray(py);
    flat.reshape([height, width, 3])
}

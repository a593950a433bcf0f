//! `yolo9_rs._native`: the detector of yolo9 for Python. What is convenient about it is Python's (`yolo9_rs/`); here are the
//! network, pixels and boxes.

mod detector;
mod draw;
mod error;
mod input;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    use pyo3::prelude::*;
    use pyo3::types::PyTuple;
    use yolo9::image::{EXTENSIONS, ImageLimits};
    use yolo9::untrusted::FileKind;

    #[pymodule_export]
    use super::detector::Detector;
    #[pymodule_export]
    use super::draw::draw;
    #[pymodule_export]
    use super::input::read_image;
    #[pymodule_export]
    use super::{check_device, coco_categories, library_package};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // Whoever has a logger of their own keeps it.
        let _ = pyo3_log::try_init();
        // What the library and the program hold to, for what Python reads itself.
        module.add("IMAGE_EXTENSIONS", PyTuple::new(module.py(), EXTENSIONS)?)?;
        module.add("MAX_IMAGE_BYTES", FileKind::Image.max_bytes())?;
        module.add("MAX_IMAGE_PIXELS", ImageLimits::default().max_pixels)?;
        module.add("MAX_MODEL_BYTES", FileKind::UnknownModel.max_bytes())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// The Python package whose ONNX Runtime library has a device, if there is one.
#[pyfunction]
fn library_package(device: &str) -> PyResult<Option<&'static str>> {
    Ok(detector::device(device, None)?.package().map(|package| package.name))
}

/// Whether there are such a device and precision, on some machine.
#[pyfunction]
fn check_device(device: &str, precision: Option<&str>) -> PyResult<()> {
    let precision = precision.map(detector::precision).transpose()?;
    detector::device(device, precision).map(drop)
}

/// COCO's own category ids, by class id, if the names are those of its 80 classes.
#[pyfunction]
fn coco_categories(names: Vec<String>) -> Option<Vec<usize>> {
    yolo9::config::coco_categories(&names).map(|ids| ids.to_vec())
}

//! Where a network is trained.

use burn_tensor::Device;
use thiserror::Error;

/// Why there is no such device.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No device has that name.
    #[error("`{0}` is no device; expected cpu, cuda, wgpu or metal, with a number where there are several (cuda:1)")]
    Unknown(String),
    /// The program was built without it.
    #[error("{0}: this build of yolo9 has no such device; it takes the feature train-{0}")]
    NotBuilt(String),
}

/// The device of a name such as `cpu` or `cuda:1`, ready to record gradients.
///
/// # Errors
/// [`DeviceError`] for other names, and for devices whose feature was not built.
pub fn open_device(name: &str) -> Result<Device, DeviceError> {
    let unknown = || DeviceError::Unknown(name.into());
    let (kind, index) = match name.split_once(':') {
        Some((kind, number)) => (kind, number.parse::<usize>().ok().filter(|n| *n < 64).ok_or_else(unknown)?),
        None => (name, 0),
    };
    let device = match (kind, index) {
        ("cpu", 0) => Device::flex(),
        #[cfg(feature = "train-cuda")]
        ("cuda", index) => Device::cuda(index),
        #[cfg(feature = "train-wgpu")]
        ("wgpu", index) => Device::wgpu(gpu(index)),
        #[cfg(feature = "train-metal")]
        ("metal", index) => Device::metal(gpu(index)),
        ("cuda" | "wgpu" | "metal", _) => return Err(DeviceError::NotBuilt(kind.into())),
        _ => return Err(unknown()),
    };
    Ok(device.autodiff())
}

#[cfg(any(feature = "train-wgpu", feature = "train-metal"))]
fn gpu(index: usize) -> burn_tensor::DeviceKind {
    if index == 0 { burn_tensor::DeviceKind::DefaultDevice } else { burn_tensor::DeviceKind::DiscreteGpu(index) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_devices_or_say_why_not() {
        assert!(open_device("cpu").is_ok());
        for name in ["gpu", "cuda:x", "cpu:1", ""] {
            assert!(matches!(open_device(name), Err(DeviceError::Unknown(_))), "{name}");
        }
        #[cfg(not(feature = "train-cuda"))]
        assert!(open_device("cuda:1").unwrap_err().to_string().contains("train-cuda"));
    }
}

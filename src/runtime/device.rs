//! Where a network runs, and with which numbers.

use std::env::consts::{ARCH, OS};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use thiserror::Error;

use super::library::{DIRECTML, GPU, ONNXRUNTIME, OPENVINO, Package};
use super::processor;

/// What computes a network: one of ONNX Runtime's execution providers, with the part of the machine that it uses.
///
/// As text: `cpu`, `openvino`, `openvino:GPU`, `openvino:GPU.1`, `openvino:NPU`, `cuda`, `cuda:1`, `tensorrt:0`, `coreml`,
/// `directml:0`, `xnnpack`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Device {
    /// ONNX Runtime's own kernels.
    #[default]
    Cpu,
    /// Intel's OpenVINO, which runs on processors of AMD too.
    OpenVino(OpenVinoPart),
    /// NVIDIA's CUDA, on the GPU of that number.
    Cuda(u32),
    /// NVIDIA's TensorRT, on the GPU of that number.
    TensorRt(u32),
    /// Apple's Core ML.
    CoreMl,
    /// Microsoft's DirectML, on the adapter of that number.
    DirectMl(u32),
    /// Google's XNNPACK, on the CPU.
    Xnnpack,
}

/// What OpenVINO uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OpenVinoPart {
    /// The processor.
    #[default]
    Cpu,
    /// An Intel GPU; the first one, if no number is given.
    Gpu(Option<u32>),
    /// An Intel NPU.
    Npu,
}

impl fmt::Display for OpenVinoPart {
    /// As OpenVINO calls it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("CPU"),
            Self::Gpu(None) => f.write_str("GPU"),
            Self::Gpu(Some(number)) => write!(f, "GPU.{number}"),
            Self::Npu => f.write_str("NPU"),
        }
    }
}

/// The numbers that convolutions are computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    F32,
    /// 16 bits, with the range of f32 and 8 bits of significand.
    Bf16,
    /// 16 bits, up to 65504 and with 11 bits of significand.
    F16,
    /// 8-bit integers, of a network that was quantised.
    Int8,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::F32, Self::Bf16, Self::F16, Self::Int8];
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        })
    }
}

/// A text that is no device.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no device; expected {expected}", expected = Self::EXPECTED)]
pub struct DeviceParseError(String);

impl DeviceParseError {
    /// What would be one.
    pub const EXPECTED: &str = "cpu, openvino (or openvino:CPU, openvino:GPU, openvino:GPU.N, openvino:NPU), cuda:N, \
                                tensorrt:N, coreml, directml:N or xnnpack, with N from 0 to 255";
}

impl FromStr for Device {
    type Err = DeviceParseError;

    fn from_str(text: &str) -> Result<Self, DeviceParseError> {
        let lower = text.to_ascii_lowercase();
        let (name, part) = lower.split_once(':').map_or((lower.as_str(), None), |(name, part)| (name, Some(part)));
        let number = |part: &str| part.parse::<u8>().ok().map(u32::from);
        let numbered = |device: fn(u32) -> Self| part.map_or(Some(0), number).map(device);
        let device = match (name, part) {
            ("cpu", None) => Some(Self::Cpu),
            ("coreml", None) => Some(Self::CoreMl),
            ("xnnpack", None) => Some(Self::Xnnpack),
            ("openvino", None | Some("cpu")) => Some(Self::OpenVino(OpenVinoPart::Cpu)),
            ("openvino", Some("gpu")) => Some(Self::OpenVino(OpenVinoPart::Gpu(None))),
            ("openvino", Some("npu")) => Some(Self::OpenVino(OpenVinoPart::Npu)),
            ("openvino", Some(part)) => {
                part.strip_prefix("gpu.").and_then(number).map(|number| Self::OpenVino(OpenVinoPart::Gpu(Some(number))))
            }
            ("cuda", _) => numbered(Self::Cuda),
            ("tensorrt", _) => numbered(Self::TensorRt),
            ("directml", _) => numbered(Self::DirectMl),
            _ => None,
        };
        device.ok_or_else(|| DeviceParseError(text.into()))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Cpu | Self::CoreMl | Self::Xnnpack | Self::OpenVino(OpenVinoPart::Cpu) => Ok(()),
            Self::OpenVino(part) => write!(f, ":{part}"),
            Self::Cuda(number) | Self::TensorRt(number) | Self::DirectMl(number) => write!(f, ":{number}"),
        }
    }
}

impl Device {
    /// One of each kind, with its default part.
    pub const KINDS: [Self; 7] = [
        Self::Cpu,
        Self::OpenVino(OpenVinoPart::Cpu),
        Self::Cuda(0),
        Self::TensorRt(0),
        Self::CoreMl,
        Self::DirectMl(0),
        Self::Xnnpack,
    ];

    /// Its name without a number or a part, such as `cuda`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::OpenVino(_) => "openvino",
            Self::Cuda(_) => "cuda",
            Self::TensorRt(_) => "tensorrt",
            Self::CoreMl => "coreml",
            Self::DirectMl(_) => "directml",
            Self::Xnnpack => "xnnpack",
        }
    }

    /// The package whose library has the execution provider; nothing if none is published.
    #[must_use]
    pub fn package(self) -> Option<&'static Package> {
        match self {
            Self::Cpu => Some(&ONNXRUNTIME),
            Self::CoreMl => cfg!(target_os = "macos").then_some(&ONNXRUNTIME),
            Self::OpenVino(_) => Some(&OPENVINO),
            Self::Cuda(_) | Self::TensorRt(_) => Some(&GPU),
            Self::DirectMl(_) => Some(&DIRECTML),
            Self::Xnnpack => None,
        }
    }

    /// A GPU with a driver, if this machine seems to have one that is of use, else the CPU. OpenVINO is no faster there than
    /// ONNX Runtime in f32, but it has bf16.
    #[must_use]
    pub fn likely(precision: Precision) -> Self {
        let candidates = [
            (Self::Cuda(0), Self::Cuda(0).check_driver().is_ok()),
            (Self::CoreMl, cfg!(all(target_os = "macos", target_arch = "aarch64"))),
            (Self::DirectMl(0), cfg!(windows)),
            (Self::OpenVino(OpenVinoPart::Cpu), precision == Precision::Bf16),
        ];
        let fits = |device: Self| device.published_package().is_ok() && device.check(precision).is_ok();
        candidates.into_iter().find(|(device, there)| *there && fits(*device)).map_or(Self::Cpu, |(device, _)| device)
    }

    /// The package that is published for this machine.
    ///
    /// # Errors
    /// [`DeviceProblem::Unpublished`].
    pub fn published_package(self) -> Result<&'static Package, DeviceProblem> {
        self.package().filter(|package| package.is_published()).ok_or(DeviceProblem::Unpublished)
    }

    /// Whether images go through one session after the other: a GPU computes one of them as fast as it can.
    #[must_use]
    pub fn takes_one_session(self) -> bool {
        !matches!(self, Self::Cpu | Self::OpenVino(OpenVinoPart::Cpu) | Self::Xnnpack)
    }

    /// Whether a network becomes f16 before the provider gets it; others compute a network of f32 so.
    pub(super) fn takes_f16_graphs(self) -> bool {
        matches!(self, Self::Cuda(_) | Self::CoreMl | Self::DirectMl(_))
    }

    /// Whether the driver that it needs seems to be there, as far as the system's files tell.
    ///
    /// # Errors
    /// [`DeviceProblem::Driver`].
    pub fn check_driver(self) -> Result<(), DeviceProblem> {
        // The last of each line is that of Linux inside Windows.
        let nvidia: &[&str] = if cfg!(windows) {
            &["C:\\Windows\\System32\\nvcuda.dll"]
        } else {
            &["/proc/driver/nvidia/version", "/dev/nvidiactl", "/usr/lib/wsl/lib/libcuda.so.1"]
        };
        let (what, signs): (_, &[&str]) = match self {
            Self::Cuda(_) | Self::TensorRt(_) => ("NVIDIA driver", nvidia),
            Self::OpenVino(OpenVinoPart::Gpu(_)) => ("GPU driver (no /dev/dri)", &["/dev/dri", "/dev/dxg"]),
            Self::OpenVino(OpenVinoPart::Npu) => ("NPU driver (no /dev/accel)", &["/dev/accel", "/dev/dxg"]),
            _ => return Ok(()),
        };
        if signs.iter().any(|sign| Path::new(sign).exists()) { Ok(()) } else { Err(DeviceProblem::Driver(what)) }
    }

    /// Looks at what can be known before a library is loaded.
    ///
    /// # Errors
    /// When the device has not that precision, or this processor has not.
    pub fn check(self, precision: Precision) -> Result<(), DeviceProblem> {
        let lacks = |why: String| Err(DeviceProblem::Precision { precision, why });
        match (self, precision) {
            (Self::OpenVino(OpenVinoPart::Npu), Precision::F32) => lacks("it computes in f16 only".into()),
            (_, Precision::F32) | (Self::Cpu | Self::OpenVino(_) | Self::TensorRt(_), Precision::Int8) => Ok(()),
            (Self::TensorRt(_), Precision::Bf16 | Precision::F16)
            | (Self::OpenVino(OpenVinoPart::Gpu(_) | OpenVinoPart::Npu), Precision::F16)
            | (Self::Cuda(_) | Self::CoreMl | Self::DirectMl(_), Precision::F16) => Ok(()),
            (Self::OpenVino(OpenVinoPart::Cpu), Precision::Bf16) if processor::has_bf16() => Ok(()),
            (Self::OpenVino(OpenVinoPart::Cpu), Precision::F16) if processor::has_f16() => Ok(()),
            (Self::OpenVino(OpenVinoPart::Cpu), Precision::Bf16) => {
                Err(DeviceProblem::Processor { precision, lacks: "AVX512-BF16 and no AMX" })
            }
            (Self::OpenVino(OpenVinoPart::Cpu), Precision::F16) => {
                Err(DeviceProblem::Processor { precision, lacks: "AVX512-FP16 and no AMX-FP16" })
            }
            (Self::Cpu, _) => lacks("ONNX Runtime's own kernels compute convolutions in f32 or int8 only".into()),
            _ => lacks("its execution provider has it not, or not for convolutions".into()),
        }
    }
}

/// Why a device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeviceProblem {
    /// It has not the precision.
    #[error("it cannot compute in {precision}: {why}")]
    Precision {
        /// What was asked for.
        precision: Precision,
        /// What lacks it.
        why: String,
    },
    /// It would have the precision on another processor.
    #[error(
        "it cannot compute in {precision}: this processor has no {lacks}: its kernels would convert every value to f32 and \
         back, which takes longer than f32"
    )]
    Processor {
        /// What was asked for.
        precision: Precision,
        /// The instructions.
        lacks: &'static str,
    },
    /// Nobody publishes a library for it.
    #[error("no published ONNX Runtime library has its execution provider on {OS} ({ARCH})")]
    Unpublished,
    /// The library is another build.
    #[error("the library {library} has not its execution provider, only {has}")]
    NotInLibrary {
        /// The library's file.
        library: String,
        /// What it has.
        has: String,
    },
    /// The execution provider does not start: no driver, no such device, a library of it that is missing.
    #[error("its execution provider does not start: {0}")]
    Provider(String),
    /// ONNX Runtime would run a part of the network on the CPU.
    #[error("it takes {taken} of {all} nodes only; the CPU would run the rest, {example} among them")]
    Fallback {
        /// Nodes that it takes.
        taken: usize,
        /// All of them.
        all: usize,
        /// An operator that it does not take.
        example: String,
    },
    /// The system has no driver for it.
    #[error("there is no {0} on this machine")]
    Driver(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_written_as_they_are_read() {
        for text in
            ["cpu", "openvino", "openvino:GPU", "openvino:GPU.1", "openvino:NPU", "cuda:3", "tensorrt:0", "coreml"]
        {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), text);
        }
        assert_eq!("CUDA".parse(), Ok(Device::Cuda(0)));
        for wrong in ["", "gpu", "cpu:0", "cuda:", "cuda:-1", "cuda:256", "openvino:gpu.", "openvino:TPU", "0"] {
            let error = wrong.parse::<Device>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{wrong}` is no device; expected cpu, openvino")), "{error}");
        }
        assert!(Device::KINDS.iter().all(|device| device.to_string().parse() == Ok(*device)));
    }

    #[test]
    fn what_a_device_cannot_is_known_before_anything_is_fetched() {
        assert!(Device::KINDS.iter().all(|device| device.check(Precision::F32).is_ok()));
        assert!(Device::OpenVino(OpenVinoPart::Npu).check(Precision::F32).is_err());
        assert!(Device::Cuda(0).check(Precision::F16).is_ok() && Device::Cpu.check(Precision::Int8).is_ok());
        let said = Device::Xnnpack.check(Precision::F16).unwrap_err().to_string();
        assert!(said.contains("its execution provider has it not"), "{said}");
        let bf16 = Device::OpenVino(OpenVinoPart::Cpu).check(Precision::Bf16);
        assert_eq!(bf16.is_ok(), processor::has_bf16());
    }
}

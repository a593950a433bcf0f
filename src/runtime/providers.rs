//! The execution provider of a device in a session's options, and whether it runs what it should.

use std::collections::BTreeMap;

use ort::ep::coreml::{ComputeUnits, ModelFormat};
use ort::ep::cuda::ConvAlgorithmSearch;
use ort::ep::{
    self, ArbitrarilyConfigurableExecutionProvider, ExecutionProvider, ExecutionProviderDispatch as Dispatch,
};
use ort::session::Session;
use ort::session::builder::SessionBuilder;

use super::assignment::{self, AssignedNode};
use super::device::{Device, DeviceProblem, OpenVinoPart, Precision};
use super::{Runtime, SessionOptions};
use crate::cache::cache_folder;

/// ONNX Runtime's own kernels.
const CPU: &str = "CPUExecutionProvider";

/// What a device's provider is called in ONNX Runtime, and what else it gives nodes to.
fn names(device: Device) -> &'static [&'static str] {
    match device {
        Device::Cpu => &[CPU],
        Device::OpenVino(_) => &["OpenVINOExecutionProvider"],
        Device::Cuda(_) => &["CUDAExecutionProvider"],
        Device::TensorRt(_) => {
            &["TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider", "CUDAExecutionProvider"]
        }
        Device::CoreMl => &["CoreMLExecutionProvider"],
        Device::DirectMl(_) => &["DmlExecutionProvider"],
        Device::Xnnpack => &["XnnpackExecutionProvider"],
    }
}

/// Whether the library was built with it.
fn is_in_library(device: Device) -> bool {
    let answer = match device {
        Device::Cpu => Ok(true),
        Device::OpenVino(_) => ep::OpenVINO::is_available(),
        Device::Cuda(_) => ep::CUDA::is_available(),
        Device::TensorRt(_) => ep::TensorRT::is_available(),
        Device::CoreMl => ep::CoreML::is_available(),
        Device::DirectMl(_) => ep::DirectML::is_available(),
        Device::Xnnpack => ep::XNNPACK::is_available(),
    };
    answer.inspect_err(|error| log::debug!("{device}: the library does not say what it has: {error}")).unwrap_or(false)
}

impl Runtime {
    /// Kinds of devices that the library was built for. Whether one is there is another matter.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        Device::KINDS.into_iter().filter(|device| is_in_library(*device)).collect()
    }
}

/// Whether the device can be asked for at all.
pub(super) fn check(runtime: &Runtime, options: &SessionOptions) -> Result<(), DeviceProblem> {
    options.device.check(options.precision.unwrap_or_default())?;
    if is_in_library(options.device) {
        return Ok(());
    }
    let has: Vec<&str> = runtime.devices().into_iter().map(Device::name).collect();
    Err(DeviceProblem::NotInLibrary { library: runtime.library().path.display().to_string(), has: has.join(", ") })
}

/// Adds the device's provider to a session. The CPU's is always there.
pub(super) fn register(builder: SessionBuilder, options: &SessionOptions) -> ort::Result<SessionBuilder> {
    let (device, precision, threads) = (options.device, options.precision.unwrap_or_default(), options.threads.max(1));
    let half = precision == Precision::F16;
    let cuda = |number: u32| {
        ep::CUDA::default()
            .with_device_id(number as i32)
            // f32 is f32: TF32 has 10 bits of significand.
            .with_tf32(false)
            // Trying all algorithms takes seconds for each new size of an image.
            .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
            .build()
    };
    let providers: Vec<Dispatch> = match device {
        Device::Cpu => return Ok(builder),
        Device::OpenVino(part) => vec![
            ep::OpenVINO::default()
                .with_device_type(part)
                .with_arbitrary_config("load_config", openvino_config(part, precision, threads))
                .build(),
        ],
        Device::Cuda(number) => vec![cuda(number)],
        Device::TensorRt(number) => {
            let mut provider = ep::TensorRT::default()
                .with_device_id(number as i32)
                .with_fp16(half)
                .with_bf16(precision == Precision::Bf16)
                .with_int8(precision == Precision::Int8);
            // Building an engine takes minutes.
            if let Ok(cache) = cache_folder() {
                let folder = cache.join("tensorrt").display().to_string();
                provider = provider.with_engine_cache(true).with_engine_cache_path(folder);
            }
            vec![provider.build(), cuda(number)]
        }
        Device::CoreMl => {
            // The neural engine computes in f16 whatever it is given.
            let units = if half { ComputeUnits::All } else { ComputeUnits::CPUAndGPU };
            vec![ep::CoreML::default().with_model_format(ModelFormat::MLProgram).with_compute_units(units).build()]
        }
        Device::DirectMl(number) => vec![ep::DirectML::default().with_device_id(number as i32).build()],
        Device::Xnnpack => {
            let threads = std::num::NonZeroUsize::new(threads).unwrap_or(std::num::NonZeroUsize::MIN);
            vec![ep::XNNPACK::default().with_intra_op_num_threads(threads).build()]
        }
    };
    let builder = builder.with_config_entry(assignment::CONFIG_ENTRY, "1")?;
    let builder = if matches!(device, Device::DirectMl(_)) {
        // It must know the memory of every value itself.
        builder.with_memory_pattern(false)?.with_parallel_execution(false)?
    } else {
        builder
    };
    let strict: Vec<Dispatch> = providers.into_iter().map(Dispatch::error_on_failure).collect();
    Ok(builder.with_execution_providers(strict)?)
}

/// Properties of OpenVINO's own, as the provider's option `load_config` takes them.
fn openvino_config(part: OpenVinoPart, precision: Precision, threads: usize) -> String {
    let name = match part {
        OpenVinoPart::Cpu => "CPU",
        OpenVinoPart::Gpu(_) => "GPU",
        OpenVinoPart::Npu => "NPU",
    };
    let mut properties = BTreeMap::from([("PERFORMANCE_HINT", "LATENCY".to_owned())]);
    if part != OpenVinoPart::Npu {
        // What is quantised in the network stays so; the rest of such a network is f32.
        let hint = if precision == Precision::Int8 { Precision::F32 } else { precision };
        properties.insert("INFERENCE_PRECISION_HINT", hint.to_string());
    }
    if part == OpenVinoPart::Cpu {
        properties.insert("INFERENCE_NUM_THREADS", threads.to_string());
        // It would pin the threads of every session to the same cores.
        properties.insert("ENABLE_CPU_PINNING", "NO".into());
    }
    serde_json::json!({ name: properties }).to_string()
}

/// What an error says, in one line and without the place in ONNX Runtime's sources.
pub(super) fn reason(error: &ort::Error) -> String {
    let text = error.to_string();
    let said = text.rsplit_once(" : FAIL : ").map_or(text.as_str(), |(_, said)| said);
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Looks at who runs what: the device must have taken every convolution, which are nearly all of a network's time.
/// Shapes and the like may be left to the CPU, as ONNX Runtime does on purpose beside a GPU.
pub(super) fn verify(session: &Session, name: &str, device: Device) -> Result<(), DeviceProblem> {
    if device == Device::Cpu {
        return Ok(());
    }
    let nodes = assignment::nodes(session).map_err(|error| DeviceProblem::Provider(reason(&error)))?;
    check_nodes(&nodes, name, device)
}

fn check_nodes(nodes: &[AssignedNode], name: &str, device: Device) -> Result<(), DeviceProblem> {
    let is_taken = |node: &&AssignedNode| names(device).contains(&node.provider.as_str());
    let (taken, all) = (nodes.iter().filter(is_taken).count(), nodes.len());
    let left: Vec<&str> = nodes.iter().filter(|node| !is_taken(node)).map(|node| node.operator.as_str()).collect();
    let example = left.iter().find(|operator| operator.contains("Conv")).or(left.first().filter(|_| taken == 0));
    if let Some(example) = example {
        return Err(DeviceProblem::Fallback { taken, all, example: (*example).to_owned() });
    }
    let mut counts = BTreeMap::<&str, usize>::new();
    left.iter().for_each(|operator| *counts.entry(operator).or_default() += 1);
    let others: Vec<String> = counts.iter().map(|(operator, count)| format!("{count} {operator}")).collect();
    let rest = if others.is_empty() { String::new() } else { format!("; the CPU runs {}", others.join(", ")) };
    log::debug!("{name}: {device} runs {taken} of {all} nodes{rest}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(provider: &str, operator: &str) -> AssignedNode {
        AssignedNode { provider: provider.into(), operator: operator.into() }
    }

    #[test]
    fn a_convolution_on_the_cpu_is_no_success() {
        let device = Device::Cuda(0);
        let (cuda, cpu) = ("CUDAExecutionProvider", CPU);
        assert_eq!(check_nodes(&[node(cuda, "Conv"), node(cpu, "Shape")], "m", device), Ok(()));
        let fallback = |taken, all, example: &str| Err(DeviceProblem::Fallback { taken, all, example: example.into() });
        assert_eq!(check_nodes(&[node(cuda, "Mul"), node(cpu, "Conv")], "m", device), fallback(1, 2, "Conv"));
        assert_eq!(check_nodes(&[node(cpu, "Identity")], "m", device), fallback(0, 1, "Identity"));
        // TensorRT leaves to CUDA what it does not have.
        let nodes = [node("TensorrtExecutionProvider", "Conv"), node(cuda, "GridSample")];
        assert_eq!(check_nodes(&nodes, "m", Device::TensorRt(0)), Ok(()));
    }

    #[test]
    fn openvino_is_told_precision_and_threads() {
        assert_eq!(
            openvino_config(OpenVinoPart::Cpu, Precision::Bf16, 2),
            r#"{"CPU":{"ENABLE_CPU_PINNING":"NO","INFERENCE_NUM_THREADS":"2","INFERENCE_PRECISION_HINT":"bf16","PERFORMANCE_HINT":"LATENCY"}}"#
        );
        assert_eq!(openvino_config(OpenVinoPart::Npu, Precision::F16, 2), r#"{"NPU":{"PERFORMANCE_HINT":"LATENCY"}}"#);
    }
}

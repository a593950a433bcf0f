//! `yolo9:DySample(x, offset; scale, groups)` as an operator of ONNX Runtime, on the kernels of [`crate::dysample`].

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ort::operator::{
    ComputeContext, Kernel as OrtKernel, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
    ShapeInferenceContext,
};
use ort::value::{Shape, TensorElementType, ValueType};

use crate::dysample::{DOMAIN, Geometry, Kernel, NAME, ScratchPool, Tensors, Upsampling};

/// What a node may ask for.
const SCALES: RangeInclusive<i64> = 1..=8;

/// The domain to register with a session. `threads` are those of the session.
/// In an `Arc`, in which ort shares a domain among sessions.
pub(super) fn domain(threads: usize) -> ort::Result<Arc<OperatorDomain>> {
    OperatorDomain::new(DOMAIN)?.add(DySample { kernel: Kernel::best(), threads }).map(Arc::new)
}

struct DySample {
    kernel: Kernel,
    threads: usize,
}

/// One node of a session.
struct OperatorNode {
    name: String,
    scale: usize,
    groups: usize,
    kernel: Kernel,
    threads: usize,
    scratch: ScratchPool,
}

impl Operator for DySample {
    type Kernel<'a> = OperatorNode;

    fn name(&self) -> &str {
        NAME
    }

    fn versions(&self) -> RangeInclusive<u32> {
        1..=1
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(TensorElementType::Float32), OperatorInput::required(TensorElementType::Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'a>(&self, context: &KernelContext<'a>) -> ort::Result<OperatorNode> {
        let name = context.node_name()?;
        let attribute = |key: &str, allowed: RangeInclusive<i64>, expected: &str| {
            let failed = |found: String| {
                ort::Error::new(format!("DySample node {name}: attribute `{key}` is {found}; expected {expected}"))
            };
            let value: i64 = context.get(key).ok_or_else(|| failed("missing".into()))?;
            if allowed.contains(&value) { Ok(value as usize) } else { Err(failed(value.to_string())) }
        };
        let scale = attribute("scale", SCALES, "1 to 8")?;
        let groups = attribute("groups", 1..=i64::from(i32::MAX), "1 or more")?;
        Ok(OperatorNode {
            scale,
            groups,
            kernel: self.kernel,
            threads: self.threads,
            scratch: ScratchPool::default(),
            name,
        })
    }

    fn infer_shape(&self, context: &mut ShapeInferenceContext) -> ort::Result<()> {
        let inputs = context.inputs();
        // What is not known yet is checked when the node runs.
        let Some(ValueType::Tensor { shape, dimension_symbols, .. }) = inputs.first() else { return Ok(()) };
        let Ok([batch, channels, height, width]) = <[i64; 4]>::try_from(&shape[..]) else { return Ok(()) };
        // `create_kernel` refuses other scales, with a message; here they would make impossible lengths, on which `ort`
        // panics.
        let Some(scale) = context.attr("scale").ok().filter(|scale: &i64| SCALES.contains(scale)) else {
            return Ok(());
        };
        let lengths = [(batch, 1), (channels, 1), (height, scale), (width, scale)];
        let symbols = lengths.iter().enumerate().map(|(axis, (length, scale))| {
            symbol(*length, *scale, dimension_symbols.get(axis).map_or("", String::as_str))
        });
        let output = ValueType::Tensor {
            ty: TensorElementType::Float32,
            dimension_symbols: symbols.collect(),
            shape: Shape::new(
                lengths.map(|(length, scale)| if length < 0 { -1 } else { length.saturating_mul(scale) }),
            ),
        };
        context.set_output(0, &output)
    }
}

/// Name of an output's length. ONNX Runtime takes an unknown length without a name for a known one of -1, and lengths
/// of the same name for equal: it lets tensors of "equal" shapes share memory.
fn symbol(length: i64, scale: i64, name: &str) -> String {
    static UNNAMED: AtomicUsize = AtomicUsize::new(0);
    match (length < 0, name, scale) {
        (false, ..) => String::new(),
        (true, "", _) => format!("{NAME}.{}", UNNAMED.fetch_add(1, Ordering::Relaxed)),
        (true, name, 1) => name.to_owned(),
        (true, name, scale) => format!("{scale}*{name}"),
    }
}

// A panic in here or in a task would end the process, so everything is an error instead.
impl OrtKernel for OperatorNode {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let failed = |reason: String| ort::Error::new(format!("DySample node {}: {reason}", self.name));
        let missing = |what: &str| failed(format!("no {what}"));
        let x = context.input(0)?.ok_or_else(|| missing("x"))?;
        let offset = context.input(1)?.ok_or_else(|| missing("offset"))?;
        let (x_shape, x) = x.try_extract_tensor::<f32>()?;
        let (offset_shape, offset) = offset.try_extract_tensor::<f32>()?;
        let lengths = |shape: &Shape| shape.iter().map(|length| *length as usize).collect::<Vec<_>>();
        let geometry = Geometry::new(&lengths(x_shape), &lengths(offset_shape), self.scale, self.groups)
            .map_err(|error| failed(error.to_string()))?;
        let mut y =
            context.output(0, geometry.output_shape().map(|length| length as i64))?.ok_or_else(|| missing("output"))?;
        let (_, y) = y.try_extract_tensor_mut::<f32>()?;
        let upsampling = Upsampling::new(self.kernel, geometry, Tensors { x, offset, y }, &self.scratch, self.threads);
        if self.threads == 1 || upsampling.parts() < 2 {
            upsampling.run_all();
            return Ok(());
        }
        // 0: the pool decides how many parts one of its tasks takes.
        context.par_for(upsampling.parts(), 0, |part| upsampling.run(part))
    }
}

//! Operations on the CPU with gradients of their own, where what burn composes them of would pass over memory many times
//! more: convolution, normalisation with activation, and DySample's sampling. On other devices burn's own are used.

mod average;
mod convolution;
mod layout;
mod normalise;
mod real;
mod sample;
mod tiles;

pub(super) use average::average_pool;
pub(super) use convolution::convolve;
pub(super) use normalise::{EPSILON, Normalised, normalise};
pub(super) use real::Real;
pub(super) use sample::sample;

use std::borrow::Cow;
use std::fmt::Debug;

use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::NoCheckpointing;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn_backend::{DType, Shape, TensorData, TensorMetadata};
use burn_flex::{Flex, FlexTensor};
use burn_tensor::Tensor;

/// Runs a closure as compiled for the widest vectors of the machine. What it writes to is its argument: a closure that
/// captures it mutably, or is called as `FnOnce`, would be called through a function that is compiled for any machine.
macro_rules! vectorised {
    ($argument:expr, |$parameter:ident $(: $kind:ty)?| $body:expr) => {
        $crate::train::kernels::dispatched($argument, #[inline(always)] |$parameter $(: $kind)?| $body)
    };
}
use vectorised;

/// What [`vectorised!`] is made of; it marks the closure `#[inline(always)]`.
#[inline(always)]
fn dispatched<A, R>(arguments: A, run: impl Fn(A) -> R) -> R {
    struct Call<A, F>(A, F);
    impl<A, R, F: Fn(A) -> R> pulp::NullaryFnOnce for Call<A, F> {
        type Output = R;

        #[inline(always)]
        fn call(self) -> R {
            (self.1)(self.0)
        }
    }
    pulp::Arch::new().dispatch(Call(arguments, run))
}

/// Whether multiplying and adding is one instruction in [`vectorised`] code.
fn has_fused_multiply_add() -> bool {
    cfg!(target_arch = "aarch64") || !matches!(pulp::Arch::new(), pulp::Arch::Scalar)
}

/// The tensor's numbers and its place in the graph, if it is on the CPU and gradients are recorded.
fn on_cpu<const D: usize>(tensor: &Tensor<D>) -> Option<(FlexTensor, NodeGuard)> {
    let primitive = tensor.clone().try_into_primitive::<Autodiff<Flex>>().ok()?;
    Some(primitive.into_parts())
}

/// From what an operation keeps, the gradient of its output and whose gradients are wanted to the gradients of its inputs.
type Derivative<S, const N: usize> = fn(&S, FlexTensor, [bool; N]) -> [Option<FlexTensor>; N];

/// An operation whose gradient is ours.
#[derive(Debug)]
struct Recorded<S, const N: usize>(Derivative<S, N>);

impl<S: Clone + Debug + Send + 'static, const N: usize> Backward<Flex, N> for Recorded<S, N> {
    type State = S;

    fn backward(self, ops: Ops<S, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        for (parent, result) in ops.parents.into_iter().zip((self.0)(&ops.state, gradient, wanted)) {
            if let (Some(parent), Some(result)) = (parent, result) {
                grads.register::<Flex>(parent.id, result);
            }
        }
    }
}

/// The result of an operation on `inputs` as a tensor whose gradients `derivative` computes from `state`.
fn recorded<S: Clone + Debug + Send + 'static, const N: usize>(
    inputs: [NodeGuard; N],
    output: FlexTensor,
    state: S,
    derivative: Derivative<S, N>,
) -> Tensor<4> {
    let output = match Recorded(derivative).prepare::<NoCheckpointing>(inputs).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(state, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

/// The numbers, row-major.
fn values<T: Real>(tensor: &FlexTensor) -> Cow<'_, [T]> {
    let length = tensor.shape().num_elements();
    if tensor.is_contiguous() {
        let start = tensor.layout().start_offset();
        return Cow::Borrowed(&tensor.storage::<T>()[start..start + length]);
    }
    Cow::Owned(into_vec(tensor.to_contiguous()))
}

fn tensor_of<T: Real>(values: Vec<T>, shape: Shape) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The numbers of a gradient for writing into, without a copy if nobody else has them.
fn into_vec<T: Real>(tensor: FlexTensor) -> Vec<T> {
    let data = if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }.into_data();
    data.try_into_vec::<T>().expect("the tensor has this kind of number")
}

fn is_double(tensor: &FlexTensor) -> bool {
    tensor.dtype() == DType::F64
}

#[cfg(test)]
mod tests {
    //! Operations of ours beside burn's.

    use burn_tensor::{DType, Device, Tensor, TensorData};

    /// Numbers of -0.5 to 0.5 whose gradient is recorded.
    pub(super) fn random(shape: [usize; 4], seed: u64) -> Tensor<4> {
        let mut random = fastrand::Rng::with_seed(seed);
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| random.f64() - 0.5).collect();
        Tensor::from_data(TensorData::new(values, shape), (&Device::flex().autodiff(), DType::F64)).require_grad()
    }

    /// Results are the same, and so are gradients of `leaves`.
    pub(super) fn assert_same(name: &str, ours: Tensor<4>, theirs: Tensor<4>, leaves: &[&Tensor<4>]) {
        let dy = random(ours.dims(), 3).detach();
        let all = |y: Tensor<4>| -> Vec<Tensor<4>> {
            let mut gradients = (y.clone() * dy.clone()).sum().backward();
            let of_leaves = leaves.iter().map(|leaf| leaf.grad_remove(&mut gradients).unwrap());
            std::iter::once(y).chain(of_leaves).collect()
        };
        for (number, (ours, theirs)) in all(ours).iter().zip(all(theirs)).enumerate() {
            let what = if number == 0 { "result".to_owned() } else { format!("gradient {number}") };
            assert_eq!(ours.dims(), theirs.dims(), "{name}: {what}");
            let numbers = |tensor: &Tensor<4>| tensor.to_data_as::<f64>().try_into_vec::<f64>().unwrap();
            for (a, b) in numbers(ours).iter().zip(numbers(&theirs)) {
                assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()), "{name}: {what}: {a} and {b}");
            }
        }
    }
}

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

use burn_autodiff::Autodiff;
use burn_backend::{DType, Shape, TensorData, TensorMetadata};
use burn_flex::{Flex, FlexTensor};
use burn_tensor::Tensor;

/// Runs code as compiled for the widest vectors of the machine. What it writes to is among the arguments: a closure that
/// captures it mutably, or is called as `FnOnce`, would be called through a function that is compiled for any machine. The
/// closure must be `#[inline(always)]`.
#[inline(always)]
fn vectorised<A, R>(arguments: A, run: impl Fn(A) -> R) -> R {
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

/// A tensor of the CPU with its place in the graph of gradients.
type Node = burn_autodiff::ops::NodeGuard;

/// The tensor's numbers and its place in the graph, if it is on the CPU and gradients are recorded.
fn on_cpu<const D: usize>(tensor: &Tensor<D>) -> Option<(FlexTensor, Node)> {
    let primitive = tensor.clone().try_into_primitive::<Autodiff<Flex>>().ok()?;
    Some(primitive.into_parts())
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

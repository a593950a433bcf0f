//! Activations on tensors that record gradients.

use burn_tensor::Tensor;
use burn_tensor::activation::{leaky_relu, relu, silu};

use crate::config::Activation;

pub(super) fn activate(x: Tensor<4>, activation: Activation) -> Tensor<4> {
    match activation {
        Activation::Silu => silu(x),
        Activation::Relu => relu(x),
        Activation::LeakyRelu(slope) => leaky_relu(x, f64::from(slope)),
        Activation::Identity => x,
    }
}

//! SGD and AdamW over the parameters in their three groups, clipping, and the exponential moving average.

use burn_tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::parameters::{Group, Parameters};

/// Which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// With Nesterov momentum.
    Sgd,
    /// Loshchilov and Hutter, arXiv 1711.05101. The momentum is β₁; β₂ is 0.999.
    AdamW,
}

/// Settings of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepSettings {
    /// Learning rate of weights and scales of normalisations.
    pub learning_rate: f64,
    /// Learning rate of biases, which differs during the warm-up.
    pub bias_learning_rate: f64,
    /// Momentum, or β₁.
    pub momentum: f64,
    /// Decay of weights.
    pub weight_decay: f64,
}

const BETA2: f64 = 0.999;
const ADAM_EPSILON: f64 = 1e-8;

/// The optimiser's memory of one parameter.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Momentum buffer, or first moment.
    pub first: Tensor<1>,
    /// Second moment, of AdamW.
    pub second: Option<Tensor<1>>,
}

/// An optimiser with its memory.
#[derive(Debug, Clone)]
pub struct Optimiser {
    rule: Rule,
    /// In the order of [`Parameters::learned`]; nothing before a parameter's first step.
    pub moments: Vec<Option<Moments>>,
    /// Steps so far.
    pub steps: u64,
}

/// Gradients of the learned parameters, in their order; nothing for frozen ones.
pub type ParameterGradients = Vec<Option<Tensor<1>>>;

impl Optimiser {
    /// Without memory.
    #[must_use]
    pub fn new(rule: Rule, parameters: &Parameters) -> Self {
        Self { rule, moments: vec![None; parameters.learned.len()], steps: 0 }
    }

    /// Moves the parameters against their gradients.
    pub fn step(&mut self, parameters: &mut Parameters, gradients: ParameterGradients, settings: &StepSettings) {
        self.steps += 1;
        for ((learned, moments), gradient) in parameters.learned.iter_mut().zip(&mut self.moments).zip(gradients) {
            let Some(gradient) = gradient else { continue };
            let rate = match learned.group {
                Group::Bias => settings.bias_learning_rate,
                Group::Weight | Group::Norm => settings.learning_rate,
            };
            let decay = if learned.group == Group::Weight { settings.weight_decay } else { 0.0 };
            let value = learned.value.clone().without_autodiff();
            let moved = match self.rule {
                Rule::Sgd => sgd(value, gradient, moments, (rate, settings.momentum, decay)),
                Rule::AdamW => adam_w(value, gradient, moments, (rate, settings.momentum, decay, self.steps)),
            };
            learned.value = moved.autodiff().require_grad();
        }
    }
}

fn sgd(
    value: Tensor<1>,
    gradient: Tensor<1>,
    moments: &mut Option<Moments>,
    (rate, momentum, decay): (f64, f64, f64),
) -> Tensor<1> {
    let gradient = if decay > 0.0 { gradient + value.clone() * decay } else { gradient };
    let buffer = match moments.take() {
        Some(moments) => moments.first * momentum + gradient.clone(),
        None => gradient.clone(),
    };
    let step = gradient + buffer.clone() * momentum;
    *moments = Some(Moments { first: buffer, second: None });
    value - step * rate
}

fn adam_w(
    value: Tensor<1>,
    gradient: Tensor<1>,
    moments: &mut Option<Moments>,
    (rate, beta1, decay, steps): (f64, f64, f64, u64),
) -> Tensor<1> {
    let (first, second) = match moments.take() {
        Some(Moments { first, second: Some(second) }) => (first, second),
        _ => (gradient.zeros_like(), gradient.zeros_like()),
    };
    let first = first * beta1 + gradient.clone() * (1.0 - beta1);
    let second = second * BETA2 + gradient.clone() * gradient * (1.0 - BETA2);
    let steps = steps as f64;
    let correction = (1.0 - BETA2.powf(steps)).sqrt();
    let size = second.clone().sqrt() / correction + ADAM_EPSILON;
    let step = first.clone() / size * (rate / (1.0 - beta1.powf(steps)));
    *moments = Some(Moments { first, second: Some(second) });
    value * (1.0 - rate * decay) - step
}

/// The Euclidean norm of all gradients.
///
/// # Panics
/// Never: a sum of numbers is one number.
#[must_use]
pub fn gradient_norm(gradients: &ParameterGradients) -> f64 {
    let squares: Vec<Tensor<1>> =
        gradients.iter().flatten().map(|gradient| (gradient.clone() * gradient.clone()).sum()).collect();
    if squares.is_empty() {
        return 0.0;
    }
    let squares = Tensor::cat(squares, 0).to_data_as::<f64>();
    squares.try_into_vec::<f64>().expect("f64 was asked for").iter().sum::<f64>().sqrt()
}

/// Scales gradients down so that their norm is at most `most`.
#[must_use]
pub fn clipped(gradients: ParameterGradients, norm: f64, most: f64) -> ParameterGradients {
    let factor = most / (norm + 1e-6);
    if factor >= 1.0 {
        return gradients;
    }
    gradients.into_iter().map(|gradient| Some(gradient? * factor)).collect()
}

/// An exponential moving average of all parameters and statistics.
#[derive(Debug, Clone)]
pub struct Average {
    /// The averages.
    pub parameters: Parameters,
    /// Updates so far.
    pub updates: u64,
}

/// Limit of the decay, and how many updates it takes to get near it.
const EMA_DECAY: f64 = 0.9999;
const EMA_UPDATES: f64 = 2000.0;

impl Average {
    /// Starts at the parameters.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Self {
        Self { parameters: parameters.clone(), updates: 0 }
    }

    /// Moves towards the parameters.
    pub fn update(&mut self, parameters: &Parameters) {
        self.updates += 1;
        let decay = EMA_DECAY * (1.0 - (-(self.updates as f64) / EMA_UPDATES).exp());
        let moved = |average: &Tensor<1>, value: &Tensor<1>| {
            average.clone().without_autodiff() * decay + value.clone().without_autodiff() * (1.0 - decay)
        };
        // What is frozen keeps its bits.
        let learned = self.parameters.learned.iter_mut().zip(&parameters.learned);
        for (average, learned) in learned.filter(|(_, learned)| !learned.frozen) {
            average.value = moved(&average.value, &learned.value);
        }
        let statistics = self.parameters.statistics.iter_mut().zip(&parameters.statistics);
        for (average, statistics) in statistics.filter(|(_, statistics)| !statistics.frozen) {
            average.mean = moved(&average.mean, &statistics.mean);
            average.variance = moved(&average.variance, &statistics.variance);
        }
    }
}

//! What a training run starts from: random values, or those of a checkpoint as far as they fit.

use burn_tensor::{DType, Device};
use fastrand::Rng;
use thiserror::Error;

use super::kernels::EPSILON;
use super::parameters::Parameters;
use crate::architecture::{Architecture, Parameter};
use crate::checkpoint::{Checkpoint, CheckpointError, ModuleAttributes};
use crate::config::ModelConfig;
use crate::weights::{WeightsError, reconciled_architecture};

/// Why training cannot start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration does not resolve, or does not fit the head of the weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A tensor cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The weights are of an inference model, of another network, or have normalisations that training is not built for.
    #[error("{0}")]
    Unsuitable(String),
}

/// A network ready for training.
#[derive(Debug)]
pub struct Start {
    /// All of it, auxiliary branches included.
    pub architecture: Architecture,
    /// Its configuration, for the classes of the data.
    pub config: ModelConfig,
    /// Its values.
    pub parameters: Parameters,
    /// How many parameters and statistics come from the checkpoint.
    pub copied: usize,
    /// Those that do not, and are initialised at random.
    pub fresh: Vec<String>,
}

impl Start {
    /// The network of `config` for `classes` classes on `device`: what `checkpoint` has of the same name and shape comes
    /// from there; the rest is initialised as the official code does, from `seed`.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn new(
        config: &ModelConfig,
        checkpoint: Option<&Checkpoint>,
        classes: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self, StartError> {
        let mut config = config.clone().with_classes(classes);
        let architecture = match checkpoint {
            Some(checkpoint) => {
                check(checkpoint)?;
                config.activation = checkpoint.common_activation().unwrap_or(config.activation);
                reconciled_architecture(&config, checkpoint, Some(classes))?
            }
            None => Architecture::new(&config).map_err(WeightsError::from)?,
        };
        let initial = Initial::new(&architecture);
        let mut random = Rng::with_seed(seed);
        let (mut copied, mut fresh) = (0, Vec::new());
        let mut parameters =
            Parameters::new(&architecture, device, DType::F32, |parameter| -> Result<_, StartError> {
                // Drawn in any case, so that a value does not depend on what else the checkpoint has.
                let values = initial.values(parameter, &mut random);
                match checkpoint.filter(|checkpoint| checkpoint.shape(&parameter.name) == Some(&parameter.shape)) {
                    Some(checkpoint) => {
                        copied += 1;
                        Ok(checkpoint.read_f32(&parameter.name)?)
                    }
                    None => {
                        fresh.push(parameter.name.clone());
                        Ok(values)
                    }
                }
            })?;
        if let Some(checkpoint) = checkpoint {
            if copied == 0 {
                return Err(StartError::Unsuitable(format!(
                    "none of the {} tensors of weights {} belongs to a parameter of config {}",
                    checkpoint.tensors().len(),
                    checkpoint.name(),
                    config.name
                )));
            }
            add_scope_biases(&mut parameters, &architecture, checkpoint)?;
        }
        Ok(Self { architecture, config, parameters, copied, fresh })
    }
}

/// That the checkpoint is one that training can go on from.
fn check(checkpoint: &Checkpoint) -> Result<(), StartError> {
    let refused = |reason: String| Err(StartError::Unsuitable(format!("weights {}{reason}", checkpoint.name())));
    if !checkpoint.tensors().keys().any(|name| name.ends_with(".running_var")) {
        return refused(
            " are fused: normalisations are folded into convolutions, as for inference; training needs the checkpoint \
             that they were made from"
                .into(),
        );
    }
    for (path, attributes) in checkpoint.modules() {
        match attributes {
            ModuleAttributes::BatchNorm(eps) if (eps - EPSILON).abs() > 1e-9 => {
                return refused(format!(": {path} has the epsilon {eps}; training is built for {EPSILON}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The official scope convolution has no bias; that of a widespread tutorial has.
fn add_scope_biases(
    parameters: &mut Parameters,
    architecture: &Architecture,
    checkpoint: &Checkpoint,
) -> Result<(), CheckpointError> {
    for layer in architecture.steps().iter().filter_map(|step| step.operation.as_dysample()) {
        let name = format!("{}.scope.bias", layer.path);
        let shape = [layer.definition.stored_weight_shape()[0]];
        if layer.definition.dyscope && checkpoint.shape(&name) == Some(&shape) {
            parameters.push(&name, &shape, checkpoint.read_f32(&name)?);
        }
    }
    Ok(())
}

/// The values that the official code gives to new parameters.
struct Initial {
    /// Biases of the head's last convolutions.
    biases: Vec<(String, f32)>,
    /// Prefixes of the names of DySample's parameters.
    dysample: Vec<String>,
    /// Inputs of each output of convolutions with a bias, by their path.
    fan_in: Vec<(String, usize)>,
}

/// Deviation of the offset weights of a new DySample.
const OFFSET_DEVIATION: f64 = 0.001;

impl Initial {
    fn new(architecture: &Architecture) -> Self {
        let head = architecture.head();
        let mut biases = Vec::new();
        for branch in &head.branches {
            for (level, of) in branch.levels.iter().enumerate() {
                // As if there were five objects in an image of 640 pixels.
                let positions = (640.0 / of.stride as f32).powi(2);
                let class = (5.0 / head.classes as f32 / positions).ln();
                biases.push((format!("{}.{level}.2.bias", branch.box_path), 1.0));
                biases.push((format!("{}.{level}.2.bias", branch.class_path), class));
            }
        }
        let steps = architecture.steps().iter();
        let dysample = steps.filter_map(|step| Some(format!("{}.", step.operation.as_dysample()?.path))).collect();
        let parameters = architecture.parameters();
        let weights = parameters.iter().filter(|parameter| parameter.shape.len() == 4);
        let fan_in = weights.filter_map(|parameter| {
            let path = parameter.name.strip_suffix(".weight")?;
            Some((path.to_owned(), parameter.shape[1..].iter().product()))
        });
        Self { biases, dysample, fan_in: fan_in.collect() }
    }

    fn values(&self, parameter: &Parameter, random: &mut Rng) -> Vec<f32> {
        let count = parameter.shape.iter().product();
        let name = parameter.name.as_str();
        let all = |value: f32| vec![value; count];
        if let Some((_, bias)) = self.biases.iter().find(|(bias, _)| bias == name) {
            return all(*bias);
        }
        let is_dysample = self.dysample.iter().any(|path| name.starts_with(path));
        match name.rsplit_once('.') {
            Some((_, "bias")) if is_dysample => all(0.0),
            Some((path, "weight")) if is_dysample && path.ends_with(".scope") => all(0.0),
            Some((_, "weight")) if is_dysample => {
                (0..count).map(|_| (OFFSET_DEVIATION * normal(random)) as f32).collect()
            }
            Some((path, "weight")) if path.ends_with(".bn") => all(1.0),
            Some((path, "bias")) if path.ends_with(".bn") => all(0.0),
            Some((_, "running_var")) => all(1.0),
            Some((_, "running_mean")) => all(0.0),
            // PyTorch's default: Kaiming's uniform distribution with a = √5 is this one.
            Some((path, _)) => {
                let fan_in = self.fan_in.iter().find(|(of, _)| of == path).map_or(1, |(_, fan_in)| *fan_in);
                let limit = 1.0 / (fan_in.max(1) as f32).sqrt();
                (0..count).map(|_| (2.0 * random.f32() - 1.0) * limit).collect()
            }
            None => all(0.0),
        }
    }
}

/// Normally distributed (Box and Muller 1958).
fn normal(random: &mut Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_networks_begin_as_the_official_ones() {
        let config = ModelConfig::builtin("yolov9-t-dysample").unwrap();
        let start = Start::new(&config, None, 3, 1, &Device::flex().autodiff()).unwrap();
        assert_eq!(start.copied, 0);
        let values = start.parameters.values();
        let of = |name: &str| &values.iter().find(|(found, ..)| found == name).unwrap().2;
        assert!(of("model.0.conv.weight").iter().all(|v| v.abs() <= 1.0 / 27f32.sqrt()));
        assert!(of("model.0.conv.weight").iter().any(|v| v.abs() > 0.9 / 27f32.sqrt()));
        assert!(of("model.0.bn.weight").iter().chain(of("model.0.bn.running_var")).all(|v| *v == 1.0));
        let head = start.architecture.head().main();
        assert!(of(&format!("{}.0.2.bias", head.box_path)).iter().all(|v| *v == 1.0));
        let class = of(&format!("{}.1.2.bias", head.class_path));
        assert!(class.len() == 3 && class.iter().all(|v| (v - (5.0f32 / 3.0 / 1600.0).ln()).abs() < 1e-6));
        let offset = values.iter().find(|(name, ..)| name.ends_with(".offset.weight")).unwrap();
        let deviation = (offset.2.iter().map(|v| v * v).sum::<f32>() / offset.2.len() as f32).sqrt();
        assert!((deviation - 0.001).abs() < 1e-4, "{deviation}");
    }

    #[test]
    fn another_number_of_classes_makes_the_last_class_layers_new() {
        let checkpoint = crate::embedded::MODELS[0].checkpoint().unwrap();
        let config = checkpoint.config().unwrap().unwrap();
        let classes = config.classes;
        let device = Device::flex().autodiff();
        let same = Start::new(&config, Some(&checkpoint), classes, 1, &device).unwrap();
        assert_eq!(same.fresh, [""; 0]);
        let other = Start::new(&config, Some(&checkpoint), classes + 1, 1, &device).unwrap();
        assert!(!other.fresh.is_empty());
        let head = other.architecture.head().main();
        assert!(
            other.fresh.iter().all(|name| name.starts_with(&head.class_path) && name.contains(".2.")),
            "{:?}",
            other.fresh
        );
        let fused = crate::weights::fused(&checkpoint, &config).unwrap();
        let refused = Start::new(&config, Some(&fused), classes, 1, &device).unwrap_err().to_string();
        assert!(refused.contains("are fused"), "{refused}");
    }
}

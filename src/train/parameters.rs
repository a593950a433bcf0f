//! What training changes: learned parameters by name, and the running statistics of normalisations.

use std::collections::HashMap;

use burn_tensor::{DType, Device, Tensor, TensorData};

use crate::architecture::{Architecture, Parameter, Role};

/// How the optimiser treats a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Weights of convolutions: the only ones with weight decay.
    Weight,
    /// Scales of normalisations.
    Norm,
    /// Biases.
    Bias,
}

impl Group {
    fn of(name: &str) -> Self {
        if name.ends_with(".bias") {
            Group::Bias
        } else if name.ends_with(".bn.weight") {
            Group::Norm
        } else {
            Group::Weight
        }
    }
}

/// A learned parameter.
#[derive(Debug, Clone)]
pub struct Learned {
    /// Official name, such as `model.0.conv.weight`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row-major, as a leaf of the graph of gradients.
    pub value: Tensor<1>,
    /// How the optimiser treats it.
    pub group: Group,
    /// Whether it stays as it is.
    pub frozen: bool,
}

/// Running mean and variance of a normalisation.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// Path of the normalisation, such as `model.0.bn`.
    pub path: String,
    /// Whether it stays as it is: then it normalises instead of the statistics of the batch.
    pub frozen: bool,
    /// Running mean, per channel.
    pub mean: Tensor<1>,
    /// Running unbiased variance, per channel.
    pub variance: Tensor<1>,
}

/// The numbers of a tensor.
pub(super) fn read(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.to_data_as::<f32>().try_into_vec::<f32>().expect("f32 was asked for")
}

/// All parameters of a network, auxiliary branches included.
#[derive(Debug, Clone)]
pub struct Parameters {
    pub(super) device: Device,
    pub(super) dtype: DType,
    /// In the order of the layers.
    pub learned: Vec<Learned>,
    /// In the order of the layers.
    pub statistics: Vec<Statistics>,
    places: HashMap<String, usize>,
}

/// Tensors of a checkpoint that are computed from the architecture instead of being learned or measured.
pub(super) fn is_constant(parameter: &Parameter) -> bool {
    let constant = [".num_batches_tracked", ".init_pos"].iter().any(|end| parameter.name.ends_with(end));
    // The projection of the DFL is the fixed row 0, 1, … 15.
    constant || parameter.name.contains(".dfl")
}

impl Parameters {
    /// Parameters with the values that `value_of` gives for each name and shape, of learned parameters and of running means
    /// and variances.
    ///
    /// # Errors
    /// The first error of `value_of`.
    ///
    /// # Panics
    /// If it gives another number of values than the shape has.
    pub fn new<E>(
        architecture: &Architecture,
        device: &Device,
        dtype: DType,
        mut value_of: impl FnMut(&Parameter) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let mut parameters =
            Self { device: device.clone(), dtype, learned: Vec::new(), statistics: Vec::new(), places: HashMap::new() };
        for parameter in architecture.parameters() {
            if is_constant(&parameter) {
                continue;
            }
            let values = value_of(&parameter)?;
            assert_eq!(values.len(), parameter.shape.iter().product::<usize>(), "values of {}", parameter.name);
            let value = parameters.tensor(values);
            parameters.add(parameter, value);
        }
        Ok(parameters)
    }

    fn add(&mut self, parameter: Parameter, value: Tensor<1>) {
        let Parameter { name, shape, learned, .. } = parameter;
        if learned {
            self.places.insert(name.clone(), self.learned.len());
            let group = Group::of(&name);
            self.learned.push(Learned { name, shape, value: value.autodiff().require_grad(), group, frozen: false });
        } else if let Some(path) = name.strip_suffix(".running_mean") {
            self.places.insert(path.to_owned(), self.statistics.len());
            let (mean, variance) = (value, self.tensor(Vec::new()));
            self.statistics.push(Statistics { path: path.to_owned(), frozen: false, mean, variance });
        } else if let Some(statistics) = name.strip_suffix(".running_var").and_then(|path| self.places.get(path)) {
            self.statistics[*statistics].variance = value;
        }
    }

    /// Adds a learned parameter that the architecture does not list: DySample's scope has a bias in some checkpoints.
    pub(super) fn push(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        let value = self.tensor(values);
        let parameter = Parameter { name: name.into(), shape: shape.into(), learned: true, role: Role::Main };
        self.add(parameter, value);
    }

    /// Keeps from moving what `is_frozen` says, by the name of a parameter or the path of a normalisation.
    pub fn freeze(&mut self, is_frozen: impl Fn(&str) -> bool) {
        self.learned.iter_mut().for_each(|learned| learned.frozen = is_frozen(&learned.name));
        self.statistics.iter_mut().for_each(|statistics| statistics.frozen = is_frozen(&statistics.path));
    }

    /// Whether anything moves of what lies under this path.
    pub(super) fn learns(&self, path: &str) -> bool {
        let is_under = |name: &str| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        let learned = self.learned.iter().map(|learned| (&learned.name, learned.frozen));
        let statistics = self.statistics.iter().map(|statistics| (&statistics.path, statistics.frozen));
        learned.chain(statistics).any(|(name, frozen)| !frozen && is_under(name))
    }

    /// Values on the device, without gradients.
    pub(super) fn tensor(&self, values: Vec<f32>) -> Tensor<1> {
        let data = TensorData::new(values.clone(), [values.len()]);
        Tensor::from_data(data, (&self.device.clone().without_autodiff(), self.dtype))
    }

    /// The place of a learned parameter, or of a normalisation's statistics, in its list.
    pub(super) fn place(&self, name: &str) -> usize {
        *self.places.get(name).unwrap_or_else(|| panic!("the architecture has no parameter {name}"))
    }

    /// A learned parameter in its shape.
    pub(super) fn shaped<const D: usize>(&self, name: &str) -> Tensor<D> {
        let learned = &self.learned[self.place(name)];
        let shape: [usize; D] = learned.shape.as_slice().try_into().expect("the rank of the parameter");
        self.leaf(learned).reshape(shape)
    }

    /// As [`Parameters::shaped`], if there is such a parameter.
    pub(super) fn vector(&self, name: &str) -> Option<Tensor<1>> {
        self.places.get(name).map(|place| self.leaf(&self.learned[*place]))
    }

    fn leaf(&self, learned: &Learned) -> Tensor<1> {
        if learned.frozen { learned.value.clone().detach() } else { learned.value.clone() }
    }

    /// All tensors by name, with shape, in f32: learned parameters, then running statistics.
    ///
    /// # Panics
    /// Never: every kind of number can be read as f32.
    #[must_use]
    pub fn values(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let learned = self.learned.iter().map(|l| (l.name.clone(), l.shape.clone(), read(&l.value)));
        let statistics = self.statistics.iter().flat_map(|s| {
            let (mean, variance) = (read(&s.mean), read(&s.variance));
            [
                (format!("{}.running_mean", s.path), vec![mean.len()], mean),
                (format!("{}.running_var", s.path), vec![variance.len()], variance),
            ]
        });
        learned.chain(statistics).collect()
    }
}

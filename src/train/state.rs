//! A run as a file: everything that decides about the rest of it. Written and read back, a run goes on to the bit.

use std::collections::BTreeMap;

use burn_tensor::{Device, Tensor};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::optimiser::{Average, Moments, Optimiser};
use super::parameters::{Learned, read};
use super::schedule::Schedule;
use super::start::{Start, StartError};
use super::trainer::{Progress, Trainer, stored_config};
use crate::checkpoint::{Checkpoint, with_sorted_metadata};
use crate::config::ConfigError;

/// What the file says that it is.
const FORMAT: &str = "yolo9-training";
/// Grows with every change of what is in it.
const VERSION: u32 = 1;

/// Why a state cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StateError {
    /// It is no such file, or a damaged one.
    #[error("{file}: not the state of a training run that yolo9 {} can continue: {reason}", env!("CARGO_PKG_VERSION"))]
    Content {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Its config is damaged.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its weights do not fit its config.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// The part of a state that is not tensors.
#[derive(Debug, Serialize, Deserialize)]
struct StateHead {
    version: u32,
    class_names: Vec<String>,
    config: String,
    progress: Progress,
    /// Steps of the optimiser.
    steps: u64,
    /// Updates of the average.
    updates: u64,
    /// Frozen parameters and normalisations.
    frozen: Vec<String>,
}

/// A state that was read: what it holds beside tensors is known before the network is built.
#[derive(Debug)]
pub struct State {
    file: String,
    head: StateHead,
    /// What the caller stored.
    pub settings: String,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

/// Kinds of tensors in the file, before a dot and the name.
const PARAMETER: &str = "parameter";
const AVERAGE: &str = "average";
const FIRST: &str = "first";
const SECOND: &str = "second";
const GRADIENT: &str = "gradient";

impl Trainer {
    /// The bytes of the run's state; `settings` is what else the caller wants to find in it.
    ///
    /// # Panics
    /// Never: names are unique and shapes those of the tensors.
    #[must_use]
    pub fn state(&self, settings: &str) -> Vec<u8> {
        let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
        for (kind, parameters) in [(PARAMETER, &self.parameters), (AVERAGE, &self.average.parameters)] {
            let values = parameters.values().into_iter();
            tensors.extend(values.map(|(name, shape, values)| (format!("{kind}.{name}"), shape, values)));
        }
        let mut add = |kind: &str, learned: &Learned, tensor: Option<&Tensor<1>>| {
            tensors
                .extend(tensor.map(|tensor| (format!("{kind}.{}", learned.name), learned.shape.clone(), read(tensor))));
        };
        for (place, learned) in self.parameters.learned.iter().enumerate() {
            let moments = self.optimiser.moments[place].as_ref();
            add(FIRST, learned, moments.map(|moments| &moments.first));
            add(SECOND, learned, moments.and_then(|moments| moments.second.as_ref()));
            add(GRADIENT, learned, self.gradients.as_ref().and_then(|gradients| gradients[place].as_ref()));
        }
        let frozen =
            self.parameters.learned.iter().filter(|learned| learned.frozen).map(|learned| learned.name.clone());
        let fixed = self.parameters.statistics.iter().filter(|of| of.frozen).map(|of| of.path.clone());
        let head = StateHead {
            version: VERSION,
            class_names: self.class_names.clone(),
            config: stored_config(&self.config),
            progress: self.progress.clone(),
            steps: self.optimiser.steps,
            updates: self.average.updates,
            frozen: frozen.chain(fixed).collect(),
        };
        let metadata = [
            ("format", FORMAT.to_owned()),
            ("state", serde_json::to_string(&head).expect("plain data")),
            ("settings", settings.to_owned()),
        ];
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let views = tensors.iter().map(|(name, shape, values)| {
            let bytes = bytemuck::cast_slice(values);
            (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("values of that shape"))
        });
        with_sorted_metadata(&safetensors::serialize(views, Some(metadata)).expect("names are unique"))
    }
}

impl State {
    /// Reads a file's bytes; `file` is what messages call it.
    ///
    /// # Errors
    /// [`StateError::Content`].
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, StateError> {
        let wrong = |reason: String| StateError::Content { file: file.into(), reason };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| wrong(error.to_string()))?;
        let fields = header.metadata().clone().unwrap_or_default();
        let field = |key: &str| fields.get(key).ok_or_else(|| wrong(format!("it has no `{key}`")));
        if field("format")? != FORMAT {
            return Err(wrong("it is a model, not a state".into()));
        }
        let head: StateHead = serde_json::from_str(field("state")?).map_err(|error| wrong(error.to_string()))?;
        if head.version != VERSION {
            return Err(wrong(format!("it is of version {}, not {VERSION}", head.version)));
        }
        let file_tensors = SafeTensors::deserialize(bytes).map_err(|error| wrong(error.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file_tensors.tensors() {
            if view.dtype() != Dtype::F32 {
                return Err(wrong(format!("tensor {name} is {:?}, not F32", view.dtype())));
            }
            let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            tensors.insert(name, (view.shape().to_vec(), values.collect()));
        }
        Ok(Self { file: file.into(), head, settings: field("settings")?.clone(), tensors })
    }

    /// Names of the classes.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.head.class_names
    }

    /// How far the run has come.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.head.progress
    }

    /// The run, as it was when the state was written.
    ///
    /// # Errors
    /// [`StateError`] when tensors are missing or do not fit the config.
    pub fn resume(self, schedule: Schedule, device: &Device) -> Result<Trainer, StateError> {
        let Self { file, head, tensors, .. } = self;
        let wrong = |reason: String| StateError::Content { file: file.clone(), reason };
        let mut stored = Checkpoint::new(&file, head.config, head.class_names.clone());
        for (name, (shape, values)) in &tensors {
            if let Some(name) = name.strip_prefix(PARAMETER).and_then(|name| name.strip_prefix('.')) {
                stored.insert_f32(name, shape, values);
            }
        }
        let config = stored.config()?.ok_or_else(|| wrong("it has no config".into()))?;
        let mut start = Start::new(&config, Some(&stored), head.class_names.len(), 0, device)?;
        if let Some(name) = start.fresh.first() {
            return Err(wrong(format!("{PARAMETER}.{name} is missing")));
        }
        start.parameters.freeze(|name| head.frozen.iter().any(|frozen| frozen == name));
        let parameters = &start.parameters;
        let tensor = |kind: &str, name: &str, length: usize| match tensors.get(&format!("{kind}.{name}")) {
            Some((_, values)) if values.len() == length => Ok(Some(parameters.tensor(values.clone()))),
            Some(_) => Err(wrong(format!("{kind}.{name} has another length"))),
            None => Ok(None),
        };
        let needed = |kind: &str, name: &str, length: usize| {
            tensor(kind, name, length)?.ok_or_else(|| wrong(format!("{kind}.{name} is missing")))
        };
        let mut average = Average::new(parameters);
        average.updates = head.updates;
        for learned in &mut average.parameters.learned {
            learned.value = needed(AVERAGE, &learned.name, learned.shape.iter().product())?;
        }
        for statistics in &mut average.parameters.statistics {
            let channels = statistics.mean.dims()[0];
            statistics.mean = needed(AVERAGE, &format!("{}.running_mean", statistics.path), channels)?;
            statistics.variance = needed(AVERAGE, &format!("{}.running_var", statistics.path), channels)?;
        }
        let mut optimiser = Optimiser::new(schedule.rule, parameters);
        optimiser.steps = head.steps;
        let mut gradients = Vec::with_capacity(parameters.learned.len());
        for (place, learned) in parameters.learned.iter().enumerate() {
            let length = learned.shape.iter().product();
            let of = |kind: &str| tensor(kind, &learned.name, length);
            let second = of(SECOND)?;
            optimiser.moments[place] = of(FIRST)?.map(|first| Moments { first, second });
            gradients.push(of(GRADIENT)?);
        }
        let gradients = gradients.iter().any(Option::is_some).then_some(gradients);
        let mut trainer = Trainer::new(start, head.class_names, schedule);
        (trainer.average, trainer.optimiser, trainer.gradients) = (average, optimiser, gradients);
        trainer.progress = head.progress;
        Ok(trainer)
    }
}

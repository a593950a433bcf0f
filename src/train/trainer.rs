//! A training run: batches in, weights out, and all of it in a file at any time.

use burn_tensor::Tensor;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::data::Batch;
use super::front::FrozenFront;
use super::loss::{LossItems, RawMaps, loss};
use super::network::{Forward, forward, forward_from, images_tensor};
use super::optimiser::{Average, Optimiser, ParameterGradients, clipped, gradient_norm};
use super::parameters::{Parameters, is_constant};
use super::schedule::Schedule;
use super::start::Start;
use crate::architecture::{Architecture, REG_MAX};
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::dysample::init_pos;

/// Largest norm of all gradients together.
const LARGEST_NORM: f64 = 10.0;

/// Why a run cannot go on, in words: numbers left the range of f32, or became NaN.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct TrainError(String);

/// What is known after an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// Means over the images of the epoch.
    pub loss: LossItems,
    /// Of its last step.
    pub learning_rate: f64,
    /// Scores on the validation split, if it was validated.
    pub scores: Option<EpochScores>,
}

/// Scores on the validation split, 0 to 1, by the rules of the official `val.py`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochScores {
    /// Precision where F1 is best.
    pub precision: f64,
    /// Recall there.
    pub recall: f64,
    /// Mean average precision at IoU 0.5.
    pub map50: f64,
    /// Over IoU 0.5 to 0.95.
    pub map: f64,
}

impl EpochScores {
    /// What decides which epoch is best.
    fn fitness(&self) -> f64 {
        0.1 * self.map50 + 0.9 * self.map
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Epoch that is under way, from 0.
    pub epoch: usize,
    /// Batches of it that are done.
    pub batch: usize,
    /// Batches of the run that were done at the last step of the optimiser.
    stepped: usize,
    /// Sums over the images of the epoch so far.
    sums: LossItems,
    /// Images of the epoch so far.
    images: usize,
    /// Epochs that are done.
    pub history: Vec<EpochRecord>,
}

impl Progress {
    /// The best epoch so far; the earlier one of two that are equally good.
    #[must_use]
    pub fn best(&self) -> Option<&EpochRecord> {
        let fitness = |record: &EpochRecord| record.scores.map_or(f64::NEG_INFINITY, |scores| scores.fitness());
        let scored = self.history.iter().filter(|record| record.scores.is_some());
        scored.reduce(|best, record| if fitness(record) > fitness(best) { record } else { best })
    }

    /// Mean loss of the epoch so far.
    fn mean_loss(&self) -> LossItems {
        let mut mean = LossItems::default();
        mean.add(self.sums, 1.0 / self.images.max(1) as f64);
        mean
    }
}

/// A network that learns.
#[derive(Debug)]
pub struct Trainer {
    pub(super) architecture: Architecture,
    pub(super) config: ModelConfig,
    pub(super) class_names: Vec<String>,
    pub(super) parameters: Parameters,
    pub(super) average: Average,
    pub(super) optimiser: Optimiser,
    /// Sums since the last step.
    pub(super) gradients: Option<ParameterGradients>,
    pub(super) schedule: Schedule,
    pub(super) progress: Progress,
    pub(super) front: Option<FrozenFront>,
}

impl Trainer {
    /// At the beginning. What is frozen stays as it is.
    ///
    /// # Panics
    /// If there is not one name for each class.
    #[must_use]
    pub fn new(start: Start, class_names: Vec<String>, schedule: Schedule) -> Self {
        let Start { architecture, config, parameters, .. } = start;
        assert_eq!(class_names.len(), architecture.head().classes, "one name for each class");
        Self {
            average: Average::new(&parameters),
            optimiser: Optimiser::new(schedule.rule, &parameters),
            gradients: None,
            front: None,
            progress: Progress::default(),
            architecture,
            config,
            class_names,
            parameters,
            schedule,
        }
    }

    /// How far the run has come.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Keeps the feature maps of the frozen layers before the first one that learns, of images that come unchanged, up to
    /// `bytes`: the same weights, sooner. Gives the number of these layers.
    pub fn keep_features(&mut self, bytes: usize) -> usize {
        let front = FrozenFront::new(&self.architecture, &self.parameters, bytes);
        let layers = self.architecture.steps().get(front.steps).map_or(0, |step| step.layer);
        self.front = Some(front).filter(|front| front.steps > 0);
        layers
    }

    /// Learns from the next batch. Gives the loss of the batch.
    ///
    /// # Errors
    /// [`TrainError`]; the state is then worth nothing.
    pub fn learn(&mut self, batch: &Batch) -> Result<LossItems, TrainError> {
        let (items, gradients) = self.gradients_of(batch)?;
        let images = batch.targets.len();
        self.progress.sums.add(items, images as f64);
        self.progress.images += images;
        let sum = |(sum, new): (Option<Tensor<1>>, Option<Tensor<1>>)| match (sum, new) {
            (Some(sum), Some(new)) => Some(sum + new),
            (sum, new) => sum.or(new),
        };
        let summed: ParameterGradients = match self.gradients.take() {
            Some(earlier) => earlier.into_iter().zip(gradients).map(sum).collect(),
            None => gradients,
        };
        let number = self.progress.epoch * self.schedule.batches + self.progress.batch;
        self.progress.batch += 1;
        if number + 1 - self.progress.stepped < self.schedule.accumulate(number) {
            self.gradients = Some(summed);
            return Ok(items);
        }
        let norm = gradient_norm(&summed);
        if !norm.is_finite() {
            return Err(self.not_finite("gradient", batch));
        }
        let settings = self.schedule.settings(number);
        self.optimiser.step(&mut self.parameters, clipped(summed, norm, LARGEST_NORM), &settings);
        self.average.update(&self.parameters);
        self.progress.stepped = number + 1;
        Ok(items)
    }

    fn gradients_of(&mut self, batch: &Batch) -> Result<(LossItems, ParameterGradients), TrainError> {
        let mut pass = self.forward(batch);
        let raw: Vec<RawMaps> = pass.branches.iter().map(|levels| RawMaps::read(levels)).collect();
        let mut loss = loss(&raw, &batch.targets, &self.schedule.hyperparameters);
        if !loss.items.total().is_finite() {
            return Err(self.not_finite("loss", batch));
        }
        pass.update_statistics(&mut self.parameters);
        let branches = std::mem::take(&mut pass.branches);
        let gradients = std::mem::take(&mut loss.gradients);
        let products = branches.into_iter().zip(gradients).map(|(levels, gradient)| gradient.dot(levels));
        let optimised = products.reduce(|a, b| a + b).expect("a head has branches");
        let mut gradients = optimised.backward();
        let learned = self.parameters.learned.iter();
        let of = learned.map(|l| if l.frozen { None } else { l.value.grad_remove(&mut gradients) });
        Ok((loss.items, of.collect()))
    }

    fn forward(&mut self, batch: &Batch) -> Forward {
        let Self { architecture, parameters, front, .. } = self;
        let [_, channels, height, width] = batch.shape;
        let (Some(front), Some(images)) = (front, &batch.unchanged) else {
            let images = images_tensor(parameters, &batch.images, batch.shape);
            return forward(architecture, parameters, images);
        };
        let pixels = |places: &[usize]| {
            let of_image = |place: &usize| batch.images.chunks_exact(channels * height * width).nth(*place);
            let chosen: Vec<&[u8]> = places.iter().filter_map(of_image).collect();
            images_tensor(parameters, &chosen.concat(), [places.len(), channels, height, width])
        };
        let maps = front.maps((architecture, parameters), images, pixels);
        forward_from(architecture, parameters, front.steps, maps)
    }

    /// `what` is loss or gradient.
    fn not_finite(&self, what: &str, batch: &Batch) -> TrainError {
        let images: Vec<String> = batch.sources.iter().map(|path| path.display().to_string()).collect();
        TrainError(format!(
            "the {what} of batch {} of epoch {} is not a finite number; images: {}. A lower learning rate or a longer \
             warm-up may help; the last saved state is from before this batch",
            self.progress.batch + 1,
            self.progress.epoch + 1,
            images.join(", ")
        ))
    }

    /// Ends the epoch with its scores, if it was validated. True if it is the best so far.
    pub fn end_epoch(&mut self, scores: Option<EpochScores>) -> bool {
        let last = (self.progress.epoch * self.schedule.batches + self.progress.batch).saturating_sub(1);
        let record = EpochRecord {
            epoch: self.progress.epoch + 1,
            loss: self.progress.mean_loss(),
            learning_rate: self.schedule.settings(last).learning_rate,
            scores,
        };
        self.progress.history.push(record);
        self.progress.epoch += 1;
        self.progress.batch = 0;
        (self.progress.sums, self.progress.images) = (LossItems::default(), 0);
        self.progress.best().map(|best| best.epoch) == Some(record.epoch)
    }

    /// The averaged weights as a checkpoint under official names, with everything that the official code's strict loader
    /// asks for.
    #[must_use]
    pub fn averaged(&self, name: &str) -> Checkpoint {
        let mut checkpoint = Checkpoint::new(name, stored_config(&self.config), self.class_names.clone());
        for (name, shape, values) in self.average.parameters.values() {
            checkpoint.insert_f32(&name, &shape, &values);
        }
        let bins: Vec<f32> = (0..REG_MAX).map(|bin| bin as f32).collect();
        for parameter in self.architecture.parameters().iter().filter(|parameter| is_constant(parameter)) {
            if parameter.name.ends_with(".num_batches_tracked") {
                let done = self.progress.epoch * self.schedule.batches + self.progress.batch;
                checkpoint.insert_i64(&parameter.name, i64::try_from(done).unwrap_or(i64::MAX));
            } else if !parameter.name.ends_with(".init_pos") {
                checkpoint.insert_f32(&parameter.name, &parameter.shape, &bins);
            }
        }
        for layer in self.architecture.steps().iter().filter_map(|step| step.operation.as_dysample()) {
            let shape = [1, layer.definition.offset_channels(), 1, 1];
            checkpoint.insert_f32(&format!("{}.init_pos", layer.path), &shape, &init_pos(&layer.definition));
        }
        let strides: Vec<String> =
            self.architecture.head().main().levels.iter().map(|l| l.stride.to_string()).collect();
        checkpoint.set_metadata("stride", &strides.join(","));
        checkpoint
    }
}

/// The text of a config as it is stored with weights. One that says another activation than these were trained with would
/// mislead.
pub(super) fn stored_config(config: &ModelConfig) -> String {
    match ModelConfig::from_yaml(&config.name, &config.source) {
        Ok(stored) if stored.activation == config.activation => config.source_with_classes(config.classes),
        _ => config.to_yaml(),
    }
}

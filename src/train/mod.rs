//! Training: from a config or checkpoint and a labelled dataset to weights, as the official code does it.
//!
//! Feature `train`. The network is a third reading of the architecture's steps, after shapes and the ONNX graph
//! ([`forward`]); gradients are burn's, with operations of our own on the CPU where that saves passes over memory.

mod activation;
mod data;
mod device;
mod front;
mod hyperparameters;
mod kernels;
mod loss;
mod network;
mod operations;
mod optimiser;
mod parameters;
mod schedule;
mod start;
mod state;
mod trainer;

pub use burn_tensor::Device;
pub use data::{Augmentation, Batch, Plan, Sample, TrainingSet, UnusedImage};
pub use device::{DeviceError, open_device};
pub use hyperparameters::{HyperparameterError, Hyperparameters};
pub use loss::{Loss, LossItems, Positive, RawMaps, Target, loss};
pub use network::{Forward, LevelMaps, forward, images_tensor};
pub use operations::{OffsetTensors, dysample};
pub use optimiser::{Average, Moments, Optimiser, ParameterGradients, Rule, StepSettings, clipped, gradient_norm};
pub use parameters::{Group, Learned, Parameters, Statistics};
pub use schedule::{Decay, Schedule};
pub use start::{Start, StartError};
pub use state::{State, StateError};
pub use trainer::{EpochRecord, EpochScores, Progress, TrainError, Trainer};

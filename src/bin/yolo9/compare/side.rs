//! One side of a comparison.

use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, json};
use yolo9::architecture::{Form, LayerSummary};
use yolo9::detect::{DetectorOptions, Engine};
use yolo9::model::{ModelContent, ModelFile, Network};
use yolo9::runtime::{OrtBackend, Runtime};
use yolo9::weights::{OffsetState, offset_states};

use crate::cli::{CompareArgs, Globals, SideArg};
use crate::devices::Execution;
use crate::model::{is_config, load_or_random};
use crate::weights::{file_bytes, open_file};
use crate::{memory, options};

/// A model that is ready, and what can be said of it.
pub(super) struct Side {
    pub(super) name: String,
    pub(super) class_names: Vec<String>,
    /// Whether it has weights that mean something.
    pub(super) has_weights: bool,
    pub(super) execution: Execution,
    pub(super) size: ModelSize,
    /// Size of its input.
    pub(super) input: yolo9::Size,
    /// Its layers, where they are known.
    pub(super) layers: Option<Vec<LayerSummary>>,
    /// What a reader should know before the numbers.
    pub(super) notes: Vec<String>,
}

/// Sizes; nothing where they are not known.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct ModelSize {
    pub(super) parameters: Option<u64>,
    pub(super) gflops: Option<f64>,
    pub(super) file_bytes: Option<u64>,
    /// Most memory of a process that opens it and runs it once.
    pub(super) memory_bytes: Option<u64>,
}

impl Side {
    pub(super) fn json(&self) -> Value {
        json!({ "model": self.name, "notes": self.notes, "execution": self.execution.json(), "size": self.size })
    }

    /// Opens it, and runs it once.
    pub(super) fn open(
        arg: &SideArg,
        args: &CompareArgs,
        runtime: &Runtime,
        globals: &Globals,
    ) -> anyhow::Result<(Self, Engine<OrtBackend>)> {
        let (options, input) = (arg.runtime(&args.runtime), arg.input(&args.input));
        let has_weights = !is_config(&arg.model.weights);
        let model = load_or_random(&arg.model, globals)?;
        let letterbox = options::letterbox(&input, &model)?;
        let mut size =
            ModelSize { memory_bytes: memory::of_model(&arg.model, &options, &input, globals), ..ModelSize::default() };
        let (mut notes, mut layers) = (Vec::new(), None);
        if let ModelContent::Network(network) = model.content() {
            let cost = network.architecture.cost(letterbox.target, Form::Deployed).context("cost of the network")?;
            size.parameters = Some(cost.parameters);
            size.gflops = Some(cost.gflops());
            layers = Some(network.architecture.summary(letterbox.target)?);
            if has_weights {
                notes = dysample_notes(arg, network, globals)?;
            }
        }
        if has_weights {
            size.file_bytes = Some(file_bytes(&arg.model.weights, globals)?);
        } else {
            notes.push("a config without weights: compared in size and time only".into());
        }
        let class_names = model.class_names().to_vec();
        let backend = model.into_sessions(runtime, &options::compared_session(&options), 1)?.remove(0);
        let execution = Execution::of(&backend, runtime);
        let postprocess = options::preset(&input).postprocess();
        let mut engine = Engine::new(backend, DetectorOptions::new(letterbox, postprocess));
        let grey = image::RgbImage::new(letterbox.target.width as u32, letterbox.target.height as u32);
        engine.detect(&grey)?;
        let name = arg.text.clone();
        let side = Self { name, class_names, has_weights, execution, size, input: letterbox.target, layers, notes };
        Ok((side, engine))
    }
}

/// Whether its DySample modules compute something of their own.
fn dysample_notes(arg: &SideArg, network: &Network, globals: &Globals) -> anyhow::Result<Vec<String>> {
    let ModelFile::Checkpoint(checkpoint) = open_file(&arg.model.weights, globals)? else { return Ok(Vec::new()) };
    let states = offset_states(&network.architecture, &checkpoint)?;
    let layers = |wanted: fn(&OffsetState) -> bool| -> Vec<String> {
        states.iter().filter(|(_, state)| wanted(state)).map(|(layer, _)| layer.to_string()).collect()
    };
    let (zero, initial) = (layers(|state| *state == OffsetState::Zero), layers(|state| *state == OffsetState::Initial));
    let mut notes = Vec::new();
    if !zero.is_empty() {
        notes.push(format!(
            "its DySample is not trained (layers {}): all offset weights are zero, as after initialisation from nearest, so it samples the same \
             points in every image, like a fixed upsampler",
            zero.join(", ")
        ));
    }
    if !initial.is_empty() {
        notes.push(format!(
            "its DySample is not trained (layers {}): offset weights are as they were initialised",
            initial.join(", ")
        ));
    }
    Ok(notes)
}

//! One side of a comparison.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use yolo9::architecture::Form;
use yolo9::detect::{Detector, Preset, Settings};
use yolo9::runtime::{DySampleBackend, Runtime, SessionOptions};
use yolo9::weights::{OffsetState, offset_states};
use yolo9::{ModelFile, Network, Size};

use crate::args::{Globals, ModelArgs, parse_size};
use crate::engine::AnyDetector;
use crate::model::{Loaded, is_config, load_or_random};
use crate::val::evaluation_fit;
use crate::weights::{Place, locate, open_file};

/// What was typed: a model or config, then options of its own: `best.pt,config=my.yaml,imgsz=320,dysample=onnx`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SideArg {
    text: String,
    model: ModelArgs,
    imgsz: Option<Size>,
    dysample: Option<DySampleBackend>,
}

impl SideArg {
    /// The files that it names.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.model.files()
    }

    /// As it was typed.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl std::str::FromStr for SideArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let weights = parts.next().unwrap_or_default().to_owned();
        let mut side = Self {
            text: text.into(),
            model: ModelArgs { weights, config: None, names: None },
            imgsz: None,
            dysample: None,
        };
        for part in parts {
            match part.split_once('=') {
                Some(("config", value)) => side.model.config = Some(value.into()),
                Some(("names", value)) => side.model.names = Some(value.into()),
                Some(("imgsz", value)) => side.imgsz = Some(parse_size(value)?),
                Some(("dysample", "native")) => side.dysample = Some(DySampleBackend::Native),
                Some(("dysample", "onnx")) => side.dysample = Some(DySampleBackend::Onnx),
                _ => {
                    return Err(format!(
                        "`{part}` is no option of a side; expected config=FILE, names=FILE, imgsz=SIZE, dysample=native or \
                         dysample=onnx"
                    ));
                }
            }
        }
        Ok(side)
    }
}

/// A model that is ready, and what can be said of it.
pub(super) struct Side {
    pub(super) name: String,
    pub(super) detector: AnyDetector,
    pub(super) class_names: Vec<String>,
    /// Whether it has weights that mean something.
    pub(super) has_weights: bool,
    pub(super) facts: Facts,
    /// What a reader should know before the numbers.
    pub(super) notes: Vec<String>,
}

/// Sizes; nothing where they are not known.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) parameters: Option<u64>,
    pub(super) gflops: Option<f64>,
    pub(super) file_bytes: Option<u64>,
    /// Most memory of a process that opens it and runs it once.
    pub(super) memory_bytes: Option<u64>,
}

impl Facts {
    pub(super) fn json(&self) -> Value {
        json!({
            "parameters": self.parameters,
            "gflops": self.gflops,
            "file_bytes": self.file_bytes,
            "memory_bytes": self.memory_bytes,
        })
    }
}

/// What all sides have in common.
pub(super) struct Common<'a> {
    pub(super) globals: &'a Globals,
    pub(super) runtime: &'a Runtime,
    pub(super) session: SessionOptions,
    pub(super) imgsz: Option<Size>,
    pub(super) preset: Preset,
}

impl Side {
    pub(super) fn open(arg: &SideArg, common: &Common<'_>) -> anyhow::Result<Self> {
        let has_weights = !is_config(&arg.model.weights);
        let loaded = load_or_random(&arg.model, common.globals)?;
        let fit = evaluation_fit(&loaded, arg.imgsz.or(common.imgsz), false);
        let mut facts = Facts::default();
        let mut notes = Vec::new();
        if let Loaded::Network(network) = &loaded {
            let cost = network.architecture.cost(fit.target, Form::Deployed).context("cost of the network")?;
            facts.parameters = Some(cost.parameters);
            facts.gflops = Some(cost.gflops());
            if has_weights {
                notes = dysample_notes(arg, network, common.globals)?;
            }
        }
        if has_weights {
            facts.file_bytes = Some(match locate(&arg.model.weights, common.globals)? {
                Place::Embedded(model) => model.bytes.len() as u64,
                Place::File(path) => std::fs::metadata(path)?.len(),
            });
        } else {
            notes.push("a config without weights: compared in size and time only".into());
        }
        let class_names = loaded.class_names().to_vec();
        let dysample = arg.dysample.unwrap_or(common.session.dysample);
        let session = SessionOptions { dysample, spinning: false, ..common.session.clone() };
        let model = loaded.into_models(common.runtime, &session, 1)?.remove(0);
        let settings = Settings { fit, thresholds: common.preset.thresholds() };
        let mut detector = Detector::new(model, settings);
        let grey = image::RgbImage::new(fit.target.width as u32, fit.target.height as u32);
        detector.detect(&grey)?;
        Ok(Self { name: arg.text.clone(), detector, class_names, has_weights, facts, notes })
    }
}

/// Whether its DySample modules compute something of their own.
fn dysample_notes(arg: &SideArg, network: &Network, globals: &Globals) -> anyhow::Result<Vec<String>> {
    let ModelFile::Checkpoint(checkpoint) = open_file(&arg.model.weights, globals)? else { return Ok(Vec::new()) };
    let states = offset_states(&network.architecture, &checkpoint)?;
    let rows = |wanted: fn(&OffsetState) -> bool| -> Vec<String> {
        states.iter().filter(|(_, state)| wanted(state)).map(|(row, _)| row.to_string()).collect()
    };
    let (zero, initial) = (rows(|state| *state == OffsetState::Zero), rows(|state| *state == OffsetState::Initial));
    let mut notes = Vec::new();
    if !zero.is_empty() {
        notes.push(format!(
            "its DySample is not trained (rows {}): all offset weights are zero, as after lifting, so it samples the same \
             points in every picture, like a fixed upsampler",
            zero.join(", ")
        ));
    }
    if !initial.is_empty() {
        notes.push(format!(
            "its DySample is not trained (rows {}): offset weights are as they were initialised",
            initial.join(", ")
        ));
    }
    Ok(notes)
}

/// Most memory that this process had in RAM, where the system says it (Linux).
pub(super) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_have_options_of_their_own() {
        let side: SideArg = "best.pt,config=my.yaml,imgsz=320,dysample=onnx".parse().unwrap();
        assert_eq!((side.model.weights.as_str(), side.model.config.as_deref()), ("best.pt", Some("my.yaml")));
        assert_eq!((side.imgsz, side.dysample), (Some(Size::square(320)), Some(DySampleBackend::Onnx)));
        assert_eq!("a".parse::<SideArg>().unwrap().imgsz, None);
        for wrong in ["a,b", "a,dysample=fast", "a,imgsz=x"] {
            assert!(wrong.parse::<SideArg>().is_err(), "{wrong}");
        }
    }
}

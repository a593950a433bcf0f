//! Exported detectors: what an `.onnx` file expects and gives, and what it says about itself.
//!
//! Known heads: `[B, 4 + nc, N]` of the official export, of Ultralytics and of ours; `[B, n, 6]` rows of Ultralytics
//! with suppression; and the `boxes`, `scores`, `classes` of ours with suppression.

use std::collections::{BTreeMap, HashSet};

use prost::Message;

use super::error::{OnnxFileError, OnnxProblem, damaged};
use super::header::{GraphHeader, ModelHeader};
use super::literal;
use super::scan;
use super::signature::{Tensor, head, input};
use crate::untrusted::printable;

/// The file format's own limit.
const MAX_LENGTH: usize = 2 << 30;
/// Strides of a YOLOv9 head, where the metadata (`strides`) do not say otherwise.
const STRIDES: [usize; 3] = [8, 16, 32];
/// What a few bytes could make us allocate: images of a run, an image's side, numbers of an input, classes.
const MAX_BATCH: usize = 1024;
const MAX_SIDE: usize = 16_384;
const MAX_NUMBERS: usize = 1 << 29;
const MAX_CLASSES: usize = 100_000;
/// A size that the metadata recommend and nobody asked for.
const MAX_PREFERRED_SIDE: usize = 4096;

/// What a model reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnnxInput {
    /// Number of images of a run, where it is fixed.
    pub batch: Option<usize>,
    /// Height of an image, where it is fixed.
    pub height: Option<usize>,
    /// Width of an image, where it is fixed.
    pub width: Option<usize>,
}

/// The outputs that hold detections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnnxHead {
    /// `[B, 4 + nc, N]`: centre, size and class probabilities of every anchor point.
    Dense {
        /// The output.
        output: String,
        /// Number of classes, where the shape shows it.
        classes: Option<usize>,
    },
    /// The output `[B, n, 6]`: x1, y1, x2, y2, score, class, already suppressed.
    Rows(String),
    /// `[B, n, 4]`, `[B, n]` and `[B, n]`, already suppressed.
    Lists {
        /// Corners.
        boxes: String,
        /// Scores; 0 where there is no further detection.
        scores: String,
        /// Class ids.
        classes: String,
    },
}

/// An exported detector.
#[derive(Debug, Clone)]
pub struct OnnxFile {
    /// What messages call it.
    pub name: String,
    /// The whole file.
    pub bytes: Vec<u8>,
    /// What it reads.
    pub input: OnnxInput,
    /// What it gives.
    pub head: OnnxHead,
    /// Input pixels per anchor point of each level.
    pub strides: Vec<usize>,
    /// Outputs of the same form that are not used: the auxiliary branch of an unconverted model.
    pub unused: Vec<String>,
    /// Its own notes.
    pub metadata: BTreeMap<String, String>,
    /// Version of the standard operators.
    pub opset: Option<i64>,
    /// Who wrote it.
    pub producer: String,
    /// How often each operator is used.
    pub operators: BTreeMap<String, usize>,
    /// All inputs and outputs, in words.
    pub signature: Vec<String>,
}

/// Whether bytes are an ONNX file: they begin with its version, and the rest can be read as its messages.
#[must_use]
pub fn looks_like_onnx(bytes: &[u8]) -> bool {
    // ir_version is the first field that every exporter writes.
    bytes.first() == Some(&0x08) && bytes.get(1).is_some_and(|version| (1..=64).contains(version))
}

impl OnnxFile {
    /// Reads a file that is in memory. `name` is what messages call it.
    ///
    /// # Errors
    /// [`OnnxFileError`] names the file and what is wrong: damage, other inputs or outputs than those of a YOLOv9
    /// detector, another task, weights outside of the file.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, OnnxFileError> {
        Self::read(name, bytes).map_err(|problem| OnnxFileError { file: name.into(), problem })
    }

    fn read(name: &str, bytes: Vec<u8>) -> Result<Self, OnnxProblem> {
        let header = decode(&bytes)?;
        let graph = header.graph.as_ref().ok_or_else(|| damaged("it has no graph"))?;
        let entries = header.metadata_props.iter();
        let metadata: BTreeMap<String, String> = entries
            .map(|entry| (entry.key.clone().unwrap_or_default(), entry.value.clone().unwrap_or_default()))
            .collect();
        if let Some(task) = metadata.get("task").filter(|task| *task != "detect") {
            return Err(OnnxProblem::Unusable(format!(
                "is a model for the task `{}`; only detection models can be run",
                printable(task)
            )));
        }
        // Old files list their weights among the inputs.
        let weights: HashSet<_> = graph.initializer.iter().map(|tensor| &tensor.name).collect();
        let inputs = graph.input.iter().filter(|input| !weights.contains(&input.name)).map(Tensor::new);
        let inputs: Vec<Tensor> = inputs.collect();
        let outputs: Vec<Tensor> = graph.output.iter().map(Tensor::new).collect();
        let described = |tensors: &[Tensor]| tensors.iter().map(Tensor::describe).collect::<Vec<_>>();
        let signature = [("input", described(&inputs)), ("output", described(&outputs))];
        let signature =
            signature.into_iter().flat_map(|(kind, all)| all.into_iter().map(move |t| format!("{kind} {t}")));
        let input = input(&inputs).ok_or_else(|| {
            let found = described(&inputs).join(", ");
            let expected = "expected one input of RGB images [batch, 3, height, width] in f32 or f16";
            OnnxProblem::Unusable(format!("{expected}, found {found}"))
        })?;
        input.check()?;
        let strides = metadata.get("strides").and_then(|strides| literal::integers(strides));
        let strides = strides.filter(|all| (1..=8).contains(&all.len()) && all.iter().all(|n| (1..=1024).contains(n)));
        let strides = strides.unwrap_or_else(|| STRIDES.to_vec());
        let (head, unused) = head(&outputs, &input, &strides).map_err(|hint| {
            let found = if outputs.is_empty() { "none".into() } else { described(&outputs).join(", ") };
            OnnxProblem::Unusable(format!(
                "no output that a YOLOv9 detector has: expected [batch, 4 + classes, anchor points], or [batch, detections, \
                 6], found {found}{hint}"
            ))
        })?;
        if let OnnxHead::Dense { classes: Some(found), .. } = head {
            at_most("the number of classes", found, MAX_CLASSES)?;
        }
        let standard =
            header.opset_import.iter().find(|import| import.domain.as_deref().unwrap_or_default().is_empty());
        let producer =
            [&header.producer_name, &header.producer_version].map(|part| part.as_deref().unwrap_or_default());
        Ok(Self {
            name: name.into(),
            input,
            head,
            strides,
            unused,
            opset: standard.and_then(|import| import.version),
            producer: producer.join(" ").trim().to_owned(),
            operators: operators(graph),
            signature: signature.collect(),
            metadata,
            bytes,
        })
    }

    /// Whether feature maps are integers somewhere.
    #[must_use]
    pub fn is_quantised(&self) -> bool {
        ["QuantizeLinear", "QLinearConv", "ConvInteger"].iter().any(|name| self.operators.contains_key(*name))
    }

    /// Names by class id, if the file has them.
    #[must_use]
    pub fn class_names(&self) -> Option<Vec<String>> {
        self.metadata.get("names").and_then(|names| literal::class_names(names)).filter(|names| !names.is_empty())
    }

    /// Number of classes, if the file shows it.
    #[must_use]
    pub fn classes(&self) -> Option<usize> {
        match self.head {
            OnnxHead::Dense { classes: Some(classes), .. } => Some(classes),
            _ => self.class_names().map(|names| names.len()),
        }
    }

    /// The largest stride: free input sizes are multiples of it.
    #[must_use]
    pub fn stride(&self) -> usize {
        let stated = self.metadata.get("stride").and_then(|stride| literal::integers(stride));
        let stated = stated.and_then(|strides| strides.into_iter().max()).filter(|n| (1..=1024).contains(n));
        stated.or(self.strides.iter().copied().max()).unwrap_or(32)
    }

    /// The input's height and width: fixed ones, else those of the export's metadata.
    #[must_use]
    pub fn preferred_size(&self) -> Option<(usize, usize)> {
        if let (Some(height), Some(width)) = (self.input.height, self.input.width) {
            return Some((height, width));
        }
        match literal::integers(self.metadata.get("imgsz")?)?.as_slice() {
            [side] => Some((*side, *side)),
            [height, width] => Some((*height, *width)),
            _ => None,
        }
        .filter(|(height, width)| [height, width].iter().all(|side| (1..=MAX_PREFERRED_SIDE).contains(*side)))
    }
}

fn decode(bytes: &[u8]) -> Result<ModelHeader, OnnxProblem> {
    if bytes.len() > MAX_LENGTH {
        return Err(damaged(format!("{} bytes; ONNX files have at most 2 GiB", bytes.len())));
    }
    scan::check(bytes)?;
    ModelHeader::decode(bytes).map_err(damaged)
}

fn operators(graph: &GraphHeader) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for node in &graph.node {
        let name = node.op_type.as_deref().unwrap_or("?");
        let name = match node.domain.as_deref().unwrap_or_default() {
            "" | "ai.onnx" => name.to_owned(),
            domain => format!("{domain}:{name}"),
        };
        *counts.entry(name).or_insert(0) += 1;
    }
    counts
}

fn at_most(what: &'static str, found: usize, limit: usize) -> Result<(), OnnxProblem> {
    if found <= limit {
        return Ok(());
    }
    Err(OnnxProblem::Unusable(format!("{what} is {found}; at most {limit} is supported")))
}

impl OnnxInput {
    fn check(&self) -> Result<(), OnnxProblem> {
        let (batch, sides) = (self.batch.unwrap_or(1), [self.height.unwrap_or(1), self.width.unwrap_or(1)]);
        at_most("the batch", batch, MAX_BATCH)?;
        sides.into_iter().try_for_each(|side| at_most("a side of the input", side, MAX_SIDE))?;
        at_most("the number of values of the input", batch * 3 * sides[0] * sides[1], MAX_NUMBERS)
    }
}

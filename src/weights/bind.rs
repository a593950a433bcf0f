//! Takes every tensor that the main branch needs out of a checkpoint.

use std::collections::HashSet;

use super::error::{Mismatch, WeightsError};
use super::fuse::{BatchNorm, fold, merge};
use super::{FusedConv, Weights, reconcile};
use crate::architecture::{Architecture, Convolution, DySampleLayer, Parametric, REG_MAX, RepConvolution};
use crate::checkpoint::{Checkpoint, CheckpointError, ModuleAttributes};
use crate::config::{Activation, ModelConfig};
use crate::dysample::{DySampleStyle, Lift, OffsetParameters, offset_kernels};

/// Epsilon of every batch normalisation of YOLOv9 (PyTorch's own default, 1e-5, is not in effect).
const OFFICIAL_EPS: f64 = 1e-3;

/// Fits the head of `config` to the checkpoint's shapes and takes the weights of the main branch, fused.
///
/// # Errors
/// [`WeightsError::Mismatch`] with every missing, misshapen and unexpected tensor; errors of the checkpoint, NaN
/// and infinities among them, and of the configuration.
pub fn bind(config: &ModelConfig, checkpoint: &Checkpoint) -> Result<(Architecture, Weights), WeightsError> {
    let architecture = reconcile::reconciled_architecture(config, checkpoint, None)?;
    let mut binder = Binder { checkpoint, known: HashSet::new(), mismatches: Vec::new(), failed: None };
    let mut weights = Weights::default();
    for step in architecture.main_steps() {
        match step.operation.parametric() {
            Some(Parametric::Convolution(convolution)) => {
                if let Some(kernel) = binder.convolution(convolution) {
                    weights.kernels.insert(convolution.path.clone(), kernel);
                }
            }
            Some(Parametric::RepConvolution(rep)) => {
                if let Some(kernel) = binder.rep_convolution(rep) {
                    weights.kernels.insert(rep.path.clone(), kernel);
                }
            }
            Some(Parametric::DySample(layer)) => {
                if let Some(parameters) = binder.dysample(layer) {
                    weights.offsets.insert(layer.path.clone(), offset_kernels(&layer.definition, &parameters));
                }
            }
            None => {}
        }
    }
    if let Some(error) = binder.failed.take() {
        return Err(error.into());
    }
    binder.check_bins(&architecture)?;
    binder.note_unexpected(&architecture);
    if binder.mismatches.is_empty() {
        return Ok((architecture, weights));
    }
    let (hint, lift) = hint(&binder.mismatches, &architecture, checkpoint, config);
    Err(WeightsError::Mismatch {
        weights: checkpoint.name().into(),
        config: config.name.clone(),
        mismatches: binder.mismatches,
        hint,
        lift,
    })
}

struct Binder<'a> {
    checkpoint: &'a Checkpoint,
    /// Names that were asked for, as opposed to those that nothing explains.
    known: HashSet<String>,
    mismatches: Vec<Mismatch>,
    /// The first tensor that cannot be read.
    failed: Option<CheckpointError>,
}

impl Binder<'_> {
    /// A tensor of that shape, or nothing and a note.
    fn take(&mut self, name: &str, expected: &[usize]) -> Option<Vec<f32>> {
        self.known.insert(name.into());
        let mismatch = match self.checkpoint.shape(name) {
            None => Mismatch::Missing { name: name.into(), expected: expected.into() },
            Some(found) if found != expected => {
                Mismatch::Shape { name: name.into(), expected: expected.into(), found: found.into() }
            }
            Some(_) => {
                let read = self.checkpoint.read_finite(name);
                return read.map_err(|error| _ = self.failed.get_or_insert(error)).ok();
            }
        };
        self.mismatches.push(mismatch);
        None
    }

    fn convolution(&mut self, convolution: &Convolution) -> Option<FusedConv> {
        self.check_geometry(convolution);
        self.check_activation(&convolution.path, convolution.activation);
        let kernel_path = convolution.kernel_path();
        let weight = self.take(&convolution.weight_name(), &convolution.weight_shape());
        let fused_bias = format!("{kernel_path}.bias");
        // A model that was saved after PyTorch's own fusing has a bias in place of the normalisation.
        if !convolution.normalised || self.checkpoint.shape(&fused_bias).is_some() {
            let bias = self.take(&fused_bias, &[convolution.output]);
            return Some(FusedConv { weight: weight?, bias: bias? });
        }
        let norm = self.batch_norm(&convolution.path, convolution.output);
        Some(fold(&weight?, &norm?))
    }

    fn batch_norm(&mut self, path: &str, channels: usize) -> Option<BatchNorm> {
        let path = format!("{path}.bn");
        let eps = match self.checkpoint.module(&path) {
            Some(ModuleAttributes::BatchNorm(eps)) => *eps,
            _ => OFFICIAL_EPS,
        };
        self.known.insert(format!("{path}.num_batches_tracked"));
        let [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|part| self.take(&format!("{path}.{part}"), &[channels]));
        Some(BatchNorm { gamma: gamma?, beta: beta?, mean: mean?, variance: variance?, eps })
    }

    fn rep_convolution(&mut self, rep: &RepConvolution) -> Option<FusedConv> {
        let merged = rep.merged();
        if self.checkpoint.shape(&merged.weight_name()).is_some() {
            return self.convolution(&merged);
        }
        self.check_activation(&rep.path, rep.activation);
        let (large, small) = (self.convolution(&rep.large), self.convolution(&rep.small));
        Some(merge(large?, &small?))
    }

    fn dysample(&mut self, layer: &DySampleLayer) -> Option<OffsetParameters> {
        let DySampleLayer { path, definition } = layer;
        let shape = definition.stored_weight_shape();
        self.known.insert(format!("{path}.init_pos"));
        let weight = self.take(&format!("{path}.offset.weight"), &shape);
        let bias = self.take(&format!("{path}.offset.bias"), &shape[..1]);
        let mut scope = None;
        if definition.dyscope {
            let scope_weight = self.take(&format!("{path}.scope.weight"), &shape);
            let scope_bias = format!("{path}.scope.bias");
            // The official module has no bias here; a widespread tutorial's copy has.
            let scope_bias = match self.checkpoint.shape(&scope_bias) {
                Some(_) => self.take(&scope_bias, &shape[..1]),
                None => Some(vec![0.0; shape[0]]),
            };
            scope = Some((scope_weight?, scope_bias?));
        }
        Some(OffsetParameters { weight: weight?, bias: bias?, scope })
    }

    /// A whole-model file knows each convolution's geometry; a configuration of the same shapes may still differ in it.
    fn check_geometry(&mut self, convolution: &Convolution) {
        let name = convolution.kernel_path();
        let Some(ModuleAttributes::Convolution { stride, padding, dilation, groups }) = self.checkpoint.module(&name)
        else {
            return;
        };
        let both = |n: usize| [n, n];
        for (what, expected, found) in [
            ("stride", both(convolution.stride), *stride),
            ("padding", both(convolution.padding), *padding),
            ("dilation", both(convolution.dilation), *dilation),
            ("groups", both(convolution.groups), both(*groups)),
        ] {
            if expected != found {
                self.mismatches.push(Mismatch::Attribute {
                    name: format!("{name} {what}"),
                    expected: format!("{}", expected[0]),
                    found: if found[0] == found[1] { format!("{}", found[0]) } else { format!("{found:?}") },
                });
            }
        }
    }

    /// Blocks whose activation differs from that of the others are not something that a configuration can say.
    fn check_activation(&mut self, path: &str, expected: Activation) {
        let Some(ModuleAttributes::Activation(found)) = self.checkpoint.module(&format!("{path}.act")) else { return };
        if *found != Some(expected) {
            self.mismatches.push(Mismatch::Attribute {
                name: format!("{path} activation"),
                expected: expected.to_string(),
                found: found.map_or_else(|| "an unknown one".into(), |found| found.to_string()),
            });
        }
    }

    /// The graph takes the expectation of 0, 1, … 15; files carry these numbers as the weight of a convolution.
    fn check_bins(&mut self, architecture: &Architecture) -> Result<(), WeightsError> {
        let name = format!("{}.conv.weight", architecture.head().main().dfl_path);
        if self.checkpoint.shape(&name).is_none() {
            return Ok(());
        }
        let found = self.checkpoint.read_f32(&name)?;
        if !found.iter().copied().eq((0..REG_MAX).map(|bin| bin as f32)) {
            let shown = &found[..found.len().min(REG_MAX)];
            let (expected, found) = (format!("0 to {}", REG_MAX - 1), format!("{shown:?}"));
            self.mismatches.push(Mismatch::Attribute { name: format!("{name} values"), expected, found });
        }
        Ok(())
    }

    /// Tensors that no layer explains, auxiliary ones included, would be dropped in silence otherwise.
    fn note_unexpected(&mut self, architecture: &Architecture) {
        self.known.extend(architecture.parameters().into_iter().map(|parameter| parameter.name));
        for (name, tensor) in self.checkpoint.tensors() {
            let explained =
                self.known.contains(name) || is_auxiliary(architecture, name) || is_stale(architecture, name);
            if !explained {
                self.mismatches.push(Mismatch::Unexpected { name: name.clone(), found: tensor.shape().into() });
            }
        }
    }
}

/// Tensors of layers and head branches that inference does not use; a fused save names them differently.
fn is_auxiliary(architecture: &Architecture, name: &str) -> bool {
    let head = architecture.head();
    let within = |path: &str| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    let layers = architecture.layers().iter().filter(|layer| layer.role == crate::architecture::Role::Auxiliary);
    let mut layers = layers.map(|layer| format!("model.{}", layer.spec.index));
    let branches = head.branches.split_last().map(|(_, auxiliary)| auxiliary).unwrap_or_default();
    layers.any(|path| within(&path)) || branches.iter().any(|b| within(&b.box_path) || within(&b.class_path))
}

/// Buffers that the head caches for the size of its last image.
fn is_stale(architecture: &Architecture, name: &str) -> bool {
    let head = format!("model.{}.", architecture.head().layer);
    name.strip_prefix(&head).is_some_and(|rest| matches!(rest, "anchors" | "strides" | "stride"))
}

/// The likely reason of a mismatch.
fn hint(
    mismatches: &[Mismatch],
    architecture: &Architecture,
    checkpoint: &Checkpoint,
    config: &ModelConfig,
) -> (String, Option<Lift>) {
    let missing = |layer: &DySampleLayer, part: &str| {
        let prefix = format!("{}.{part}", layer.path);
        mismatches.iter().filter(|m| matches!(m, Mismatch::Missing { name, .. } if name.starts_with(&prefix))).count()
    };
    let layers: Vec<&DySampleLayer> =
        architecture.main_steps().filter_map(|step| step.operation.as_dysample()).collect();
    let [offsets, scopes] =
        ["offset.", "scope."].map(|part| layers.iter().map(|layer| missing(layer, part)).sum::<usize>());
    if scopes == mismatches.len() {
        return ("the weights have DySample without dynamic scope: leave dyscope out of the config".into(), None);
    }
    let lacking: Vec<&DySampleLayer> =
        layers.iter().copied().filter(|layer| missing(layer, "offset.weight") > 0).collect();
    if !lacking.is_empty() && offsets + scopes == mismatches.len() {
        return lift_hint(&lacking, checkpoint, &config.name);
    }
    let unexpected_offset =
        |m: &Mismatch| matches!(m, Mismatch::Unexpected { name, .. } if name.ends_with(".offset.weight"));
    if layers.is_empty() && mismatches.iter().any(unexpected_offset) {
        let hint = "the weights have DySample where the config has another upsampler: use its -dysample twin, or the \
                    config that the checkpoint carries";
        return (hint.into(), None);
    }
    let hint = "the weights belong to another architecture: use the config that they were trained with; a whole-model \
                checkpoint carries it and needs no other";
    (hint.into(), None)
}

/// The weights lack nothing but DySample: they were trained with another upsampler there.
fn lift_hint(lacking: &[&DySampleLayer], checkpoint: &Checkpoint, config: &str) -> (String, Option<Lift>) {
    let paths: Vec<&str> = lacking.iter().map(|layer| layer.path.as_str()).collect();
    if config == checkpoint.config_name() {
        return (format!("the file's own config has DySample at {}, its tensors are missing", paths.join(", ")), None);
    }
    let nearest = lacking.iter().all(|layer| layer.definition.style == DySampleStyle::Lp);
    let (upsampler, effect) = if nearest {
        (Lift::Nearest, "from nearest, which keeps every result of a network trained with nn.Upsample (nearest)")
    } else {
        let effect = "from bilinear, to train on from there: in style pl it cannot do what nearest upsampling does";
        (Lift::Bilinear, effect)
    };
    let hint = format!(
        "the config has DySample at {} and the weights do not: they were trained with another upsampler. DySample can be \
         initialised {effect}",
        paths.join(", ")
    );
    (hint, Some(upsampler))
}

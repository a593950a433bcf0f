//! The configuration of a bare state dict, from the shapes of its tensors: the built-in network with the same layers,
//! in the widths and repeat counts that the tensors have.
//!
//! Shapes do not show the activation; it is taken to be SiLU, YOLOv9's default.

use crate::architecture::{Architecture, Convolution, Parametric};
use crate::checkpoint::Checkpoint;
use crate::config::{Argument, BUILTIN_CONFIGS, ConfigFormat, LayerSpec, ModelConfig, ModuleKind};

use super::reconcile;

/// The configuration that the tensors of `checkpoint` fit, if they are those of a network of the YOLOv9 or GELAN
/// families in any width, with any of its upsamplers replaced by a DySample of scale 2.
#[must_use]
pub fn infer_config(checkpoint: &Checkpoint) -> Option<ModelConfig> {
    let templates = BUILTIN_CONFIGS.iter().filter_map(|builtin| ModelConfig::builtin(builtin.name).ok());
    let layers = layer_count(checkpoint);
    let mut candidates = templates.filter(|template| template.layers.len() == layers).filter_map(|template| {
        let tensors = TensorShapes(checkpoint);
        let layers = template.layers.iter().map(|layer| tensors.layer(layer)).collect::<Option<Vec<LayerSpec>>>()?;
        if layers.iter().zip(&template.layers).all(|(a, b)| (a.module, &a.args) == (b.module, &b.args)) {
            return Some(template);
        }
        let mut config = template;
        config.name = format!("inferred from {}", checkpoint.name());
        config.layers = layers;
        Some(config)
    });
    candidates.find_map(|config| {
        // Widths that the official parser would round were chosen by a tool that does not.
        let as_written = ModelConfig { format: ConfigFormat::Mit, ..config.clone() };
        let mut fitting = [config, as_written].into_iter().find_map(|config| {
            let architecture = reconcile::reconciled_architecture(&config, checkpoint, None).ok()?;
            fits(&architecture, checkpoint).then(|| config.with_classes(architecture.head().classes))
        })?;
        if ModelConfig::builtin(&fitting.name).is_err() {
            fitting.source = fitting.to_yaml();
        }
        Some(fitting)
    })
}

/// Layers of the network: the head, which has parameters, is the last.
fn layer_count(checkpoint: &Checkpoint) -> usize {
    let layer = |name: &String| name.strip_prefix("model.")?.split('.').next()?.parse::<usize>().ok();
    checkpoint.tensors().keys().filter_map(layer).max().map_or(0, |last| last.saturating_add(1))
}

/// Whether all convolutions of the main branch are there, in the right shapes.
fn fits(architecture: &Architecture, checkpoint: &Checkpoint) -> bool {
    let has = |c: &Convolution| checkpoint.shape(&c.weight_name()) == Some(&c.weight_shape()[..]);
    architecture.main_steps().all(|step| match step.operation.parametric() {
        Some(Parametric::Convolution(convolution)) => has(convolution),
        Some(Parametric::RepConvolution(rep)) => has(&rep.merged()) || has(&rep.large) && has(&rep.small),
        Some(Parametric::DySample(_)) | None => true,
    })
}

/// The shapes of a checkpoint's tensors.
struct TensorShapes<'a>(&'a Checkpoint);

impl TensorShapes<'_> {
    /// The layer of a template as the tensors have it; nothing when they are those of another module.
    fn layer(&self, template: &LayerSpec) -> Option<LayerSpec> {
        let path = format!("model.{}", template.index);
        let output = |part: &str| self.output(&format!("{path}.{part}.weight"));
        let mut layer = template.clone();
        let replaced = match template.module {
            ModuleKind::Conv => vec![output("conv")?],
            ModuleKind::AConv => vec![output("cv1.conv")?],
            ModuleKind::ADown => vec![2 * output("cv1.conv")?],
            ModuleKind::Elan1 => vec![output("cv4.conv")?, output("cv1.conv")?, output("cv2.conv")?],
            ModuleKind::RepNCspElan4 => {
                let repeats = (0..64).take_while(|n| self.has(&format!("{path}.cv2.0.m.{n}."))).count();
                vec![output("cv4.conv")?, output("cv1.conv")?, output("cv2.1.conv")?, repeats as i64]
            }
            ModuleKind::SppElan => vec![output("cv5.conv")?, output("cv1.conv")?],
            ModuleKind::CbLinear => {
                layer.args[0] = scaled(template.args.first()?, output("conv")?)?;
                Vec::new()
            }
            ModuleKind::Upsample => return Some(self.dysample(&path, &layer).unwrap_or(layer)),
            ModuleKind::DySample => return None,
            _ => Vec::new(),
        };
        for (position, (argument, found)) in layer.args.iter_mut().zip(replaced).enumerate() {
            // The official parser rounds output channels, and nothing else: 180 to 184.
            let rounded = matches!(argument, Argument::Int(written) if (*written + 7) / 8 * 8 == found);
            if position > 0 || !rounded {
                *argument = Argument::Int(found);
            }
        }
        Some(layer)
    }

    fn output(&self, name: &str) -> Option<i64> {
        self.0.shape(name)?.first().map(|channels| *channels as i64)
    }

    fn has(&self, prefix: &str) -> bool {
        let after = self.0.tensors().range(prefix.to_owned()..).next();
        after.is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// A DySample of scale 2 in the place of the upsampler. Style `lp` predicts the offsets of all four positions at
    /// once, `pl` those of one.
    fn dysample(&self, path: &str, upsampler: &LayerSpec) -> Option<LayerSpec> {
        const POSITIONS: usize = 4;
        let offsets = *self.0.shape(&format!("{path}.offset.weight"))?.first()?;
        let all = *self.0.shape(&format!("{path}.init_pos"))?.get(1)?;
        let style = if offsets == all { "lp" } else { "pl" };
        let groups = Argument::Int((all / (2 * POSITIONS)) as i64);
        let dyscope = self.0.shape(&format!("{path}.scope.weight")).is_some();
        let args = vec![Argument::Int(2), Argument::Text(style.into()), groups, Argument::Bool(dyscope)];
        Some(LayerSpec { module: ModuleKind::DySample, args, ..upsampler.clone() })
    }
}

/// The channels of each output of a `CBLinear` in the proportions of the template.
fn scaled(template: &Argument, total: i64) -> Option<Argument> {
    let Argument::List(parts) = template else { return None };
    let parts = parts.iter().map(|part| if let Argument::Int(n) = part { Some(*n) } else { None });
    let parts = parts.collect::<Option<Vec<i64>>>()?;
    let sum: i64 = parts.iter().sum();
    Some(Argument::List(parts.iter().map(|part| Argument::Int(part * total / sum.max(1))).collect()))
}

//! The same weights for another configuration, in which DySample stands where they had a fixed upsampler.

use super::{WeightsError, bind, reconcile};
use crate::architecture::{Architecture, DySampleLayer, Interpolation, Operation};
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::dysample::{Lift, init_pos, lift};

/// The metadata key of a checkpoint that records which layers were lifted to what.
pub const LIFTED: &str = "lifted";

/// Gives `checkpoint` the configuration `target`, which it must fit as it is.
///
/// # Errors
/// [`WeightsError::Mismatch`] with everything that does not fit.
pub fn retarget(checkpoint: &Checkpoint, target: &ModelConfig) -> Result<Checkpoint, WeightsError> {
    let (architecture, _) = bind(target, checkpoint)?;
    let mut retargeted = checkpoint.clone();
    retargeted.set_config(target.source_with_classes(architecture.head().classes));
    Ok(retargeted)
}

/// Gives `checkpoint` the configuration `target` and, for every DySample of it without weights, also in the auxiliary
/// branch, parameters that make it equal `upsampler`. Lifted to the upsampler that the weights were trained with, the
/// network computes what it did, and can be trained further from there.
///
/// The checkpoint's metadata key [`LIFTED`] records what was lifted.
///
/// # Errors
/// [`WeightsError::Lift`] when the layers of the checkpoint's own configuration, where it has one, are not such upsamplers, when no
/// parameters exist (`pl` to nearest), when there is nothing to lift, or when other weights do not fit.
pub fn lifted(checkpoint: &Checkpoint, target: &ModelConfig, upsampler: Lift) -> Result<Checkpoint, WeightsError> {
    let architecture = reconcile::reconciled_architecture(target, checkpoint, None)?;
    let own = checkpoint.config()?.map(|config| Architecture::new(&config)).transpose()?;
    let place = |layer: usize| format!("layer {layer} of {}", target.name);
    let mut lifted = checkpoint.clone();
    let mut paths = Vec::new();
    for step in architecture.steps() {
        let Some(layer) = step.operation.as_dysample() else { continue };
        if checkpoint.shape(&format!("{}.offset.weight", layer.path)).is_some() {
            continue;
        }
        if let Some(own) = &own {
            check_layer(own, step.layer, layer, upsampler).map_err(|(found, remedy)| {
                let scale = layer.definition.scale;
                let trained = format!("{} was trained with {found} there", checkpoint.name());
                WeightsError::Lift(format!(
                    "{} is a DySample of scale {scale}, but {trained}; {remedy}",
                    place(step.layer)
                ))
            })?;
        }
        add_parameters(&mut lifted, layer, upsampler)
            .map_err(|reason| WeightsError::Lift(format!("{}: {reason}", place(step.layer))))?;
        paths.push(layer.path.as_str());
    }
    if paths.is_empty() {
        let (config, weights) = (&target.name, checkpoint.name());
        return Err(WeightsError::Lift(format!(
            "{config} has no DySample that {weights} has no weights for: there is nothing to lift"
        )));
    }
    let earlier = checkpoint.metadata().extra.get(LIFTED).map_or(String::new(), |earlier| format!("{earlier}; "));
    lifted.set_metadata(LIFTED, &format!("{earlier}{} from {upsampler}", paths.join(", ")));
    // What the weights decide has been said once.
    let mut target = target.clone().with_classes(architecture.head().classes);
    target.activation = checkpoint.common_activation().unwrap_or(target.activation);
    retarget(&lifted, &target)
}

/// That the layer is an upsampler of that scale, and not another one than the DySample is lifted to without a loss. Gives
/// what was found and a remedy otherwise.
fn check_layer(
    own: &Architecture,
    index: usize,
    layer: &DySampleLayer,
    upsampler: Lift,
) -> Result<(), (String, &'static str)> {
    const OTHER_CONFIG: &str = "name a config that differs from that of the weights in upsamplers only";
    let operation = own.steps().iter().find(|step| step.layer == index).map(|step| &step.operation);
    let Some(Operation::Upsample { scale, interpolation }) = operation else {
        let found = own.layers().get(index).map_or("no layer".into(), |layer| layer.spec.module.to_string());
        return Err((found, OTHER_CONFIG));
    };
    if *scale != layer.definition.scale {
        return Err((format!("an upsampling by {scale}"), OTHER_CONFIG));
    }
    if *interpolation == Interpolation::Bilinear && upsampler == Lift::Nearest {
        return Err(("bilinear upsampling".into(), "lift it to bilinear"));
    }
    Ok(())
}

fn add_parameters(checkpoint: &mut Checkpoint, layer: &DySampleLayer, upsampler: Lift) -> Result<(), String> {
    let DySampleLayer { path, definition } = layer;
    let parameters = lift(definition, upsampler)?;
    let shape = definition.stored_weight_shape();
    let mut add = |name: &str, shape: &[usize], values: &[f32]| {
        checkpoint.insert_f32(&format!("{path}.{name}"), shape, values);
    };
    add("offset.weight", &shape, &parameters.weight);
    add("offset.bias", &shape[..1], &parameters.bias);
    if let Some((weight, _)) = &parameters.scope {
        // The official module's scope has no bias.
        add("scope.weight", &shape, weight);
    }
    // A buffer of the official module, which a strict loader misses otherwise.
    add("init_pos", &[1, definition.offset_channels(), 1, 1], &init_pos(definition));
    Ok(())
}

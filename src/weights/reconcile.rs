//! What a checkpoint says about the network that its configuration does not: the activation of a whole-model file, and
//! the head's class count, hidden widths and groups.
//!
//! The official formula for the class branch's width changed between the code and released files, so shapes decide.
//! The activation is a class attribute in the official code, which scripts set without touching the YAML; so the
//! activation that was pickled decides.

use crate::architecture::{Architecture, HeadBranch, HeadWidths};
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;

use super::WeightsError;

/// The configuration as the weights have it: with their number of classes, and, of a whole-model file, their activation.
/// Says what they change.
///
/// # Errors
/// When the configuration does not resolve.
pub fn reconcile(config: &ModelConfig, checkpoint: &Checkpoint) -> Result<ModelConfig, WeightsError> {
    let reconciled = with_activation(config, checkpoint);
    if reconciled.activation != config.activation {
        log::warn!(
            "{} was trained with {}; its config says {}. The weights decide",
            checkpoint.name(),
            reconciled.activation,
            config.activation
        );
    }
    let classes = classes(&Architecture::new(&reconciled)?, checkpoint);
    if classes != config.classes {
        log::info!(
            "{} has {classes} classes; its config says {}. The weights decide",
            checkpoint.name(),
            config.classes
        );
    }
    Ok(reconciled.with_classes(classes))
}

/// The architecture of `config` with the activation and the head that `checkpoint` holds, for as many classes, or for
/// another number of them: that of the data that training goes on with. Branches of which the checkpoint holds nothing keep
/// the widths of the config's format.
///
/// # Errors
/// When the configuration does not resolve.
pub fn reconciled_architecture(
    config: &ModelConfig,
    checkpoint: &Checkpoint,
    classes_of_data: Option<usize>,
) -> Result<Architecture, WeightsError> {
    let config = with_activation(config, checkpoint);
    let usual = Architecture::new(&config)?;
    let head = usual.head();
    let classes = classes_of_data.unwrap_or_else(|| classes(&usual, checkpoint));
    let widths: Vec<HeadWidths> = head.branches.iter().map(|branch| widths(branch, checkpoint)).collect();
    if classes == head.classes && widths.iter().zip(&head.branches).all(|(found, branch)| *found == branch.widths) {
        return Ok(usual);
    }
    Ok(Architecture::with_head_widths(&config.with_classes(classes), &widths)?)
}

fn with_activation(config: &ModelConfig, checkpoint: &Checkpoint) -> ModelConfig {
    let activation = checkpoint.common_activation().unwrap_or(config.activation);
    ModelConfig { activation, ..config.clone() }
}

fn classes(architecture: &Architecture, checkpoint: &Checkpoint) -> usize {
    let head = architecture.head();
    shape_of(checkpoint, &head.main().class_path, "2.weight").map_or(head.classes, |shape| shape[0].max(1))
}

fn widths(branch: &HeadBranch, checkpoint: &Checkpoint) -> HeadWidths {
    let official = branch.widths;
    let boxes = shape_of(checkpoint, &branch.box_path, "0.conv.weight").map(|shape| shape[0]);
    let grouped = shape_of(checkpoint, &branch.box_path, "1.conv.weight").map(|shape| shape[0] / shape[1].max(1));
    let depthwise = shape_of(checkpoint, &branch.class_path, "0.0.conv.weight").is_some();
    let first = if depthwise { "0.1.conv.weight" } else { "0.conv.weight" };
    let classes = shape_of(checkpoint, &branch.class_path, first).map(|shape| shape[0]);
    HeadWidths {
        boxes: boxes.filter(|n| *n > 0).unwrap_or(official.boxes),
        box_groups: grouped.filter(|n| *n > 0).unwrap_or(official.box_groups),
        classes: classes.filter(|n| *n > 0).unwrap_or(official.classes),
        depthwise,
    }
}

/// Shape of a convolution's weight at level 0 of a branch.
fn shape_of(checkpoint: &Checkpoint, path: &str, name: &str) -> Option<[usize; 4]> {
    checkpoint.shape(&format!("{path}.0.{name}"))?.try_into().ok()
}

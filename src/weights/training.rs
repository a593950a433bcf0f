//! Whether the offsets of DySample modules have been trained.

use crate::architecture::Architecture;
use crate::checkpoint::{Checkpoint, CheckpointError};

/// The offset weights of a DySample module.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OffsetState {
    /// All are zero, as after lifting: points do not depend on the image.
    Zero,
    /// No larger than the official initialisation gives them (normal, deviation 0.001), whatever the biases.
    Initial,
    /// Anything else.
    Trained,
}

/// Six deviations of the official initialisation: none of a million weights is beyond them by chance.
const INITIAL: f32 = 0.006;

/// The state of each DySample in the main branch, by the layer of the config.
///
/// # Errors
/// When a tensor cannot be read.
pub fn offset_states(
    architecture: &Architecture,
    checkpoint: &Checkpoint,
) -> Result<Vec<(usize, OffsetState)>, CheckpointError> {
    let layers = architecture.main_steps().filter_map(|step| Some((step.layer, &step.operation.as_dysample()?.path)));
    let state = |(layer, path): (usize, &String)| {
        let weight = checkpoint.read_f32(&format!("{path}.offset.weight"))?;
        Ok((layer, state_of(&weight)))
    };
    layers.map(state).collect()
}

fn state_of(weight: &[f32]) -> OffsetState {
    let largest = weight.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    match largest {
        0.0 => OffsetState::Zero,
        _ if largest <= INITIAL => OffsetState::Initial,
        _ => OffsetState::Trained,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_are_told_apart() {
        assert_eq!(state_of(&[0.0; 8]), OffsetState::Zero);
        assert_eq!(state_of(&[0.001, -0.003]), OffsetState::Initial);
        assert_eq!(state_of(&[0.02, -0.03]), OffsetState::Trained);
    }
}

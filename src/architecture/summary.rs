//! A network layer by layer, for people.

use super::cost::Form;
use super::operation::Value;
use super::{Architecture, ArchitectureError, Cost, Role};
use crate::Size;
use crate::config::LayerSpec;

/// One layer of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSummary {
    /// As the config has it.
    pub spec: LayerSpec,
    /// Channels and size of each map that it gives; for a head the maps of its levels, box values and classes together.
    pub outputs: Vec<(usize, Size)>,
    /// Its cost as training stores it.
    pub cost: Cost,
    /// Whether inference needs it.
    pub role: Role,
}

impl Architecture {
    /// All layers for an input of that size.
    ///
    /// # Errors
    /// As [`Architecture::cost`].
    pub fn summary(&self, input: Size) -> Result<Vec<LayerSummary>, ArchitectureError> {
        let sizes = self.sizes(input)?;
        let costs = self.layer_costs(input, Form::Training)?;
        let map = |value: &Value| (value.channels, sizes[value.id]);
        let levels = || self.head.branches.iter().flat_map(|branch| &branch.levels);
        let layers = self.layers.iter().zip(costs).map(|(layer, cost)| LayerSummary {
            spec: layer.spec.clone(),
            outputs: match layer.spec.module.is_head() {
                true => levels().map(|l| (l.boxes.channels + l.classes.channels, sizes[l.boxes.id])).collect(),
                false => layer.outputs.iter().map(map).collect(),
            },
            cost,
            role: layer.role,
        });
        Ok(layers.collect())
    }
}

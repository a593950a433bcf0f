//! Feature maps of frozen first layers, computed once for each image that comes back unchanged.

use std::collections::{BTreeMap, HashMap};

use burn_tensor::Tensor;

use super::network::maps_before;
use super::parameters::Parameters;
use crate::architecture::{Architecture, Step};

/// The steps before the first one that learns, and what they made of the images so far.
#[derive(Debug)]
pub(super) struct FrozenFront {
    /// How many steps there are.
    pub(super) steps: usize,
    /// By image: its maps that later steps read, `[1, C, H, W]`.
    kept: HashMap<usize, BTreeMap<usize, Tensor<4>>>,
    /// Bytes that are left for more of them.
    room: usize,
}

impl FrozenFront {
    /// Of the network as it is frozen now, with `room` bytes for feature maps.
    pub(super) fn new(architecture: &Architecture, parameters: &Parameters, room: usize) -> Self {
        let learns = |step: &Step| parameters.learns(&format!("model.{}", step.layer));
        let steps = architecture.steps().iter().position(learns).unwrap_or(architecture.steps().len());
        Self { steps, kept: HashMap::new(), room }
    }

    /// What the steps after these read, `[N, C, H, W]` by the number of the value, for images of these numbers, which
    /// `pixels` makes a tensor of for the places that are asked for. Frozen normalisations do not look at the rest of a
    /// batch, so the maps of an image are the same in any.
    pub(super) fn maps(
        &mut self,
        (architecture, parameters): (&Architecture, &Parameters),
        images: &[usize],
        pixels: impl Fn(&[usize]) -> Tensor<4>,
    ) -> BTreeMap<usize, Tensor<4>> {
        let missing: Vec<usize> = (0..images.len()).filter(|place| !self.kept.contains_key(&images[*place])).collect();
        let mut new = HashMap::new();
        if !missing.is_empty() {
            let maps = maps_before(architecture, parameters, self.steps, pixels(&missing));
            for (row, place) in missing.iter().enumerate() {
                let own = maps.iter().map(|(value, map)| (*value, map.clone().narrow(0, row, 1).detach()));
                new.insert(images[*place], own.collect::<BTreeMap<_, _>>());
            }
        }
        let of = |image: &usize| self.kept.get(image).or_else(|| new.get(image)).expect("missing ones were computed");
        let own: Vec<_> = images.iter().map(of).collect();
        let values = own[0].keys();
        let batch = values
            .map(|value| (*value, Tensor::cat(own.iter().map(|maps| maps[value].clone()).collect(), 0)))
            .collect();
        for (image, maps) in new {
            let bytes: usize = maps.values().map(|map| map.shape().num_elements() * map.dtype().size()).sum();
            if let Some(left) = self.room.checked_sub(bytes) {
                self.room = left;
                self.kept.insert(image, maps);
            }
        }
        batch
    }
}

//! State dicts of MIT YOLO under official names, by the rules of `config/mit.rs`: the heads move behind all other
//! layers, and where two layers read the image, everything moves by one for the `Silence` in front.
//!
//! Within a layer only names differ: `convN` is `cvN` (but for the two branches of a re-parameterised convolution),
//! `bottleneck` is `m`, and the single convolution of an `AConv` is `cv1`.

use std::collections::BTreeMap;

use super::tensor::StoredTensor;

/// Marks the state dict, whatever stands before its names.
const HEAD: &str = ".heads.0.anchor_conv.";
/// Channels of an image.
const IMAGE: usize = 3;

/// Whether names are of this format.
pub(super) fn looks_like<'a>(mut names: impl Iterator<Item = &'a String>) -> bool {
    names.any(|name| name.contains(HEAD))
}

/// Renames all tensors whose names begin with a layer's number; `model.` before it is taken off.
pub(super) fn with_official_names(tensors: BTreeMap<String, StoredTensor>) -> BTreeMap<String, StoredTensor> {
    let layout = MitLayout::of(&tensors);
    let mut renamed = BTreeMap::new();
    for (name, tensor) in tensors {
        let Some((layer, rest)) = layer(&name) else {
            renamed.insert(name, tensor);
            continue;
        };
        let Some(within) = layout.within(layer, rest) else { continue };
        // The constants are those of a conv3d here.
        let tensor =
            if tensor.shape().len() == 5 { tensor.clone().without_last_axis().unwrap_or(tensor) } else { tensor };
        renamed.insert(format!("model.{}.{within}", layout.layer(layer)), tensor);
    }
    renamed
}

/// Number of the layer, and what follows.
fn layer(name: &str) -> Option<(usize, &str)> {
    let (layer, rest) = name.strip_prefix("model.").unwrap_or(name).split_once('.')?;
    Some((layer.parse().ok()?, rest))
}

/// Where the heads stand.
struct MitLayout {
    main: usize,
    auxiliary: Option<usize>,
    /// Number of layers, heads included, up to the last that has tensors.
    layers: usize,
    shift: usize,
}

impl MitLayout {
    fn of(tensors: &BTreeMap<String, StoredTensor>) -> Self {
        let numbered = || tensors.iter().filter_map(|(name, tensor)| Some((layer(name)?, tensor)));
        let heads = numbered().filter(|((_, rest), _)| rest.starts_with("heads.")).map(|((layer, _), _)| layer);
        let heads: std::collections::BTreeSet<usize> = heads.collect();
        let reads_image = |tensor: &StoredTensor| tensor.shape().len() == 4 && tensor.shape()[1] == IMAGE;
        let mut readers = numbered().filter(|((_, rest), tensor)| *rest == "conv.weight" && reads_image(tensor));
        let mut heads = heads.into_iter();
        Self {
            main: heads.next().unwrap_or(0),
            auxiliary: heads.next(),
            layers: numbered().map(|((layer, _), _)| layer + 1).max().unwrap_or(0),
            shift: usize::from(readers.nth(1).is_some()),
        }
    }

    fn layer(&self, layer: usize) -> usize {
        let heads = 1 + usize::from(self.auxiliary.is_some());
        let layer = if layer == self.main || Some(layer) == self.auxiliary {
            self.layers.saturating_sub(heads)
        } else {
            // The auxiliary head is the last layer.
            layer - usize::from(layer > self.main)
        };
        layer + self.shift
    }

    /// The official name within a layer; none for copies of the constants of the first level.
    fn within(&self, layer: usize, rest: &str) -> Option<String> {
        let main = layer == self.main;
        if !main && Some(layer) != self.auxiliary {
            return Some(block(rest));
        }
        let mut parts = rest.splitn(4, '.');
        let (Some("heads"), Some(level), Some(branch), Some(place)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Some(rest.to_owned());
        };
        // With two branches the auxiliary one is called first.
        let second = main && self.auxiliary.is_some();
        Some(match (branch, second) {
            ("anchor_conv", false) => format!("cv2.{level}.{place}"),
            ("class_conv", false) => format!("cv3.{level}.{place}"),
            ("anchor_conv", true) => format!("cv4.{level}.{place}"),
            ("class_conv", true) => format!("cv5.{level}.{place}"),
            ("anc2vec", _) if level != "0" => return None,
            ("anc2vec", false) => "dfl.conv.weight".into(),
            ("anc2vec", true) => "dfl2.conv.weight".into(),
            _ => rest.to_owned(),
        })
    }
}

/// Names within a block.
fn block(rest: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in rest.split('.') {
        let official = match part {
            // RepConvN calls its branches conv1 and conv2 in both config formats.
            _ if parts.len() >= 3 && parts[parts.len() - 3] == "m" => part,
            "bottleneck" => "m",
            "conv1" => "cv1",
            "conv2" => "cv2",
            "conv3" => "cv3",
            "conv4" => "cv4",
            "conv5" => "cv5",
            _ => part,
        };
        parts.push(official);
    }
    // `conv.conv.weight` and `conv.bn.…`: an AConv. `conv.weight`: a convolution itself.
    if let ["conv", "conv" | "bn", ..] = parts.as_slice() {
        parts[0] = "cv1";
    }
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Dtype, tensor::Storage};

    #[test]
    fn of_the_constants_of_each_level_one_is_kept() {
        let constants = |level: usize| {
            let storage = Storage { start: 0, length: 64, crc32: None };
            let strides = StoredTensor::contiguous_strides(&[1, 16, 1, 1, 1]);
            let tensor = StoredTensor::new(Dtype::F32, vec![1, 16, 1, 1, 1], strides, 0, storage).unwrap();
            (format!("0.heads.{level}.anc2vec.anc2vec.weight"), tensor)
        };
        let renamed = with_official_names([0, 1, 2].map(constants).into());
        let found: Vec<_> = renamed.iter().map(|(name, tensor)| (name.as_str(), tensor.shape())).collect();
        assert_eq!(found, [("model.0.dfl.conv.weight", &[1, 16, 1, 1][..])]);
    }
}

//! Where the time of a network goes, by the layers of its config and by operators.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use yolo9::Model;
use yolo9::architecture::Architecture;
use yolo9::detect::Backend;
use yolo9::graph::{HeadLayout, layers_of_values};
use yolo9::model::ModelContent;
use yolo9::runtime::{NodeTime, Runtime, SessionOptions, read_profile};

use crate::console::print_line;

/// Times of all nodes over a number of runs on an input, and the network that they belong to, if it is one of ours.
pub(super) struct Profile {
    nodes: Vec<NodeTime>,
    network: Option<(Architecture, HeadLayout)>,
}

/// Sums in milliseconds.
type Times = Vec<(String, f64)>;

impl Profile {
    pub(super) fn measure(
        model: Model,
        runtime: &Runtime,
        session: &SessionOptions,
        input: ndarray::ArrayView4<'_, f32>,
        runs: u32,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let options = session.clone().profile(Some(folder.path().join("profile")));
        let network = match model.content() {
            ModelContent::Network(network) => Some((network.architecture.clone(), network.onnx.head.clone())),
            ModelContent::Exported(_) => None,
        };
        let mut backend = model.into_sessions(runtime, &options, 1)?.remove(0);
        for _ in 0..runs {
            backend.run(input).map_err(|error| anyhow::anyhow!(error))?;
        }
        Ok(Self { nodes: read_profile(&backend.end_profiling()?)?, network })
    }

    fn milliseconds<'a>(nodes: impl Iterator<Item = &'a NodeTime>) -> f64 {
        nodes.map(|node| node.time.as_secs_f64() * 1e3).sum()
    }

    /// By falling time.
    fn operators(&self) -> Times {
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        for node in &self.nodes {
            *sums.entry(&node.operator).or_default() += node.time.as_secs_f64() * 1e3;
        }
        let mut sums: Times = sums.into_iter().map(|(operator, time)| (operator.to_owned(), time)).collect();
        sums.sort_by(|a, b| b.1.total_cmp(&a.1));
        sums
    }

    /// Layer by layer, as in the config; last what belongs to none: changes of the memory layout between nodes.
    fn layers(&self) -> Option<Times> {
        let (architecture, head) = self.network.as_ref()?;
        let values = layers_of_values(architecture, head);
        let layer_of = |node: &NodeTime| layer_of(&node.name, |value| values.get(value).copied());
        let mut layers: Times = Vec::new();
        for layer in architecture.layers() {
            let index = layer.spec.index;
            let nodes = self.nodes.iter().filter(|node| layer_of(node) == Some(index));
            let time = Self::milliseconds(nodes);
            if time > 0.0 {
                layers.push((format!("{index:>3} {}", layer.spec.module), time));
            }
        }
        layers.push((
            "    (layouts)".into(),
            Self::milliseconds(self.nodes.iter().filter(|node| layer_of(node).is_none())),
        ));
        Some(layers)
    }

    pub(super) fn json(&self) -> Value {
        let list = |times: Times| -> Vec<Value> {
            times.into_iter().map(|(name, time)| json!({ "name": name.trim(), "milliseconds": time })).collect()
        };
        json!({ "layers": self.layers().map(list), "operators": list(self.operators()) })
    }

    pub(super) fn print(&self) -> anyhow::Result<()> {
        let total = Self::milliseconds(self.nodes.iter());
        let table = |title: &str, times: Times| -> anyhow::Result<()> {
            print_line!("\n{title:<28} {:>9}   share of the network", "median");
            for (name, time) in times {
                let bar = "#".repeat((40.0 * time / total).round() as usize);
                print_line!("{name:<28} {time:>9.3} ms {:>5.1} % {bar}", 100.0 * time / total);
            }
            Ok(())
        };
        match self.layers() {
            Some(layers) => table("layer", layers)?,
            None => print_line!("\nlayers: an exported file has no layers to map its nodes to"),
        }
        table("operator", self.operators())
    }
}

/// The layer of a node, from the name that ONNX Runtime gave it: `v12.linear_nchwc`, `Mul v12/QuickGeluFusion/`,
/// `boxes_0_nchwc` hold the name of the value that it computes; nodes of DySample have their path, `model.13`.
fn layer_of(name: &str, layer: impl Fn(&str) -> Option<usize>) -> Option<usize> {
    if let Some(path) = name.strip_prefix("model.") {
        return path.split(['.', '/', '_']).next()?.parse().ok();
    }
    let value = name.rsplit(' ').next()?;
    let value = value.split(['/', '.']).next()?;
    layer(value.strip_suffix("_nchwc").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_read_from_names() {
        let layer =
            |value: &str| [("v12", 3), ("boxes_0", 22)].into_iter().find(|(name, _)| *name == value).map(|(_, r)| r);
        for (name, expected) in [
            ("v12.linear_nchwc", Some(3)),
            ("Mul v12/QuickGeluFusion/", Some(3)),
            ("Concat v12", Some(3)),
            ("boxes_0_nchwc", Some(22)),
            ("model.13", Some(13)),
            ("model.13.cv1.conv", Some(13)),
            ("ReorderOutput_token_561", None),
            ("Reshape", None),
        ] {
            assert_eq!(layer_of(name, layer), expected, "{name}");
        }
    }
}

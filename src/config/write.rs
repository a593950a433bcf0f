//! A configuration as YAML text of the official format.

use super::argument::list;
use super::{Activation, ConfigFormat, LayerSpec, ModelConfig};

impl ModelConfig {
    /// The configuration as YAML, one line for each layer. Reading it gives the same layers.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let (depth, width) = (self.depth_multiple, self.width_multiple);
        let mut text = format!("nc: {}\n", self.classes);
        text += &match self.max_channels {
            Some(most) => format!("scales: {{own: [{depth:?}, {width:?}, {most}]}}\n"),
            None => format!("depth_multiple: {depth:?}\nwidth_multiple: {width:?}\n"),
        };
        // The layers do not show how widths are rounded.
        text += &match self.format {
            ConfigFormat::Official => format!("anchors: {}\n", self.anchors),
            other => format!("format: {}\n", other.word()),
        };
        if self.activation != Activation::Silu {
            text += &format!("activation: {}\n", self.activation.to_yaml());
        }
        if self.input_channels != 3 {
            text += &format!("ch: {}\n", self.input_channels);
        }
        let (body, head) = self.layers.split_at(self.layers.len().saturating_sub(1));
        let lines = |layers: &[LayerSpec]| layers.iter().map(line).collect::<String>();
        text + "backbone:\n" + &lines(body) + "head:\n" + &lines(head)
    }
}

fn line(layer: &LayerSpec) -> String {
    let from = match layer.from.as_slice() {
        [one] => one.to_string(),
        many => list(many),
    };
    format!("  - [{from}, {}, {}, {}]  # {}\n", layer.number, layer.module, list(&layer.args), layer.index)
}

#[cfg(test)]
mod tests {
    use super::super::{BUILTIN_CONFIGS, ModelConfig};

    #[test]
    fn every_builtin_is_read_back_as_it_was() {
        for builtin in BUILTIN_CONFIGS {
            let config = ModelConfig::builtin(builtin.name).unwrap();
            let mut again = ModelConfig::from_yaml(builtin.name, &config.to_yaml()).unwrap();
            again.source.clone_from(&config.source);
            again.layers.iter_mut().zip(&config.layers).for_each(|(again, layer)| again.line = layer.line);
            assert_eq!(again, config);
        }
    }
}

//! A configuration as YAML text of the official format.

use std::fmt::Write;

use super::{Activation, Argument, ConfigFormat, ModelConfig};

impl ModelConfig {
    /// The configuration as YAML, one line for each layer. Reading it gives the same layers.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "nc: {}", self.classes)?;
        let (depth, width) = (self.depth_multiple, self.width_multiple);
        match self.max_channels {
            Some(most) => writeln!(out, "scales: {{own: [{depth:?}, {width:?}, {most}]}}")?,
            None => writeln!(out, "depth_multiple: {depth:?}\nwidth_multiple: {width:?}")?,
        }
        // The layers do not show how widths are rounded.
        match self.format {
            ConfigFormat::Official => writeln!(out, "anchors: {}", self.anchors)?,
            other => writeln!(out, "format: {}", other.word())?,
        }
        if self.activation != Activation::Silu {
            writeln!(out, "activation: {}", self.activation.to_yaml())?;
        }
        if self.input_channels != 3 {
            writeln!(out, "ch: {}", self.input_channels)?;
        }
        writeln!(out, "backbone:")?;
        let (last, body) = self.layers.split_last().map_or((None, &[][..]), |(last, body)| (Some(last), body));
        for layer in body {
            self.write_row(out, layer)?;
        }
        writeln!(out, "head:")?;
        last.map_or(Ok(()), |layer| self.write_row(out, layer))
    }

    fn write_row(&self, out: &mut String, layer: &super::LayerSpec) -> std::fmt::Result {
        write!(out, "  - [")?;
        match layer.from.as_slice() {
            [one] => write!(out, "{one}")?,
            many => super::argument::write_list(out, many)?,
        }
        write!(out, ", {}, {}, ", layer.number, layer.module)?;
        super::argument::write_list(out, &layer.args.iter().map(Plain).collect::<Vec<_>>())?;
        writeln!(out, "]  # {}", layer.index)
    }
}

/// An argument as YAML reads it back.
struct Plain<'a>(&'a Argument);

impl std::fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Argument::Float(value) => write!(f, "{value:?}"),
            Argument::List(items) => super::argument::write_list(f, &items.iter().map(Plain).collect::<Vec<_>>()),
            Argument::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            other => write!(f, "{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ModelConfig, builtin_configs};

    #[test]
    fn every_builtin_is_read_back_as_it_was() {
        for builtin in builtin_configs() {
            let config = ModelConfig::builtin(builtin.name).unwrap();
            let mut again = ModelConfig::from_yaml(builtin.name, &config.to_yaml()).unwrap();
            again.source.clone_from(&config.source);
            again.layers.iter_mut().zip(&config.layers).for_each(|(again, layer)| again.line = layer.line);
            assert_eq!(again, config);
        }
    }
}

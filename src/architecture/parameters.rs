//! Every tensor that a checkpoint of the network holds: the contract between architecture and weights.

use super::head::REG_MAX;
use super::operation::{Convolution, Parametric};
use super::{Architecture, Role};
use crate::dysample::Definition;

/// A tensor that training stores.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Full name, such as `model.0.conv.weight`.
    pub name: String,
    /// Its shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// Whether it is learned, as opposed to a statistic or a constant.
    pub learned: bool,
    /// Whether the main head depends on it.
    pub role: Role,
}

impl Architecture {
    /// All tensors of an unfused checkpoint, in the order of the layers.
    #[must_use]
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut list = List { parameters: Vec::new(), role: Role::Main };
        for (step, main) in self.steps.iter().zip(&self.main) {
            list.role = if *main { Role::Main } else { Role::Auxiliary };
            match step.operation.parametric() {
                Some(Parametric::Convolution(convolution)) => list.convolution(convolution),
                Some(Parametric::RepConvolution(rep)) => {
                    list.convolution(&rep.large);
                    list.convolution(&rep.small);
                }
                Some(Parametric::DySample(layer)) => list.dysample(&layer.path, &layer.definition),
                None => {}
            }
        }
        for branch in &self.head.branches {
            list.role = branch.role;
            list.push(format!("{}.conv.weight", branch.dfl_path), vec![1, REG_MAX, 1, 1], true);
        }
        list.parameters
    }
}

struct List {
    parameters: Vec<Parameter>,
    role: Role,
}

impl List {
    fn push(&mut self, name: String, shape: Vec<usize>, learned: bool) {
        self.parameters.push(Parameter { name, shape, learned, role: self.role });
    }

    fn convolution(&mut self, convolution: &Convolution) {
        self.push(convolution.weight_name(), convolution.weight_shape().to_vec(), true);
        let output = vec![convolution.output];
        if !convolution.normalised {
            self.push(format!("{}.bias", convolution.path), output, true);
            return;
        }
        for (name, learned) in [("weight", true), ("bias", true), ("running_mean", false), ("running_var", false)] {
            self.push(format!("{}.bn.{name}", convolution.path), output.clone(), learned);
        }
        self.push(format!("{}.bn.num_batches_tracked", convolution.path), Vec::new(), false);
    }

    fn dysample(&mut self, path: &str, definition: &Definition) {
        let weight = definition.stored_weight_shape();
        self.push(format!("{path}.init_pos"), vec![1, definition.offset_channels(), 1, 1], false);
        self.push(format!("{path}.offset.weight"), weight.to_vec(), true);
        self.push(format!("{path}.offset.bias"), vec![weight[0]], true);
        if definition.dyscope {
            // The official module's scope has no bias; that of a widespread tutorial has (weights/bind.rs accepts it).
            self.push(format!("{path}.scope.weight"), weight.to_vec(), true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;

    /// Key counts printed by the official code for each built model.
    #[test]
    fn state_dicts_have_as_many_keys_as_the_official_models() {
        for (name, keys) in [
            ("gelan-t", 1339),
            ("gelan-s", 1339),
            ("gelan-m", 907),
            ("gelan-c", 937),
            ("gelan-e", 1811),
            ("yolov9-t", 1772),
            ("yolov9-s", 1772),
            ("yolov9-m", 1412),
            ("yolov9-c", 1460),
            ("yolov9-e", 2172),
            ("yolov9-c-dysample", 1463),
        ] {
            let architecture = Architecture::new(&ModelConfig::builtin(name).unwrap()).unwrap();
            assert_eq!(architecture.parameters().len(), keys, "{name}");
        }
    }
}

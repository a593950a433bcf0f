//! Which operations the main branch of the head needs: found by walking its wires backwards, so that no table of
//! layer numbers has to be kept for each model.

use super::{Architecture, Role};

impl Architecture {
    pub(super) fn mark_main(&mut self) {
        let values = self.steps.iter().flat_map(|step| &step.outputs).map(|value| value.id + 1).max().unwrap_or(1);
        let mut needed = vec![false; values];
        for level in &self.head.main().levels {
            needed[level.boxes.id] = true;
            needed[level.classes.id] = true;
        }
        let mut main = vec![false; self.steps.len()];
        for (step, main) in self.steps.iter().zip(&mut main).rev() {
            *main = step.outputs.iter().any(|output| needed[output.id]);
            if *main {
                step.inputs.iter().for_each(|input| needed[input.id] = true);
            }
        }
        for layer in &mut self.layers {
            // A layer without operations (Silence) passes its input on: it is needed where its value is.
            if layer.outputs.iter().any(|output| needed[output.id]) {
                layer.role = Role::Main;
            }
        }
        self.main = main;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;

    #[test]
    fn auxiliary_layers_are_those_that_the_conversion_notebook_drops() {
        struct Case(&'static str, &'static [std::ops::RangeInclusive<usize>]);
        for Case(name, dropped) in [
            Case("yolov9-t", &[22..=28]),
            Case("yolov9-s-dysample", &[22..=28]),
            Case("yolov9-m", &[23..=37]),
            Case("yolov9-c-dysample", &[23..=37]),
            Case("yolov9-e", &[29..=35]),
            Case("gelan-e", &[]),
            Case("gelan-c", &[]),
        ] {
            let architecture = Architecture::new(&ModelConfig::builtin(name).unwrap()).unwrap();
            let auxiliary: Vec<usize> =
                architecture.layers.iter().filter(|l| l.role == Role::Auxiliary).map(|l| l.spec.index).collect();
            let expected: Vec<usize> = dropped.iter().cloned().flatten().collect();
            assert_eq!(auxiliary, expected, "{name}");
        }
    }
}

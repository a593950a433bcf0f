//! The same weights without what only training needs: auxiliary branches dropped, and, if asked for, normalisation
//! folded and parallel convolutions merged.

use super::{WeightsError, bind};
use crate::architecture::{Architecture, Role};
use crate::checkpoint::Checkpoint;
use crate::config::{Argument, LayerSpec, ModelConfig, ModuleKind, source_layer};

/// Drops the layers and head branches that only training needs. The rest is numbered anew, as in the official converted
/// files: a deployed YOLOv9 has the layers and names of the GELAN of its size. Weights without auxiliary parts stay as
/// they are.
///
/// # Errors
/// [`WeightsError::Mismatch`] when the weights do not fit `config`.
pub fn deployed(checkpoint: &Checkpoint, config: &ModelConfig) -> Result<Checkpoint, WeightsError> {
    let (architecture, _) = bind(config, checkpoint)?;
    let config = ModelConfig { classes: architecture.head().classes, ..config.clone() };
    if architecture.head().branches.len() == 1 {
        let mut same = checkpoint.clone();
        same.set_config(config.source_with_classes(config.classes));
        return Ok(same);
    }
    let places = new_places(&architecture);
    let mut deployed = checkpoint.renamed(|name| new_name(name, &architecture, &places));
    deployed.set_config(deployed_config(&config, &architecture, &places).to_yaml());
    Ok(deployed)
}

/// As [`deployed`], with a bias in the place of each normalisation and one kernel for each re-parameterised convolution,
/// in f32, under the names of PyTorch's own fused models.
///
/// # Errors
/// As [`deployed`].
pub fn fused(checkpoint: &Checkpoint, config: &ModelConfig) -> Result<Checkpoint, WeightsError> {
    let deployed = deployed(checkpoint, config)?;
    let config = deployed.config().ok().flatten().unwrap_or_else(|| config.clone());
    let (architecture, mut weights) = bind(&config, &deployed)?;
    // What is left are the parameters of DySample and the constants of the head.
    let convolutions: Vec<String> = weights.kernels.keys().map(|path| format!("{path}.")).collect();
    let mut fused = deployed.renamed(|name| {
        let folded = convolutions.iter().any(|path| name.starts_with(path));
        let activation = name.ends_with(".act");
        (activation || !folded).then(|| name.to_owned())
    });
    for step in architecture.main_steps() {
        let Some(convolution) = step.operation.fused_convolution() else { continue };
        let Some(kernel) = weights.kernels.remove(&convolution.path) else { continue };
        let path = convolution.kernel_path();
        fused.insert_f32(&convolution.weight_name(), &convolution.weight_shape(), &kernel.weight);
        fused.insert_f32(&format!("{path}.bias"), &[convolution.output], &kernel.bias);
    }
    Ok(fused)
}

/// The new index of every layer that stays.
fn new_places(architecture: &Architecture) -> Vec<Option<usize>> {
    let layers = architecture.layers();
    let main = |index: &usize| layers[*index].role == Role::Main;
    let sources = |index: usize| layers[index].spec.from.iter().map(move |from| source(index, *from));
    // `Silence` repeats the image for a second reader; the first layer can read the image itself.
    let readers = (0..layers.len()).filter(main).filter(|index| sources(*index).any(|source| source == Some(0)));
    let needless = layers.first().is_some_and(|layer| layer.spec.module == ModuleKind::Silence) && readers.eq([1]);
    let mut next = 0;
    let place = |index| {
        let stays = main(&index) && !(index == 0 && needless);
        let place = stays.then_some(next);
        next += usize::from(stays);
        place
    };
    (0..layers.len()).map(place).collect()
}

/// The layer that a `from` of layer `index` means; none for the image.
fn source(index: usize, from: i64) -> Option<usize> {
    usize::try_from(source_layer(index, from)).ok()
}

fn new_name(name: &str, architecture: &Architecture, places: &[Option<usize>]) -> Option<String> {
    let head = architecture.head();
    let below = |path: &str| name.strip_prefix(path).filter(|rest| rest.is_empty() || rest.starts_with('.'));
    let main = head.main();
    let at = places[head.layer]?;
    for (path, new) in [(&main.box_path, "cv2"), (&main.class_path, "cv3"), (&main.dfl_path, "dfl")] {
        if let Some(rest) = below(path) {
            return Some(format!("model.{at}.{new}{rest}"));
        }
    }
    let rest = name.strip_prefix("model.")?;
    let (index, rest) = rest.split_once('.').unwrap_or((rest, ""));
    let index: usize = index.parse().ok().filter(|index| *index != head.layer)?;
    let place = (*places.get(index)?)?;
    Some(if rest.is_empty() { format!("model.{place}") } else { format!("model.{place}.{rest}") })
}

fn deployed_config(config: &ModelConfig, architecture: &Architecture, places: &[Option<usize>]) -> ModelConfig {
    let mut layers = Vec::with_capacity(config.layers.len());
    for (layer, place) in config.layers.iter().zip(places) {
        let Some(index) = *place else { continue };
        let is_head = layer.index == architecture.head().layer;
        let levels = architecture.head().main().levels.len();
        let from = if is_head { &layer.from[layer.from.len() - levels..] } else { &layer.from };
        let from = from.iter().map(|from| {
            let source = source(layer.index, *from).and_then(|source| places[source]);
            source.filter(|source| source + 1 != index || is_head).map_or(-1, |source| source as i64)
        });
        layers.push(LayerSpec {
            index,
            line: None,
            from: from.collect(),
            module: if is_head { single(layer.module) } else { layer.module },
            args: if is_head { vec![Argument::Classes] } else { layer.args.clone() },
            number: layer.number,
        });
    }
    ModelConfig { layers, ..config.clone() }
}

fn single(head: ModuleKind) -> ModuleKind {
    match head {
        ModuleKind::DualDetect | ModuleKind::TripleDetect => ModuleKind::Detect,
        _ => ModuleKind::DDetect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The conversion of the official repository maps each YOLOv9 onto the GELAN of its size, index by index.
    #[test]
    fn deployed_configs_are_those_of_gelan() {
        for size in ["t", "s", "m", "c", "e"] {
            let config = ModelConfig::builtin(&format!("yolov9-{size}")).unwrap();
            let architecture = Architecture::new(&config).unwrap();
            let deployed = deployed_config(&config, &architecture, &new_places(&architecture));
            let gelan = ModelConfig::builtin(&format!("gelan-{size}")).unwrap();
            assert_eq!(deployed.layers.len(), gelan.layers.len(), "{size}");
            for (layer, expected) in deployed.layers.iter().zip(&gelan.layers) {
                let sources =
                    |layer: &LayerSpec| layer.from.iter().map(|from| source(layer.index, *from)).collect::<Vec<_>>();
                assert_eq!(
                    (layer.index, layer.module, &layer.args, sources(layer)),
                    (expected.index, expected.module, &expected.args, sources(expected)),
                    "{size}"
                );
            }
            let names = |config| Architecture::new(config).unwrap().parameters();
            let mut renamed: Vec<_> = architecture
                .parameters()
                .into_iter()
                .filter_map(|p| new_name(&p.name, &architecture, &new_places(&architecture)))
                .collect();
            let mut expected: Vec<_> = names(&gelan).into_iter().map(|p| p.name).collect();
            renamed.sort();
            expected.sort();
            assert_eq!(renamed, expected, "{size}");
        }
    }
}

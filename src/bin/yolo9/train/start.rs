//! What a run starts from.

use anyhow::Context;
use yolo9::architecture::{Architecture, Layer, Role};
use yolo9::checkpoint::Checkpoint;
use yolo9::config::{ModelConfig, ModuleKind};
use yolo9::model::resolve_config;
use yolo9::train::{Device, Start};
use yolo9::weights;

use super::settings::TrainSettings;
use crate::cli::Globals;
use crate::model::open_config;
use crate::report::counted;
use crate::weights::open_weights;

/// Names that are written out; of more the number is enough.
const SHOWN: usize = 4;

/// The network with its first values, and a line that says where they come from.
pub(super) fn open(
    settings: &TrainSettings,
    names: &[String],
    device: &Device,
    globals: &Globals,
) -> anyhow::Result<Start> {
    let target = settings.config.as_deref().map(open_config).transpose()?;
    let checkpoint = settings.weights.as_deref().map(|weights| open_weights(weights, globals)).transpose()?;
    let (config, checkpoint) = match (target, checkpoint) {
        (Some(config), None) => (config, None),
        (target, Some(checkpoint)) => {
            let (config, checkpoint) = fitted(target, checkpoint, settings)?;
            (config, Some(checkpoint))
        }
        (None, None) => anyhow::bail!("neither weights nor a config to start from"),
    };
    let mut start = Start::new(&config, checkpoint.as_ref(), names.len(), settings.seed, device)?;
    describe(&start, &config, checkpoint.as_ref(), settings);
    if let Some(theirs) = checkpoint.as_ref().and_then(|checkpoint| checkpoint.metadata().class_names.as_ref()) {
        warn_of_other_classes(theirs, names);
    }
    freeze(&mut start, settings)?;
    Ok(start)
}

fn fitted(
    target: Option<ModelConfig>,
    checkpoint: Checkpoint,
    settings: &TrainSettings,
) -> anyhow::Result<(ModelConfig, Checkpoint)> {
    let config = match target {
        Some(config) => config,
        None => resolve_config(&checkpoint, None)?,
    };
    let checkpoint = match settings.lift {
        Some(lift) => weights::lifted(&checkpoint, &config, lift)?,
        None => checkpoint,
    };
    Ok((config, checkpoint))
}

fn describe(start: &Start, config: &ModelConfig, checkpoint: Option<&Checkpoint>, settings: &TrainSettings) {
    let all = start.copied + start.fresh.len();
    let Some(checkpoint) = checkpoint else {
        log::info!("{}: {all} tensors from random values (seed {})", config.name, settings.seed);
        return;
    };
    if start.fresh.is_empty() {
        let lifted = settings
            .lift
            .map_or_else(String::new, |lift| format!("; DySample initialised to compute what {lift} upsampling does"));
        log::info!("{}: all {all} tensors taken over{lifted}", checkpoint.name());
        return;
    }
    let shown: Vec<&str> = start.fresh.iter().take(SHOWN).map(String::as_str).collect();
    let more = if start.fresh.len() > SHOWN { ", …" } else { "" };
    log::warn!(
        "{}: {} of {all} tensors of the network taken over; {} new, from random values: {}{more}",
        checkpoint.name(),
        start.copied,
        counted(start.fresh.len(), "tensor"),
        shown.join(", ")
    );
    let lacks_dysample = start.fresh.iter().any(|name| name.ends_with(".offset.weight"));
    if lacks_dysample && settings.lift.is_none() {
        log::warn!("DySample starts from random offsets; --lift nearest would start from what the weights do now");
    }
}

/// The output of a class goes on as that of the class with its number, whatever that is called.
fn warn_of_other_classes(theirs: &[String], ours: &[String]) {
    if theirs.len() != ours.len() {
        return;
    }
    let other = |(theirs, ours): &(&String, &String)| !theirs.eq_ignore_ascii_case(ours);
    if let Some((was, is)) = theirs.iter().zip(ours).find(other) {
        let count = theirs.iter().zip(ours).filter(other).count();
        log::warn!(
            "{} of the weights called otherwise than in the dataset, beginning with `{was}`, which goes on as `{is}`: classes \
             meet by their numbers",
            if count == 1 { "1 class is".to_owned() } else { format!("{count} classes are") }
        );
    }
}

/// Keeps from moving what the settings say.
fn freeze(start: &mut Start, settings: &TrainSettings) -> anyhow::Result<()> {
    let Start { architecture, parameters, .. } = start;
    if settings.train_only.is_some() {
        let steps = architecture.steps().iter();
        let modules: Vec<String> =
            steps.filter_map(|step| Some(format!("{}.", step.operation.as_dysample()?.path))).collect();
        anyhow::ensure!(!modules.is_empty(), "--train-only dysample: the network has no DySample");
        parameters.freeze(|name| !modules.iter().any(|module| name.starts_with(module)));
    } else if let Some(layers) = &settings.freeze {
        let count = match layers.as_str() {
            "backbone" => backbone(architecture),
            number => number.parse().with_context(|| format!("--freeze {number}: not a number of layers"))?,
        };
        let all = architecture.layers().len();
        anyhow::ensure!(count < all, "--freeze {layers}: the network has {all} layers; none would be left");
        parameters.freeze(|name| layer_of(name).is_some_and(|layer| layer < count));
    }
    let frozen = parameters.learned.iter().filter(|learned| learned.frozen).count();
    if frozen > 0 {
        log::info!("{frozen} of {} tensors are frozen", parameters.learned.len());
    }
    Ok(())
}

/// The layer of `model.12.conv.weight`.
fn layer_of(name: &str) -> Option<usize> {
    name.strip_prefix("model.")?.split('.').next()?.parse().ok()
}

/// Layers before the first one of the main branch that pools in a pyramid or upsamples: where the neck begins.
fn backbone(architecture: &Architecture) -> usize {
    let begins_neck = |layer: &&Layer| {
        let kind = layer.spec.module;
        let is_of_neck =
            matches!(kind, ModuleKind::SppElan | ModuleKind::SppCspc | ModuleKind::Upsample | ModuleKind::DySample);
        layer.role == Role::Main && is_of_neck
    };
    architecture.layers().iter().find(begins_neck).map_or(0, |layer| layer.spec.index)
}

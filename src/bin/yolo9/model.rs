//! From the model options to a network.

use std::path::Path;

use anyhow::Context;
use yolo9::architecture::Form;
use yolo9::checkpoint::Checkpoint;
use yolo9::config::{ModelConfig, class_names_from_file};
use yolo9::{Network, Size, embedded};

use crate::args::ModelArgs;

/// A file of that name, else the embedded model of that name.
pub(crate) fn open_weights(weights: &str) -> anyhow::Result<Checkpoint> {
    // An empty YOLO9_WEIGHTS is as good as none.
    let weights = if weights.is_empty() { embedded::models()[0].name } else { weights };
    let path = Path::new(weights);
    if path.exists() {
        let checkpoint = Checkpoint::open(path)?;
        checkpoint.warnings().iter().for_each(|warning| log::warn!("{weights}: {warning}"));
        log::debug!("{weights}: {}", checkpoint.description());
        return Ok(checkpoint);
    }
    let known = embedded::models().iter().find(|model| model.name == weights);
    let Some(model) = known else {
        let names: Vec<_> = embedded::models().iter().map(|model| model.name).collect();
        anyhow::bail!("weights {weights}: no such file; embedded models are {}", names.join(", "));
    };
    Ok(model.checkpoint()?)
}

/// A YAML file, else the built-in config of that name.
pub(crate) fn open_config(config: &str) -> anyhow::Result<ModelConfig> {
    let path = Path::new(config);
    Ok(if path.is_file() { ModelConfig::from_file(path)? } else { ModelConfig::builtin(config)? })
}

/// The network that the options ask for, with a line that says what it is.
pub(crate) fn open_network(args: &ModelArgs) -> anyhow::Result<Network> {
    // The config first: it is small, and its mistakes are the user's own.
    let config = args.config.as_deref().map(open_config).transpose()?;
    let checkpoint = open_weights(&args.weights)?;
    let mut network = Network::assemble(&checkpoint, config.as_ref())?;
    if let Some(path) = &args.names {
        let names = class_names_from_file(path)?;
        network = network.with_class_names(names, &path.display().to_string())?;
    }
    if network.names_are_placeholders {
        log::warn!("{} carries no class names; give them with --names", args.weights);
    }
    describe(&network, &args.weights)?;
    Ok(network)
}

fn describe(network: &Network, weights: &str) -> anyhow::Result<()> {
    let cost = network.architecture.cost(Size::square(640), Form::Deployed).context("cost of the network")?;
    let classes = network.class_names.len();
    let auxiliary = match network.architecture.auxiliary_layers() {
        0 => String::new(),
        count => format!(", {count} auxiliary layers left out"),
    };
    log::info!(
        "Model {weights}: {classes} class{}, {:.2} M parameters, {:.1} GFLOPs at 640x640{auxiliary}",
        if classes == 1 { "" } else { "es" },
        cost.parameters as f64 / 1e6,
        cost.gflops()
    );
    Ok(())
}

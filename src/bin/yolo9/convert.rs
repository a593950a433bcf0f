//! `yolo9 convert`.

use yolo9::checkpoint::{Checkpoint, RESERVED_METADATA};
use yolo9::model::{ModelError, resolve_config};
use yolo9::output::write_atomically;
use yolo9::weights::{self, LIFTED};

use crate::cli::{ConvertArgs, Globals};
use crate::exit::ExitStatus;
use crate::model::{open_config, output_path};
use crate::weights::{open_weights, provenance};

/// Keys of metadata that are not for users to set.
const OWN_METADATA: &[&str] = &[LIFTED, "stride", "origin", "origin_sha256", "origin_format"];

fn parse_metadata(text: &str) -> anyhow::Result<(&str, &str)> {
    match text.split_once('=') {
        Some((key, _)) if RESERVED_METADATA.contains(&key) || OWN_METADATA.contains(&key) => {
            anyhow::bail!("--metadata {text}: `{key}` is a key of the file format")
        }
        Some((key, value)) if !key.is_empty() => Ok((key, value)),
        _ => anyhow::bail!("--metadata {text}: is not of the form key=text"),
    }
}

pub(crate) fn run(args: &ConvertArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    let metadata = args.metadata.iter().map(|text| parse_metadata(text)).collect::<anyhow::Result<Vec<_>>>()?;
    let inputs = [args.input.as_str(), args.to.as_deref().unwrap_or_default()];
    let output = output_path(args.output.as_deref(), &["safetensors", "pt"], args.exist_ok, &inputs)?;
    let target = args.to.as_deref().map(open_config).transpose()?;
    let mut checkpoint = open_weights(&args.input, globals)?;
    let format = checkpoint.config_format();
    checkpoint = match (&target, args.lift) {
        (Some(target), Some(upsampler)) => weights::lifted(&checkpoint, target, upsampler)?,
        (Some(target), None) => weights::retarget(&checkpoint, target)?,
        (None, _) => with_config(checkpoint)?,
    };
    if args.deploy || args.fuse {
        let config = resolve_config(&checkpoint, None)?;
        let simplify = if args.fuse { weights::fused } else { weights::deployed };
        checkpoint = simplify(&checkpoint, &config)?;
    }
    if args.half {
        checkpoint = checkpoint.to_half()?;
    }
    // What was noted at an earlier conversion comes from the first file.
    if !checkpoint.metadata().extra.contains_key("origin") {
        let (name, hash) = provenance(&args.input, globals)?;
        checkpoint.set_metadata("origin", &name);
        checkpoint.set_metadata("origin_sha256", &hash);
        checkpoint.set_metadata("origin_format", &format.to_string());
    }
    for (key, value) in metadata {
        checkpoint.set_metadata(key, value);
    }
    let is_torch = output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("pt"));
    if is_torch && !args.metadata.is_empty() {
        log::warn!("{}: a state dict of PyTorch has no place for --metadata", output.display());
    }
    let bytes = if is_torch { checkpoint.to_torch()? } else { checkpoint.to_safetensors()? };
    write_atomically(&output, &bytes)?;
    if let (Some(_), Some(lifted)) = (args.lift, checkpoint.metadata().extra.get(LIFTED)) {
        log::info!("{}: initialised {lifted}", output.display());
    }
    log::info!("{}: {} tensors, {} bytes", output.display(), checkpoint.tensors().len(), bytes.len());
    Ok(ExitStatus::Done)
}

/// With the config that a bare state dict is recognised by, and the strides. Weights of a network that is not known stay
/// weights.
fn with_config(mut checkpoint: Checkpoint) -> anyhow::Result<Checkpoint> {
    let config = match resolve_config(&checkpoint, None) {
        Ok(config) => config,
        Err(error @ ModelError::NoConfig { .. }) => {
            log::warn!("{error}; the new file will not say it either (--to names the config)");
            return Ok(checkpoint);
        }
        Err(error) => return Err(error.into()),
    };
    let (architecture, _) = weights::bind(&config, &checkpoint)?;
    let own = checkpoint.config()?;
    match &own {
        None => checkpoint.set_config(config.source_with_classes(architecture.head().classes)),
        // What the weights decided is said once, and written down.
        Some(own) if own.activation != config.activation => checkpoint.set_config(config.to_yaml()),
        Some(_) => {}
    }
    let strides: Vec<String> = architecture.head().main().levels.iter().map(|level| level.stride.to_string()).collect();
    checkpoint.set_metadata("stride", &strides.join(","));
    Ok(checkpoint)
}

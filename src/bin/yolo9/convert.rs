//! `yolo9 convert`.

use std::path::PathBuf;

use clap::Args;
use yolo9::checkpoint::{Checkpoint, RESERVED_FACTS};
use yolo9::dysample::Lift;
use yolo9::output::write_atomically;
use yolo9::weights::{self, LIFTED};
use yolo9::{NetworkError, config_of};

use crate::Outcome;
use crate::args::Globals;
use crate::model::{check_output, open_config};
use crate::weights::{open_weights, provenance};

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// Checkpoint.
    #[arg(value_name = "FILE")]
    input: String,

    /// The file to write.
    #[arg(short, long, value_name = "FILE.safetensors")]
    output: PathBuf,

    /// Fit the weights to this architecture, and store it with them: a YAML file, or a built-in name.
    #[arg(long, value_name = "FILE|NAME")]
    to: Option<String>,

    /// Give the DySample modules that the weights lack parameters with which they do what this upsampler does. Lifted
    /// to nearest, a network trained with nn.Upsample computes exactly what it did.
    #[arg(long, value_name = "nearest|bilinear", requires = "to")]
    lift: Option<Lift>,

    /// Leave out what only training needs: the auxiliary branch. Rows are numbered anew, as in official converted files.
    #[arg(long)]
    deploy: bool,

    /// As --deploy, with batch normalisation folded into the convolutions and parallel convolutions merged (f32).
    #[arg(long)]
    fuse: bool,

    /// Store floating point numbers as f16.
    #[arg(long)]
    half: bool,

    /// Notes to keep in the file, such as --fact licence=MIT.
    #[arg(long, value_name = "KEY=TEXT", value_parser = parse_fact)]
    fact: Vec<(String, String)>,

    /// Replace an existing file.
    #[arg(long)]
    exist_ok: bool,
}

/// Facts that are not for users to state.
const OWN_FACTS: &[&str] = &[LIFTED, "stride", "origin", "origin_sha256", "origin_dialect"];

fn parse_fact(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, _)) if RESERVED_FACTS.contains(&key) || OWN_FACTS.contains(&key) => {
            Err(format!("`{key}` is a key of the file format"))
        }
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(format!("`{text}` is not of the form key=text")),
    }
}

pub(crate) fn run(args: &ConvertArgs, globals: &Globals) -> anyhow::Result<Outcome> {
    check_output(&args.output, "safetensors", args.exist_ok, &[&args.input, args.to.as_deref().unwrap_or_default()])?;
    let target = args.to.as_deref().map(open_config).transpose()?;
    let mut checkpoint = open_weights(&args.input, globals)?;
    let dialect = checkpoint.dialect();
    checkpoint = match (&target, args.lift) {
        (Some(target), Some(upsampler)) => weights::lifted(&checkpoint, target, upsampler)?,
        (Some(target), None) => weights::retarget(&checkpoint, target)?,
        (None, _) => with_config(checkpoint)?,
    };
    if args.deploy || args.fuse {
        let config = config_of(&checkpoint, None)?;
        let simplify = if args.fuse { weights::fused } else { weights::deployed };
        checkpoint = simplify(&checkpoint, &config)?;
    }
    if args.half {
        checkpoint = checkpoint.to_half()?;
    }
    // What was noted at an earlier conversion comes from the first file.
    if !checkpoint.metadata().facts.contains_key("origin") {
        let (name, hash) = provenance(&args.input, globals)?;
        checkpoint.add_fact("origin", &name);
        checkpoint.add_fact("origin_sha256", &hash);
        checkpoint.add_fact("origin_dialect", &dialect.to_string());
    }
    for (key, value) in &args.fact {
        checkpoint.add_fact(key, value);
    }
    let bytes = checkpoint.to_safetensors()?;
    write_atomically(&args.output, &bytes)?;
    if let (Some(_), Some(lifted)) = (args.lift, checkpoint.metadata().facts.get(LIFTED)) {
        log::info!("{}: lifted {lifted}", args.output.display());
    }
    log::info!("{}: {} tensors, {} bytes", args.output.display(), checkpoint.tensors().len(), bytes.len());
    Ok(Outcome::Done)
}

/// With the config that a bare state dict is recognised by, and the strides. Weights of a network that is not known stay
/// weights.
fn with_config(mut checkpoint: Checkpoint) -> anyhow::Result<Checkpoint> {
    let config = match config_of(&checkpoint, None) {
        Ok(config) => config,
        Err(error @ NetworkError::NoConfig { .. }) => {
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
    checkpoint.add_fact("stride", &strides.join(","));
    Ok(checkpoint)
}

//! `yolo9 convert`.

use std::path::PathBuf;

use clap::Args;
use yolo9::checkpoint::RESERVED_FACTS;
use yolo9::dysample::Lift;
use yolo9::output::write_atomically;
use yolo9::weights::{self, LIFTED};

use crate::Outcome;
use crate::model::{open_config, open_weights};

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

    /// Notes to keep in the file, such as --fact licence=MIT.
    #[arg(long, value_name = "KEY=TEXT", value_parser = parse_fact)]
    fact: Vec<(String, String)>,

    /// Replace an existing file.
    #[arg(long)]
    exist_ok: bool,
}

fn parse_fact(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, _)) if RESERVED_FACTS.contains(&key) || key == LIFTED => {
            Err(format!("`{key}` is a key of the file format"))
        }
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(format!("`{text}` is not of the form key=text")),
    }
}

pub(crate) fn run(args: &ConvertArgs) -> anyhow::Result<Outcome> {
    if args.output.exists() && !args.exist_ok {
        anyhow::bail!("{} exists; choose another name, or replace it with --exist-ok", args.output.display());
    }
    let target = args.to.as_deref().map(open_config).transpose()?;
    let mut checkpoint = open_weights(&args.input)?;
    checkpoint = match (&target, args.lift) {
        (Some(target), Some(upsampler)) => weights::lifted(&checkpoint, target, upsampler)?,
        (Some(target), None) => weights::retarget(&checkpoint, target)?,
        (None, _) => checkpoint,
    };
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

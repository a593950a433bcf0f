//! How much memory a side takes: in a process of its own, since one process cannot tell two models apart.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use clap::Args;
use yolo9::Size;
use yolo9::detect::Preset;
use yolo9::runtime::{Runtime, SessionOptions};

use super::CompareArgs;
use super::side::{Common, Side, SideArg, peak_memory};
use crate::Outcome;
use crate::args::{DySampleArg, Globals, RuntimeArgs, parse_size};
use crate::console::print_line;

/// What `compare` asks a process of its own.
#[derive(Debug, Args)]
pub(crate) struct MemoryArgs {
    side: SideArg,

    #[command(flatten)]
    runtime: RuntimeArgs,

    #[arg(long, value_parser = parse_size)]
    imgsz: Option<Size>,
}

/// Opens a side, runs it once, and prints the most memory that took, in bytes.
pub(crate) fn run(args: &MemoryArgs, globals: &Globals) -> anyhow::Result<Outcome> {
    let runtime = Runtime::load(&args.runtime.library(globals))?;
    let threads = args.runtime.threads.map_or(1, usize::from);
    let (session, preset) = (SessionOptions { threads, ..args.runtime.session() }, Preset::default());
    Side::open(&args.side, &Common { globals, runtime: &runtime, session, imgsz: args.imgsz, preset })?;
    if let Some(bytes) = peak_memory() {
        print_line!("{bytes}");
    }
    Ok(Outcome::Done)
}

/// Nothing where it cannot be measured.
pub(super) fn of_side(side: &SideArg, args: &CompareArgs, globals: &Globals) -> Option<u64> {
    let mut arguments: Vec<OsString> = vec!["memory".into(), side.text().into(), "-q".into(), "--no-config".into()];
    if let Some(size) = args.imgsz {
        arguments.extend(["--imgsz".into(), format!("{}x{}", size.height, size.width).into()]);
    }
    if let Some(library) = &args.runtime.onnxruntime {
        arguments.extend(["--onnxruntime".into(), library.into()]);
    }
    if let Some(threads) = args.runtime.threads {
        arguments.extend(["--threads".into(), threads.to_string().into()]);
    }
    if args.runtime.dysample == DySampleArg::Onnx {
        arguments.extend(["--dysample".into(), "onnx".into()]);
    }
    if globals.is_offline() {
        arguments.push("--offline".into());
    }
    let program = std::env::current_exe().ok()?;
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    std::str::from_utf8(&output.stdout).ok()?.trim().parse().ok()
}

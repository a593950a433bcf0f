//! How much memory a side takes: in a process of its own, since one process cannot tell two models apart.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use clap::ValueEnum;

use super::side::{Common, Side, computed, peak_memory};
use crate::cli::{CompareArgs, Globals, MemoryArgs, SideArg};
use crate::console::print_line;
use crate::exit::ExitStatus;
use crate::{devices, options};

/// Opens a side, runs it once, and prints the most memory that took, in bytes.
pub(crate) fn run(args: &MemoryArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    let session = options::compared_session(&args.runtime);
    let runtime = devices::runtime_for(&args.runtime, globals, &[computed(&args.side, &session)])?;
    Side::open(&args.side, &Common { globals, runtime: &runtime, session, input: &args.input })?;
    if let Some(bytes) = peak_memory() {
        print_line!("{bytes}");
    }
    Ok(ExitStatus::Done)
}

/// Nothing where it cannot be measured.
pub(super) fn of_side(side: &SideArg, args: &CompareArgs, globals: &Globals) -> Option<u64> {
    let mut arguments: Vec<OsString> =
        vec!["memory".into(), side.text.as_str().into(), "-q".into(), "--no-config".into()];
    if let Some(size) = args.input.imgsz {
        arguments.extend(["--imgsz".into(), format!("{}x{}", size.height, size.width).into()]);
    }
    if let Some(library) = &args.runtime.onnxruntime {
        arguments.extend(["--onnxruntime".into(), library.into()]);
    }
    if let Some(threads) = args.runtime.threads {
        arguments.extend(["--threads".into(), threads.to_string().into()]);
    }
    let dysample = args.runtime.dysample.to_possible_value().expect("none is hidden");
    arguments.extend(["--dysample".into(), dysample.get_name().into()]);
    arguments.extend(["--device".into(), args.runtime.device.to_string().into()]);
    arguments.extend(["--precision".into(), devices::precision(&args.runtime).to_string().into()]);
    if globals.is_offline() {
        arguments.push("--offline".into());
    }
    let asked = || -> anyhow::Result<u64> {
        let program = std::env::current_exe()?;
        let output = Command::new(program).args(&arguments).stdin(Stdio::null()).stderr(Stdio::null()).output()?;
        Ok(std::str::from_utf8(&output.stdout)?.trim().parse()?)
    };
    // Other systems than Linux do not say it.
    asked().inspect_err(|error| log::debug!("memory of {}: not measured: {error}", side.text)).ok()
}

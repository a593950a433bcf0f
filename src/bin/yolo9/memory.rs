//! How much memory a model takes: in a process of its own, since one process cannot tell two models apart.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use yolo9::detect::{DetectorOptions, Engine};

use crate::cli::{DYSAMPLE, Globals, InputArgs, MemoryArgs, ModelArgs, NamesArg, RuntimeArgs};
use crate::console::print_line;
use crate::exit::ExitStatus;
use crate::model::load_or_random;
use crate::{devices, options};

/// Opens a model, runs it once, and prints the most memory that took, in bytes.
pub(crate) fn run(args: &MemoryArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    let runtime = devices::runtime(&args.runtime, globals)?;
    let model = load_or_random(&args.model, globals)?;
    let letterbox = options::letterbox(&args.input, &model)?;
    let backend = model.into_sessions(&runtime, &options::compared_session(&args.runtime), 1)?.remove(0);
    let grey = image::RgbImage::new(letterbox.target.width as u32, letterbox.target.height as u32);
    let detector = DetectorOptions::new(letterbox, options::preset(&args.input).postprocess());
    Engine::new(backend, detector).detect(&grey)?;
    if let Some(bytes) = peak_memory() {
        print_line!("{bytes}");
    }
    Ok(ExitStatus::Done)
}

/// In bytes; nothing where it cannot be measured.
pub(crate) fn of_model(model: &ModelArgs, runtime: &RuntimeArgs, input: &InputArgs, globals: &Globals) -> Option<u64> {
    let mut arguments: Vec<OsString> = ["memory", "-q", "--no-config", "--weights"].map(OsString::from).to_vec();
    arguments.push(model.weights.as_str().into());
    let mut give = |option: &str, value: Option<OsString>| {
        if let Some(value) = value {
            arguments.extend([OsString::from(option), value]);
        }
    };
    give("--config", model.config.as_ref().map(OsString::from));
    give(
        "--names",
        model.names.as_ref().map(|names| match names {
            NamesArg::Coco => "coco".into(),
            NamesArg::File(path) => path.into(),
        }),
    );
    give("--imgsz", input.imgsz.map(|size| format!("{}x{}", size.height, size.width).into()));
    give("--onnxruntime", runtime.engine.onnxruntime.as_ref().map(OsString::from));
    give("--threads", runtime.engine.threads.map(|threads| threads.to_string().into()));
    let dysample = DYSAMPLE.iter().find(|(_, value)| *value == runtime.engine.dysample);
    give("--dysample", dysample.map(|(word, _)| word.into()));
    give("--device", Some(runtime.device.to_string().into()));
    give("--precision", devices::precision(runtime).map(|precision| precision.to_string().into()));
    if globals.is_offline() {
        arguments.push("--offline".into());
    }
    let asked = || -> anyhow::Result<u64> {
        let program = std::env::current_exe()?;
        let output = Command::new(program).args(&arguments).stdin(Stdio::null()).stderr(Stdio::null()).output()?;
        Ok(std::str::from_utf8(&output.stdout)?.trim().parse()?)
    };
    // Other systems than Linux do not say it.
    asked().inspect_err(|error| log::debug!("memory of {}: not measured: {error}", model.weights)).ok()
}

/// Most memory that this process had in RAM, where the system says it (Linux).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

//! The command line: what can be typed. What it means is in the file of each subcommand.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use yolo9::Size;
use yolo9::detect::Preset;
use yolo9::runtime::library::LibraryOptions;
use yolo9::runtime::{DySampleBackend, SessionOptions};

use crate::console::say;
use crate::settings_file::Settings;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 wrong usage or model or an output that cannot be written, 2 some inputs failed, 3 no input found, 130 interrupted.";

/// YOLOv9 detection without Python: reads YAML configs and PyTorch checkpoints, runs on ONNX Runtime, knows DySample.
#[derive(Debug, Parser)]
#[command(name = "yolo9", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) globals: Globals,
}

/// What every command knows.
#[derive(Debug, Args)]
pub(crate) struct Globals {
    /// Only results and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Also what was found, read and decided on the way (-vv: ONNX Runtime's own messages too).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Leave out the settings of yolo9.toml (see `yolo9 config`).
    #[arg(long, global = true)]
    pub(crate) no_config: bool,

    /// What stderr is: lines for people, or a JSON object a line for programs.
    #[arg(long, global = true, value_enum, value_name = "text|json", default_value_t = LogArg::Text)]
    pub(crate) log: LogArg,

    /// Never fetch anything (also YOLO9_OFFLINE=1).
    #[arg(long, global = true)]
    pub(crate) offline: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogArg {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find objects in pictures.
    Detect(Box<crate::detect::DetectArgs>),
    /// Measure how good a model is on labelled pictures.
    Val(Box<crate::val::ValArgs>),
    /// Compare two models: boxes, accuracy, size and time.
    Compare(Box<crate::compare::CompareArgs>),
    /// Draw where the DySample modules of a network sample in a picture.
    Explain(Box<crate::explain::ExplainArgs>),
    #[command(hide = true)]
    Memory(crate::compare::memory::MemoryArgs),
    /// Join the output folders of `detect --shard 1/N` to `N/N`.
    Merge(crate::merge::MergeArgs),
    /// Write a checkpoint as a safetensors file that carries its config and class names.
    Convert(crate::convert::ConvertArgs),
    /// Say what is in a model file or config, or what two of them differ in.
    Info(crate::info::InfoArgs),
    /// List, fetch and remove released weights.
    Models(crate::models::ModelsArgs),
    /// Write a network as an ONNX file that other runtimes run.
    Export(crate::export::ExportArgs),
    /// Measure how long the stages of a detection take, or how two networks compare.
    Bench(crate::bench::BenchArgs),
    /// Show the settings of yolo9.toml, or what the options of a command are set to.
    Config(crate::settings_file::ConfigArgs),
    /// List the built-in configs, or print one.
    Configs(crate::configs::ConfigsArgs),
    /// Write the completions of a shell to stdout.
    Completions(crate::manual::CompletionsArgs),
    /// Write the manual page to stdout.
    Man,
    /// Say what was found on this machine, and try the embedded model.
    Doctor(crate::doctor::DoctorArgs),
}

impl Command {
    /// Its name, if options decide about its results: a reader of these should know where they come from.
    pub(crate) fn is_configurable(&self) -> Option<&'static str> {
        match self {
            Command::Detect(_) => Some("detect"),
            Command::Compare(_) => Some("compare"),
            Command::Explain(_) => Some("explain"),
            Command::Val(_) => Some("val"),
            Command::Bench(_) => Some("bench"),
            Command::Convert(_) => Some("convert"),
            Command::Export(_) => Some("export"),
            Command::Merge(_) => Some("merge"),
            _ => None,
        }
    }
}

impl Globals {
    pub(crate) fn is_offline(&self) -> bool {
        self.offline || yolo9::offline_by_variable()
    }
}

/// Which network.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct ModelArgs {
    /// Checkpoint of any YOLOv9 code (.pt, .safetensors), exported network (.onnx), embedded model, or the name of a
    /// released file, which is fetched (see `yolo9 models`).
    #[arg(short, long, env = "YOLO9_WEIGHTS", value_name = "FILE|NAME", default_value = "codes-dysample")]
    pub(crate) weights: String,

    /// Architecture, if not that of the checkpoint: a YAML file, or a built-in name (see `yolo9 configs`).
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) config: Option<String>,

    /// Class names, if not those of the checkpoint: a data YAML with `names:`, or one name per line.
    #[arg(long, value_name = "FILE")]
    pub(crate) names: Option<PathBuf>,
}

impl ModelArgs {
    /// The files that it names, which nothing may be written over.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let named = [Some(&self.weights), self.config.as_ref()].into_iter().flatten().map(PathBuf::from);
        named.chain(self.names.clone()).filter(|path| path.exists()).collect()
    }
}

/// Whose defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PresetArg {
    Yolov9,
    Ultralytics,
}

impl PresetArg {
    pub(crate) fn preset(self) -> Preset {
        match self {
            PresetArg::Yolov9 => Preset::Yolov9,
            PresetArg::Ultralytics => Preset::Ultralytics,
        }
    }
}

/// How it runs.
#[derive(Debug, Args)]
pub(crate) struct RuntimeArgs {
    /// Threads for inference; by default all that the system grants.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// What computes DySample: our operator, or the standard ONNX operators that other runtimes use.
    #[arg(long, value_enum, value_name = "native|onnx", default_value_t = DySampleArg::Native)]
    pub(crate) dysample: DySampleArg,

    /// The ONNX Runtime library to load (also ORT_DYLIB_PATH); by default it is found or fetched.
    #[arg(long, value_name = "FILE")]
    pub(crate) onnxruntime: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DySampleArg {
    Native,
    Onnx,
}

impl RuntimeArgs {
    pub(crate) fn library(&self, globals: &Globals) -> LibraryOptions {
        LibraryOptions { path: self.onnxruntime.clone(), offline: globals.offline }
    }

    pub(crate) fn session(&self) -> SessionOptions {
        let granted = SessionOptions::default().threads;
        let threads = self.threads.map_or(granted, usize::from);
        static WARNED: std::sync::Once = std::sync::Once::new();
        if threads > granted {
            WARNED.call_once(|| {
                log::warn!(
                    "--threads {threads} is more than the {granted} that the system grants: expect it to be slower"
                )
            });
        }
        let dysample = match self.dysample {
            DySampleArg::Native => DySampleBackend::Native,
            DySampleArg::Onnx => DySampleBackend::Onnx,
        };
        // Threads that wait for work by spinning keep those from working that have no core.
        let spinning = SessionOptions::default().spinning && threads <= granted;
        SessionOptions { threads, dysample, spinning, ..SessionOptions::default() }
    }
}

/// The parsed command line and the settings behind it, or the exit code after a message: clap's own code for wrong usage,
/// 2, means something else here.
pub(crate) fn parse() -> Result<(Cli, Settings), ExitCode> {
    let typed: Vec<OsString> = join_sizes(std::env::args_os());
    let plain = Cli::command();
    let without = typed.iter().any(|argument| argument == "--no-config");
    let settings = if without { Ok(Settings::default()) } else { Settings::find() };
    let applied = settings.and_then(|mut settings| Ok((settings.apply(&plain)?, settings)));
    let (command, settings) = applied.map_err(|error| {
        say!("error: {error:#}; --no-config leaves it out");
        ExitCode::from(1)
    })?;
    let parsed = command.try_get_matches_from(typed).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = parsed.map_err(|message| {
        // Help and version are messages too, on stdout; nothing can be done if that is closed.
        let _ = message.print();
        ExitCode::from(if message.use_stderr() { 1 } else { 0 })
    })?;
    Ok((cli, settings))
}

/// `--imgsz 480 640` as Python users type it. An option of one or two values would take the first picture for its
/// second one, so two numbers are joined before the arguments are parsed.
fn join_sizes(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let is_number = |argument: Option<&OsString>| {
        argument.and_then(|a| a.to_str()).is_some_and(|a| !a.is_empty() && a.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut joined: Vec<OsString> = Vec::new();
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let after_option = joined.last().is_some_and(|last| last == "--imgsz" || last == "--img");
        if after_option && is_number(Some(&argument)) && is_number(arguments.peek()) {
            let mut size = argument;
            size.push("x");
            size.push(arguments.next().unwrap_or_default());
            joined.push(size);
        } else {
            joined.push(argument);
        }
    }
    joined
}

/// `640`, or height and width: `480x640`, `480,640`.
pub(crate) fn parse_size(text: &str) -> Result<Size, String> {
    let side = |text: &str| match text.trim().parse::<usize>() {
        Ok(side @ 1..=16_384) => Ok(side),
        _ => Err(format!("`{text}` is not a side of 1 to 16384 pixels; expected 640, or height and width as 480x640")),
    };
    match text.split_once(['x', ',']) {
        Some((height, width)) => Ok(Size::new(side(width)?, side(height)?)),
        None => side(text).map(Size::square),
    }
}

/// A probability.
pub(crate) fn parse_share(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("`{text}` is not a number from 0 to 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn two_numbers_after_imgsz_are_one_size() {
        struct Case(&'static str, &'static str);
        for Case(typed, parsed) in [
            Case("detect --imgsz 480 640 a.jpg", "detect --imgsz 480x640 a.jpg"),
            Case("detect --imgsz 640 a.jpg", "detect --imgsz 640 a.jpg"),
            Case("detect --imgsz 640", "detect --imgsz 640"),
            Case("detect a.jpg --conf 0.5 1", "detect a.jpg --conf 0.5 1"),
        ] {
            let joined = join_sizes(typed.split(' ').map(OsString::from));
            assert_eq!(joined, parsed.split(' ').map(OsString::from).collect::<Vec<_>>());
        }
    }

    #[test]
    fn sizes_are_height_then_width() {
        assert_eq!(parse_size("480x640"), Ok(Size::new(640, 480)));
        assert_eq!(parse_size("320"), Ok(Size::square(320)));
        assert!(parse_size("0").is_err() && parse_size("1x").is_err() && parse_size("99999").is_err());
    }
}

//! The command line: what can be typed, and nothing else. What it means is in `options.rs` and in the file of each
//! command, so that this module imports none of them.

mod common;
mod detect;
mod explain;
mod files;
mod habits;
mod measure;
mod quantize;
mod train;
mod values;

pub(crate) use common::{DYSAMPLE, DeviceArg, InputArgs, ModelArgs, NamesArg, RuntimeArgs, ThresholdArgs};
pub(crate) use detect::{DetectArgs, FormatArgs, MergeArgs, OutputArgs};
pub(crate) use explain::{ExplainArgs, Region};
pub(crate) use files::{
    ConfigArgs, ConfigsArgs, ConvertArgs, DySampleForm, ExportArgs, FreeAxes, InfoArgs, ModelsAction, ModelsArgs,
};
pub(crate) use habits::{is_called, translate, unknown};
pub(crate) use measure::{BenchArgs, CompareArgs, MemoryArgs, SideArg, ValArgs};
pub(crate) use quantize::QuantizeArgs;
#[cfg(feature = "train")]
pub(crate) use train::OptimizerArg;
pub(crate) use train::TrainArgs;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 wrong usage or model or an output that cannot be written, 2 some inputs failed, 3 no input found, 130 interrupted.";

/// YOLOv9 detection: reads YAML configs and PyTorch checkpoints without PyTorch, runs on ONNX Runtime, knows DySample.
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
    /// Print results and errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "General")]
    pub(crate) quiet: bool,

    /// Print what was found, read and decided on the way too (-vv: ONNX Runtime's own messages).
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "General")]
    pub(crate) verbose: u8,

    /// Ignore the settings of yolo9.toml (see `yolo9 config`).
    #[arg(long, global = true, hide_short_help = true, help_heading = "General")]
    pub(crate) no_config: bool,

    /// What stderr is: lines for people, or a JSON object a line for programs.
    #[arg(long, global = true, value_enum, value_name = "text|json", default_value_t = LogArg::Text, hide_short_help = true, help_heading = "General")]
    pub(crate) log: LogArg,

    /// Never fetch anything (also YOLO9_OFFLINE=1).
    #[arg(long, global = true, hide_short_help = true, help_heading = "General")]
    pub(crate) offline: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogArg {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run object detection on images and videos.
    #[command(alias = "predict")]
    Detect(Box<DetectArgs>),
    /// Train a network, from weights or from random values.
    Train(Box<TrainArgs>),
    /// Evaluate a model on a labelled dataset.
    Val(Box<ValArgs>),
    /// Compare two models: boxes, accuracy, size and time.
    Compare(Box<CompareArgs>),
    /// Draw where the DySample modules of a network sample an image.
    Explain(Box<ExplainArgs>),
    #[command(hide = true)]
    Memory(MemoryArgs),
    /// Merge the output folders of `detect --shard 1/N` to `N/N`.
    Merge(MergeArgs),
    /// Convert a checkpoint to a safetensors file that carries its config and class names, or to a .pt file for PyTorch.
    Convert(ConvertArgs),
    /// Show a model summary, or the difference of two models.
    Info(InfoArgs),
    /// List, fetch and remove released weights.
    Models(ModelsArgs),
    /// Export a network as an ONNX file for other runtimes.
    Export(ExportArgs),
    /// Write a network on 8-bit integers, calibrated on images, as an ONNX file.
    Quantize(Box<QuantizeArgs>),
    /// Measure the time of each stage, or the ratio of two networks' times.
    #[command(alias = "benchmark")]
    Bench(BenchArgs),
    /// Show the settings of yolo9.toml, or the values of a command's options.
    Config(ConfigArgs),
    /// List the built-in configs, or print one.
    Configs(ConfigsArgs),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the manual page.
    Man,
    /// Check the installation, with the embedded model.
    Doctor(RuntimeArgs),
}

impl Command {
    /// Its name, if options decide about its results: a reader of these should know where they come from.
    pub(crate) fn is_configurable(&self) -> Option<&'static str> {
        match self {
            Command::Detect(_) => Some("detect"),
            Command::Compare(_) => Some("compare"),
            Command::Explain(_) => Some("explain"),
            Command::Train(_) => Some("train"),
            Command::Val(_) => Some("val"),
            Command::Bench(_) => Some("bench"),
            Command::Convert(_) => Some("convert"),
            Command::Export(_) => Some("export"),
            Command::Quantize(_) => Some("quantize"),
            Command::Merge(_) => Some("merge"),
            Command::Memory(_)
            | Command::Info(_)
            | Command::Models(_)
            | Command::Config(_)
            | Command::Configs(_)
            | Command::Completions { .. }
            | Command::Man
            | Command::Doctor(_) => None,
        }
    }
}

impl Globals {
    pub(crate) fn is_offline(&self) -> bool {
        self.offline || yolo9::offline_by_variable()
    }
}

/// The command line for clap, in whose help each command has the defaults of its own.
pub(crate) fn command() -> clap::Command {
    let of_val = [
        ("conf", "Confidence threshold [default: 0.001]"),
        ("iou", "NMS IoU threshold [default: 0.7]"),
        ("max_det", "Maximum detections per image [default: 300]"),
    ];
    let of_compare = [("threads", "Threads for inference of each model [default: 1]")];
    let of_bench = [("threads", "Threads for inference [default: all that the system grants; 1 with --vs]")];
    let with_help = |command: clap::Command, helps: &[(&'static str, &'static str)]| {
        helps.iter().fold(command, |command, (id, help)| command.mut_arg(id, |arg| arg.help(*help)))
    };
    Cli::command()
        .mut_subcommand("val", |command| with_help(command, &of_val))
        .mut_subcommand("compare", |command| with_help(command, &of_compare))
        .mut_subcommand("bench", |command| with_help(command, &of_bench))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}

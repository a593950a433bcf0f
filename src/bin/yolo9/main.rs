//! The `yolo9` command. Arguments become options at once; everything else is the library's.

mod args;
mod bench;
mod compare;
mod configs;
mod console;
mod convert;
mod detect;
mod doctor;
mod engine;
mod explain;
mod export;
mod formats;
mod gallery;
mod info;
mod interrupt;
mod journal;
mod logging;
mod manual;
mod merge;
mod model;
mod models;
mod outputs;
mod overwrite;
mod report;
mod settings_file;
mod sources;
mod statistics;
mod val;
mod video;
mod weights;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::CommandFactory;
use console::say;
use settings_file::Settings;

/// How a command ended. The numbers are documented in `yolo9 --help` and in the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done = 0,
    SomeFailed = 2,
    NoInput = 3,
    Interrupted = 130,
}

fn main() -> ExitCode {
    let (cli, settings) = match args::parse() {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    logging::start(&cli.globals);
    match run(&cli, &settings) {
        Ok(outcome) => ExitCode::from(outcome as u8),
        Err(error) if console::reader_has_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run(cli: &Cli, settings: &Settings) -> anyhow::Result<Outcome> {
    let globals = &cli.globals;
    if let Some(name) = cli.command.is_configurable() {
        settings.announce(&Cli::command(), name);
    }
    match &cli.command {
        Command::Detect(args) => detect::run(args, globals),
        Command::Bench(args) => bench::run(args, globals),
        Command::Compare(args) => compare::run(args, globals),
        Command::Explain(args) => explain::run(args, globals),
        Command::Memory(args) => compare::memory::run(args, globals),
        Command::Val(args) => val::run(args, globals),
        Command::Merge(args) => merge::run(args, globals),
        Command::Info(args) => info::run(args, globals),
        Command::Models(args) => models::run(args, globals),
        Command::Convert(args) => convert::run(args, globals),
        Command::Export(args) => export::run(args, globals),
        Command::Config(args) => settings_file::run(args, &Cli::command(), settings),
        Command::Configs(args) => configs::run(args),
        Command::Completions(args) => manual::completions(args),
        Command::Man => manual::page(),
        Command::Doctor(args) => doctor::run(args, globals),
    }
}

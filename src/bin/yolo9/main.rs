//! The `yolo9` command. Arguments become options at once; everything else is the library's.

mod args;
mod configs;
mod console;
mod convert;
mod detect;
mod doctor;
mod export;
mod interrupt;
mod logging;
mod model;
mod outputs;
mod report;
mod sources;

use std::process::ExitCode;

use args::{Cli, Command};
use console::say;

/// How a command ended. The numbers are documented in `yolo9 --help` and in the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done = 0,
    SomeFailed = 2,
    NoInput = 3,
    Interrupted = 130,
}

fn main() -> ExitCode {
    let cli = match args::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    logging::start(&cli);
    match run(cli) {
        Ok(outcome) => ExitCode::from(outcome as u8),
        Err(error) if console::reader_has_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    match cli.command {
        Command::Detect(args) => detect::run(&args, cli.quiet),
        Command::Convert(args) => convert::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Configs(args) => configs::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    }
}

//! The `yolo9` command. `cli` says what can be typed, `options` what that means; everything else is a command, or what
//! commands share.

mod bench;
mod cli;
mod compare;
mod configs;
mod console;
mod convert;
mod detect;
mod devices;
mod doctor;
mod environment;
mod exit;
mod explain;
mod export;
mod info;
mod interrupt;
mod layers;
mod logging;
mod manual;
mod memory;
mod merge;
mod model;
mod models;
mod objects;
mod options;
mod overwrite;
mod page;
mod quantize;
mod remedy;
mod report;
mod run;
mod settings_file;
mod statistics;
#[cfg(feature = "train")]
mod train;
mod val;
mod weights;

use std::process::ExitCode;

use clap::FromArgMatches;
use cli::{Cli, Command};
use console::say;
use exit::ExitStatus;
use settings_file::Settings;
use yolo9::ErrorKind;

fn main() -> ExitCode {
    let plain = cli::command();
    let (cli, settings) = match parse(&plain) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    logging::start(&cli.globals);
    match run(cli, plain, &settings) {
        Ok(status) => ExitCode::from(status as u8),
        Err(error) if console::reader_has_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            console::say_error(&format!("{error:#}{}", remedy::of(&error)), ErrorKind::of(error.as_ref()));
            ExitCode::from(1)
        }
    }
}

/// The parsed command line and the settings behind it, or the exit code after a message: clap's own code for wrong usage,
/// 2, means something else here.
fn parse(plain: &clap::Command) -> Result<(Cli, Settings), ExitCode> {
    let typed = cli::translate(std::env::args_os(), plain);
    let without = typed.iter().any(|argument| argument == "--no-config");
    let settings = if without { Ok(Settings::default()) } else { Settings::find() };
    let applied = settings.and_then(|mut settings| Ok((settings.apply(plain)?, settings)));
    let (command, settings) = applied.map_err(|error| {
        say!("error: {error:#}; --no-config leaves it out");
        ExitCode::from(1)
    })?;
    let parsed = command.try_get_matches_from(&typed).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = parsed.map_err(|message| {
        if let Some(reason) = cli::unknown(&message, typed, plain) {
            say!("error: {reason}");
            return ExitCode::from(1);
        }
        // Help and version are messages too, on stdout; nothing can be done if that is closed.
        let _ = message.print();
        ExitCode::from(if message.use_stderr() { 1 } else { 0 })
    })?;
    Ok((cli, settings))
}

fn run(cli: Cli, mut plain: clap::Command, settings: &Settings) -> anyhow::Result<ExitStatus> {
    let globals = &cli.globals;
    if let Some(name) = cli.command.is_configurable() {
        settings.announce(&plain, name);
    }
    match cli.command {
        Command::Detect(mut args) => detect::run(&mut args, globals),
        Command::Bench(args) => bench::run(&args, globals),
        Command::Compare(args) => compare::run(&args, globals),
        Command::Explain(args) => explain::run(&args, globals),
        Command::Memory(args) => memory::run(&args, globals),
        #[cfg(feature = "train")]
        Command::Train(args) => train::run(&args, globals),
        #[cfg(not(feature = "train"))]
        Command::Train(_) => anyhow::bail!(
            "this yolo9 was built without training, which takes a few minutes more to build; from a checkout: \
             `cargo install --path . --features train` (train-cuda, train-wgpu or train-metal for a GPU)"
        ),
        Command::Val(args) => val::run(&args, globals),
        Command::Merge(args) => merge::run(&args, globals),
        Command::Info(args) => info::run(&args, globals),
        Command::Models(args) => models::run(&args, globals),
        Command::Convert(args) => convert::run(&args, globals),
        Command::Export(args) => export::run(&args, globals),
        Command::Quantize(args) => quantize::run(&args, globals),
        Command::Config(args) => settings_file::run(&args, &plain, settings),
        Command::Configs(args) => configs::run(&args),
        Command::Completions { shell } => manual::completions(shell, &mut plain),
        Command::Man => manual::page(plain),
        Command::Doctor(args) => doctor::run(&args, globals),
    }
}

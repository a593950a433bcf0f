//! `yolo9.toml`: values for options that are not on the command line, under the names of the options. One file in the
//! user's configuration folder, one in the working folder, which goes before it; environment variables and the command
//! line go before both. Keys at the top concern every command that has such an option, those in a table `[detect]` that
//! command.
//!
//! A working folder may have come from anybody. Its file decides how images are processed, not what is written, replaced
//! or loaded as code, nor what is read elsewhere ([`refusal`]).

mod trust;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};
use toml::{Table, Value};
use yolo9::config::{did_you_mean, nearest_name};
use yolo9::untrusted::{FileKind, printable, read_text};

use trust::refusal;

use crate::cli::{ConfigArgs, is_called};
use crate::console::print_line;
use crate::exit::ExitStatus;

/// Name of the file.
const NAME: &str = "yolo9.toml";

/// Names another file instead of both; empty for none.
const VARIABLE: &str = "YOLO9_CONFIG";

/// A value of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    file: PathBuf,
    /// Whether the file is that of the working folder.
    of_folder: bool,
    /// The only command that it is for.
    command: Option<String>,
    option: String,
    values: Vec<String>,
    /// The value as the file has it.
    shown: String,
}

impl Setting {
    fn concerns(&self, command: &str, arg: &Arg) -> bool {
        self.command.as_deref().is_none_or(|wanted| wanted == command) && is_called(arg, &self.option)
    }
}

/// All values, the most important last, and what was not taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings(Vec<Setting>, Vec<String>);

impl Settings {
    /// Reads the files that there are.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let mut settings = Self::default();
        match std::env::var_os(VARIABLE) {
            Some(path) if path.is_empty() => {}
            Some(path) => settings.0 = read(Path::new(&path), false)?,
            None => {
                if let Some(user) = user_file().filter(|path| path.is_file()) {
                    settings.0 = read(&user, false)?;
                }
                // Reading says what is wrong with something else than a file.
                if Path::new(NAME).symlink_metadata().is_ok() {
                    settings.0.extend(read(Path::new(NAME), true)?);
                }
            }
        }
        Ok(settings)
    }

    /// Makes them the defaults of the options, those of the working folder as far as they are trusted.
    pub(crate) fn apply(&mut self, plain: &Command) -> anyhow::Result<Command> {
        for setting in &mut self.0 {
            // By their own names, whatever aliases they are called by.
            match places(plain, setting).first() {
                Some((_, arg)) => setting.option = arg.get_long().unwrap_or(&setting.option).to_owned(),
                None => return Err(unknown(plain, setting)),
            }
        }
        let refused = |setting: &mut Setting| setting.of_folder && refusal(&setting.option, &setting.values).is_some();
        self.1 = self.0.extract_if(.., refused).map(|setting| not_taken(&setting)).collect();
        let mut applied = plain.clone();
        for setting in &self.0 {
            let places = places(plain, setting);
            let fits = |(command, arg): &(&str, &Arg)| values_for(plain, command, arg, setting);
            let checked: Vec<anyhow::Result<Vec<String>>> = places.iter().map(fits).collect();
            // The same name may be another kind of option in another command: it is enough that one takes the value.
            let is_taken = setting.command.is_none() && checked.iter().any(Result::is_ok);
            for ((command, arg), values) in places.into_iter().zip(checked) {
                let values = match values {
                    Ok(values) => values,
                    Err(_) if is_taken => continue,
                    Err(error) => return Err(error),
                };
                let set = |arg: Arg| arg.default_values(values);
                applied = match command {
                    "" => applied.mut_arg(arg.get_id(), set),
                    name => applied.mut_subcommand(name, |subcommand| subcommand.mut_arg(arg.get_id(), set)),
                };
            }
        }
        Ok(applied)
    }

    /// A line for each file with what it says about a command, since that is easily forgotten.
    pub(crate) fn announce(&self, plain: &Command, command: &str) {
        self.1.iter().for_each(|refused| log::warn!("{refused}"));
        let mut files: Vec<(&Path, Vec<String>)> = Vec::new();
        let concerns =
            |setting: &&Setting| places(plain, setting).iter().any(|(name, _)| *name == command || name.is_empty());
        for setting in self.0.iter().filter(concerns) {
            let text = format!("{} = {}", setting.option, setting.shown);
            match files.last_mut() {
                Some((file, texts)) if *file == setting.file => texts.push(text),
                _ => files.push((&setting.file, vec![text])),
            }
        }
        for (file, texts) in files {
            log::info!("{}: {} (--no-config to leave it out)", file.display(), texts.join(", "));
        }
    }
}

/// The files that settings may have been read from.
pub(crate) fn candidates() -> Vec<PathBuf> {
    std::env::var_os(VARIABLE).map(PathBuf::from).into_iter().chain(user_file()).chain([PathBuf::from(NAME)]).collect()
}

fn not_taken(setting: &Setting) -> String {
    let user = user_file().map_or_else(|| "your configuration folder".into(), |path| path.display().to_string());
    format!(
        "{NAME}: {} = {} is not taken from a file in the working folder: {}; type it, or move it to {user}",
        setting.option,
        setting.shown,
        refusal(&setting.option, &setting.values).unwrap_or_default()
    )
}

/// `yolo9/yolo9.toml` in the user's configuration folder (XDG on Linux).
fn user_file() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.config_dir().join("yolo9").join(NAME))
}

fn read(path: &Path, of_folder: bool) -> anyhow::Result<Vec<Setting>> {
    let file = path.display();
    let text = read_text(path, FileKind::Settings).with_context(|| format!("{file} cannot be read"))?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        anyhow::anyhow!("{file}: line {line}: {}", error.message())
    })?;
    let mut settings = Vec::new();
    let mut add = |command: Option<&str>, option: &str, value: &Value| {
        let values =
            values(value).with_context(|| format!("{file}: {option}: expected text, a number, true or false"))?;
        let (command, shown) = (command.map(Into::into), value.to_string());
        settings.push(Setting { file: path.into(), of_folder, command, option: option.into(), values, shown });
        anyhow::Ok(())
    };
    for (key, value) in &table {
        match value {
            Value::Table(options) => options.iter().try_for_each(|(option, value)| add(Some(key), option, value))?,
            value => add(None, key, value)?,
        }
    }
    Ok(settings)
}

/// As they would be typed.
fn values(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => Some(vec![value.to_string()]),
        Value::Array(list) => Some(list.iter().map(values).collect::<Option<Vec<_>>>()?.concat()),
        Value::Datetime(_) | Value::Table(_) => None,
    }
}

/// The options that a setting is for, and their commands (empty for the program itself).
fn places<'a>(plain: &'a Command, setting: &Setting) -> Vec<(&'a str, &'a Arg)> {
    let of = |command: &'a Command, name: &'a str| {
        Some((name, command.get_arguments().find(|arg| setting.concerns(name, arg))?))
    };
    let own = if setting.command.is_none() { of(plain, "") } else { None };
    own.into_iter().chain(plain.get_subcommands().filter_map(|command| of(command, command.get_name()))).collect()
}

fn unknown(plain: &Command, setting: &Setting) -> anyhow::Error {
    let (file, option) = (setting.file.display(), printable(&setting.option));
    let names: Vec<&str> = plain.get_subcommands().map(Command::get_name).collect();
    match &setting.command {
        Some(command) if !names.contains(&command.as_str()) => {
            let hint = did_you_mean(nearest_name(command, names.iter().copied()));
            anyhow::anyhow!("{file}: [{}]: there is no such command{hint}", printable(command))
        }
        command => {
            let of = |other: &&Command| command.as_deref().is_none_or(|command| other.get_name() == command);
            let commands = plain.get_subcommands().filter(of);
            let longs: Vec<&str> = commands.flat_map(Command::get_arguments).filter_map(Arg::get_long).collect();
            let hint = did_you_mean(nearest_name(&option, longs.iter().copied()));
            let whose =
                command.as_ref().map_or("no command has".into(), |command| format!("`yolo9 {command}` does not have"));
            anyhow::anyhow!("{file}: {option}: {whose} an option --{option}{hint}")
        }
    }
}

/// The values as the option takes them, checked: as a default a wrong one would be called a default of ours.
fn values_for(plain: &Command, command: &str, arg: &Arg, setting: &Setting) -> anyhow::Result<Vec<String>> {
    let (file, option) = (setting.file.display(), &setting.option);
    let mut values = setting.values.clone();
    let expected = |what: &str| Err(anyhow::anyhow!("{file}: {option} = {}: expected {what}", setting.shown));
    match arg.get_action() {
        ArgAction::SetTrue => {
            let is_flag = matches!(values.as_slice(), [value] if value == "true" || value == "false");
            return if is_flag { Ok(values) } else { expected("true or false") };
        }
        ArgAction::Count if values.iter().any(|value| value.parse::<u8>().is_err()) => return expected("a number"),
        ArgAction::Count => return Ok(values),
        _ => {}
    }
    let takes_many =
        arg.get_value_delimiter().is_some() || arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    if values.len() != 1 && !takes_many {
        // Height and width, as in `--imgsz 480 640`.
        values = match (option.as_str(), values.len()) {
            ("imgsz", 2) => vec![values.join("x")],
            _ => return expected("one value"),
        };
    }
    let command = if command.is_empty() { "man" } else { command };
    for value in &values {
        let typed = ["yolo9".to_owned(), command.to_owned(), format!("--{option}={value}")];
        if let Err(error) = plain.clone().try_get_matches_from(typed)
            && matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation)
        {
            let message = error.to_string();
            let message = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
            anyhow::bail!("{file}: {message}");
        }
    }
    Ok(values)
}

/// `yolo9 config`.
pub(crate) fn run(args: &ConfigArgs, plain: &Command, settings: &Settings) -> anyhow::Result<ExitStatus> {
    if let Some(name) = &args.command {
        return show_command(name, plain, settings);
    }
    let user = user_file();
    let looked = [user.as_deref(), Some(Path::new(NAME))].into_iter().flatten();
    let mut files: Vec<&Path> = settings.0.iter().map(|setting| setting.file.as_path()).collect();
    files.dedup();
    settings.1.iter().for_each(|refused| log::warn!("{refused}"));
    if files.is_empty() && settings.1.is_empty() {
        let looked: Vec<String> = looked.map(|path| path.display().to_string()).collect();
        print_line!("# no settings: looked for {}", looked.join(", then "));
    }
    for file in files {
        print_line!("# {}", file.display());
        let mut table = None;
        for setting in settings.0.iter().filter(|setting| setting.file == file) {
            if setting.command != table {
                print_line!("[{}]", setting.command.as_deref().unwrap_or_default());
                table.clone_from(&setting.command);
            }
            print_line!("{} = {}", setting.option, setting.shown);
        }
    }
    Ok(ExitStatus::Done)
}

/// A default that depends on other options stands in the help alone.
fn default_in_help(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let default = help.split_once("[default: ").and_then(|(_, rest)| rest.split_once(']'));
    default.map_or_else(String::new, |(default, _)| default.to_owned())
}

fn show_command(name: &str, plain: &Command, settings: &Settings) -> anyhow::Result<ExitStatus> {
    let names = plain.get_subcommands().map(Command::get_name);
    let command = plain.get_subcommands().find(|command| command.get_name() == name).with_context(|| {
        let hint = did_you_mean(nearest_name(name, names));
        format!("`{name}`: there is no such command{hint}")
    })?;
    let mut lines: Vec<[String; 3]> = Vec::new();
    // Hidden ones are other tools' words for the same.
    for arg in command.get_arguments().chain(plain.get_arguments()).filter(|arg| !arg.is_hide_set()) {
        let Some(long) = arg.get_long().filter(|long| !["help", "version"].contains(long)) else { continue };
        let setting = settings.0.iter().rev().find(|setting| setting.concerns(name, arg));
        let variable = arg.get_env().and_then(|variable| Some((variable, std::env::var(variable).ok()?)));
        let default = || {
            let values = arg.get_default_values().iter().map(|value| value.to_string_lossy());
            let values = values.collect::<Vec<_>>().join(",");
            match arg.get_action() {
                ArgAction::SetTrue if values.is_empty() => "off".to_owned(),
                _ if values.is_empty() => default_in_help(arg),
                _ => values,
            }
        };
        let (value, origin) = match (variable, setting) {
            (Some((variable, value)), _) => (value, variable.to_string_lossy().into_owned()),
            (None, Some(setting)) => (setting.values.join(","), setting.file.display().to_string()),
            (None, None) => (default(), "default".into()),
        };
        lines.push([long.to_owned(), if value.is_empty() { "-".into() } else { value }, origin]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let (widest, longest) = (width(0), width(1));
    for [long, value, origin] in &lines {
        print_line!("{long:<widest$}  {value:<longest$}  {origin}");
    }
    Ok(ExitStatus::Done)
}

//! What people type who come from other tools, translated before the arguments are parsed. Other names of one option are
//! aliases, and stand with the option.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use yolo9::config::{did_you_mean, nearest_name};
use yolo9::image::is_image_name;

/// What a key of `yolo predict key=value` is here if it is no option.
enum Key {
    /// The switch that `False` stands for.
    Unless(&'static str),
    /// These values say what happens anyway.
    Only(&'static [&'static str]),
}
use Key::{Only, Unless};

const KEYS: &[(&str, Key)] = &[
    ("save", Unless("no-draw")),
    ("show_labels", Unless("hide-labels")),
    ("show_conf", Unless("hide-conf")),
    ("verbose", Unless("quiet")),
    ("task", Only(&["detect"])),
    ("mode", Only(&["predict", "val", "export"])),
    ("format", Only(&["onnx"])),
];

/// Options of other tools that are none here.
const REFUSED: &[(&str, &str)] = &[
    ("--augment", "augmented inference is not supported"),
    ("--visualize", "feature maps are not drawn (`yolo9 explain` draws those of DySample)"),
    ("--view-img", "images are written, not shown"),
    ("--show", "images are written, not shown"),
    ("--update", "nothing updates weights"),
    ("--dnn", "inference runs on ONNX Runtime only"),
    ("--save", "images are drawn and saved anyway (--no-draw leaves that out)"),
    ("--data", "class names and thresholds come from the model; other names are given with --names"),
    ("--save-csv", "rows go to a file with --csv FILE"),
    ("--save-json", "results go to a file with --json FILE, detections for COCO's evaluation with --coco FILE"),
    ("--task", "the dataset's split is chosen with --split"),
    ("--format", "only ONNX files are written (onnx)"),
    ("--include", "only ONNX files are written (onnx)"),
    ("--simplify", "files are written as simple as they can be"),
];

/// Why an option that clap does not know is none, if other tools have it; else its message with the option that was meant,
/// if one is spelt nearly so.
pub(crate) fn unknown(error: &clap::Error, mut typed: Vec<OsString>, plain: &Command) -> Option<String> {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return None };
    if error.kind() != ErrorKind::UnknownArgument || !option.starts_with("--") {
        return None;
    }
    if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| refused == option) {
        return Some(format!("{option}: {reason}; leave the option out"));
    }
    let command = with_command(&mut typed, plain)?;
    let options = command.get_arguments().chain(plain.get_arguments()).filter(|arg| !arg.is_hide_set());
    let nearest = nearest_name(&option[2..], options.filter_map(Arg::get_long)).map(|name| format!("--{name}"));
    let hint = did_you_mean(nearest.as_deref());
    let name = command.get_name();
    Some(format!("{option}: `yolo9 {name}` has no such option{hint} (`yolo9 {name} --help` lists them)"))
}

/// Translates a command line, program name included:
/// - a missing command is `detect`, as in `yolo9 bus.jpg`; `detect predict` and `mode=val` name one too;
/// - `key=value` is `--key value`, `key=True` is `--key`, if no file has that name;
/// - `--imgsz 480 640` is one size, `--classes 0 5` one list: an option of several values would take the first image for
///   one of them;
/// - `--weights` of `export` is its argument, and `--format onnx` what it does anyway.
pub(crate) fn translate(arguments: impl Iterator<Item = OsString>, plain: &Command) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    let Some(command) = with_command(&mut arguments, plain) else { return arguments };
    let command = Known { command, plain };
    let literal = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let rest = arguments.split_off(literal);
    let mut translated: Vec<OsString> = Vec::new();
    for argument in arguments {
        let is_value = translated.last().is_some_and(|last| command.takes_next(last));
        match command.option_of_key(&argument).filter(|_| !is_value) {
            Some(option) => translated.extend(option),
            None => translated.push(argument),
        }
    }
    let mut joined = join_values(translated.into_iter());
    if command.command.get_name() == "export" {
        joined = as_argument(joined);
    }
    joined.extend(rest);
    joined
}

/// The command that is named, or put in where none is.
fn with_command<'a>(arguments: &mut Vec<OsString>, plain: &'a Command) -> Option<&'a Command> {
    let named =
        |name: &str| plain.get_subcommands().find(|c| c.get_name() == name || c.get_all_aliases().any(|a| a == name));
    let detect = named("detect")?;
    let globals = Known { command: plain, plain };
    let mut place = 1;
    loop {
        let argument = arguments.get(place)?;
        let text = argument.to_string_lossy();
        if let Some(command) = named(&text) {
            let second =
                arguments.get(place + 1).map(|second| second.to_string_lossy().into_owned()).unwrap_or_default();
            // `yolo TASK MODE`.
            return match named(&second).filter(|_| text == "detect" && !Path::new(&second).exists()) {
                Some(mode) => {
                    arguments.remove(place);
                    Some(mode)
                }
                None => Some(command),
            };
        }
        if globals.option(argument).is_some() {
            place += if globals.takes_next(argument) { 2 } else { 1 };
            continue;
        }
        let of_detect = Known { command: detect, plain };
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if is_input(argument)
            || is_number
            || of_detect.option(argument).is_some()
            || of_detect.option_of_key(argument).is_some()
        {
            let mode = arguments.iter().find_map(|argument| named(argument.to_str()?.strip_prefix("mode=")?));
            let command = mode.unwrap_or(detect);
            arguments.insert(place, command.get_name().into());
            return Some(command);
        }
        return None;
    }
}

/// What is there, or looks like a file, pattern or address.
fn is_input(argument: &OsStr) -> bool {
    let text = argument.to_string_lossy();
    let looks_like_one = text.contains(['*', '.', '/']) && !text.contains('=') || text.contains("://");
    !text.starts_with('-') && (Path::new(argument).exists() || looks_like_one)
}

/// Whether an option has that name or alias.
pub(crate) fn is_called(arg: &Arg, long: &str) -> bool {
    arg.get_long() == Some(long) || arg.get_all_aliases().unwrap_or_default().contains(&long)
}

/// A command with its options and those of the program.
struct Known<'a> {
    command: &'a Command,
    plain: &'a Command,
}

impl Known<'_> {
    fn arguments(&self) -> impl Iterator<Item = &Arg> {
        self.command.get_arguments().chain(self.plain.get_arguments())
    }

    fn named(&self, long: &str) -> Option<&Arg> {
        self.arguments().find(|arg| is_called(arg, long))
    }

    /// The option that an argument names.
    fn option(&self, argument: &OsStr) -> Option<&Arg> {
        let text = argument.to_str()?;
        match text.strip_prefix("--") {
            Some(long) => self.named(long.split('=').next().unwrap_or(long)),
            None => {
                let short = text.strip_prefix('-')?.chars().next()?;
                self.arguments().find(|arg| arg.get_short() == Some(short))
            }
        }
    }

    /// Whether the argument behind it is its value, whatever that looks like.
    fn takes_next(&self, argument: &OsStr) -> bool {
        let text = argument.to_string_lossy();
        let has_value = text.contains('=') || !text.starts_with("--") && text.len() > 2;
        let takes = |arg: &Arg| arg.get_action().takes_values() && !arg.is_require_equals_set();
        !has_value && self.option(argument).is_some_and(takes)
    }

    /// `key=value` as an option; nothing for another argument. A key that nobody knows becomes an option too, and is
    /// refused as one.
    fn option_of_key(&self, argument: &OsStr) -> Option<Vec<OsString>> {
        let (key, value) = argument.to_str()?.split_once('=')?;
        let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let is_path = |text: &str| text.contains(['*', '/']) || is_image_name(Path::new(text));
        if !is_key || Path::new(argument).exists() {
            return None;
        }
        let option = match KEYS.iter().find(|(known, _)| *known == key).map(|(_, key)| key) {
            Some(Only(values)) if values.contains(&value) => return Some(Vec::new()),
            Some(Unless(switch)) if self.named(switch).is_some() => {
                let off = value.eq_ignore_ascii_case("false");
                return Some(if off { vec![format!("--{switch}").into()] } else { Vec::new() });
            }
            _ => key.replace('_', "-"),
        };
        // `export` has its model as an argument.
        let known = self.named(&option).is_some() || option == "model";
        let refused = || REFUSED.iter().any(|(refused, _)| refused.strip_prefix("--") == Some(option.as_str()));
        if !known && is_path(value) {
            return None;
        }
        let long = OsString::from(format!("--{option}"));
        Some(match value {
            "True" | "true" => vec![long],
            "False" | "false" | "None" if known || refused() => Vec::new(),
            _ => vec![long, value.trim_matches(['[', ']']).replace(' ', "").into()],
        })
    }
}

/// Words behind the options that take several as one value.
fn join_values(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let is_number =
        |argument: &OsString| argument.to_str().is_some_and(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let is_class = |argument: &OsString| !argument.to_string_lossy().starts_with('-') && !is_input(argument);
    let mut joined: Vec<OsString> = Vec::new();
    let mut arguments = arguments.peekable();
    while let Some(mut argument) = arguments.next() {
        match joined.last().and_then(|last| last.to_str()) {
            Some("--imgsz" | "--img" | "--img-size") if is_number(&argument) => {
                // More than two are refused as one value, so that none is taken for a camera.
                while let Some(next) = arguments.next_if(is_number) {
                    argument.push("x");
                    argument.push(next);
                }
            }
            Some("--classes") => {
                while let Some(next) = arguments.next_if(is_class) {
                    argument = argument.to_string_lossy().trim_end_matches(',').into();
                    argument.push(",");
                    argument.push(next);
                }
            }
            _ => {}
        }
        joined.push(argument);
    }
    joined
}

/// `--weights FILE` as `FILE`; without `--format onnx` and `--include onnx`.
fn as_argument(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter().peekable();
    let mut kept = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--weights" | "--model" | "-w") => {}
            Some("--format" | "--include") if arguments.next_if(|value| value == "onnx").is_some() => {}
            _ => kept.push(argument),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command;

    #[test]
    fn habits_of_other_tools_are_understood() {
        for (typed, parsed) in [
            ("yolo9 detect --imgsz 480 640 a.jpg", "yolo9 detect --imgsz 480x640 a.jpg"),
            ("yolo9 detect --imgsz 640 480 320 a.jpg", "yolo9 detect --imgsz 640x480x320 a.jpg"),
            ("yolo9 detect --imgsz 640 a.jpg", "yolo9 detect --imgsz 640 a.jpg"),
            ("yolo9 detect --imgsz 640", "yolo9 detect --imgsz 640"),
            ("yolo9 detect a.jpg --conf 0.5 1", "yolo9 detect a.jpg --conf 0.5 1"),
            ("yolo9 detect --classes 0 5 bus.jpg", "yolo9 detect --classes 0,5 bus.jpg"),
            ("yolo9 detect --classes person, 5 bus.jpg", "yolo9 detect --classes person,5 bus.jpg"),
            ("yolo9 none/bus.jpg --conf 0.4", "yolo9 detect none/bus.jpg --conf 0.4"),
            ("yolo9 -q --log json bus.jpg", "yolo9 -q --log json detect bus.jpg"),
            ("yolo9 --weights best.pt bus.jpg", "yolo9 detect --weights best.pt bus.jpg"),
            ("yolo9 0", "yolo9 detect 0"),
            ("yolo9 detcet", "yolo9 detcet"),
            ("yolo9 --version", "yolo9 --version"),
            (
                "yolo9 -q predict model=best.pt source=a.jpg conf=0.4 save_txt=True save=False classes=[0,5]",
                "yolo9 -q predict --model best.pt --source a.jpg --conf 0.4 --save-txt --no-draw --classes 0,5",
            ),
            ("yolo9 task=detect mode=predict source=0", "yolo9 detect --source 0"),
            ("yolo9 detect predict source=0 verbose=False", "yolo9 predict --source 0 --quiet"),
            ("yolo9 detect val data=a.yaml", "yolo9 val --data a.yaml"),
            ("yolo9 mode=val data=a.yaml", "yolo9 val --data a.yaml"),
            ("yolo9 detect a.jpg augment=False show=True", "yolo9 detect a.jpg --show"),
            ("yolo9 export model=best.pt format=onnx half=True", "yolo9 export best.pt --half"),
            ("yolo9 export --weights best.pt --include onnx", "yolo9 export best.pt"),
            ("yolo9 export best.pt --format engine", "yolo9 export best.pt --format engine"),
            // What is no key, or is a value.
            ("yolo9 detect odd=1.jpg split=val/*.jpg A=1", "yolo9 detect odd=1.jpg split=val/*.jpg A=1"),
            ("yolo9 detect a.jpg --out name=1 -- conf=1", "yolo9 detect a.jpg --out name=1 -- conf=1"),
            ("yolo9 convert best.pt --metadata name=x", "yolo9 convert best.pt --metadata name=x"),
            ("yolo9 detect --no-draw imgz=640", "yolo9 detect --no-draw --imgz 640"),
        ] {
            let arguments = translate(typed.split(' ').map(OsString::from), &command());
            assert_eq!(arguments, parsed.split(' ').map(OsString::from).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_key_is_an_option() {
        let command = command();
        let all: Vec<Known<'_>> =
            command.get_subcommands().map(|subcommand| Known { command: subcommand, plain: &command }).collect();
        for (key, option) in KEYS {
            if let Unless(option) = option {
                assert!(all.iter().any(|known| known.named(option).is_some()), "{key}");
            }
        }
    }
}

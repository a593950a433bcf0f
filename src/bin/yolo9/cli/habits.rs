//! What people type who come from other tools, translated before the arguments are parsed. Other names of one option are
//! aliases, and stand with the option.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::Command;

/// Options of `yolo predict key=value`, and what they are here; an empty name leaves the key out.
const KEYS: &[(&str, &str)] = &[
    ("model", "weights"),
    ("source", "source"),
    ("imgsz", "imgsz"),
    ("conf", "conf"),
    ("iou", "iou"),
    ("max_det", "max-det"),
    ("classes", "classes"),
    ("agnostic_nms", "agnostic"),
    ("save_txt", "txt"),
    ("save_conf", "save-conf"),
    ("save_crop", "save-crop"),
    ("line_width", "line-width"),
    ("vid_stride", "vid-stride"),
    ("batch", "batch"),
    ("device", "device"),
    ("half", "half"),
    ("data", "data"),
    ("split", "split"),
    ("project", "project"),
    ("name", "name"),
    ("exist_ok", "exist-ok"),
    ("task", ""),
    ("mode", ""),
    ("save", ""),
    ("verbose", ""),
];

/// Translates a command line, program name included:
/// - `yolo9 bus.jpg` is `yolo9 detect bus.jpg`;
/// - `detect` and `val` take `key=value` as `--key value`, `key=True` as `--key`, if no file has that name;
/// - `--imgsz 480 640` is one size, `--classes 0 5` one list: an option of several values would take the first image for
///   one of them.
pub(crate) fn translate(arguments: impl Iterator<Item = OsString>, plain: &Command) -> Vec<OsString> {
    let arguments = with_command(arguments.collect(), plain);
    let takes_keys = |command: &&Command| matches!(command.get_name(), "detect" | "val");
    let named = |name: &OsString| plain.get_subcommands().find(|c| is_called(c, &name.to_string_lossy()));
    if arguments.get(1).and_then(named).filter(takes_keys).is_none() {
        return join_numbers(arguments.into_iter());
    }
    let mut translated: Vec<OsString> = Vec::new();
    for argument in arguments {
        // What stands behind an option may be its value, whatever it looks like.
        let free = translated.last().is_none_or(|last| !last.to_string_lossy().starts_with('-'));
        match from_key(&argument, free) {
            Some(option) => translated.extend(option),
            None => translated.push(argument),
        }
    }
    join_numbers(translated.into_iter())
}

fn is_called(command: &Command, name: &str) -> bool {
    command.get_name() == name || command.get_all_aliases().any(|alias| alias == name)
}

/// With `detect` before a first argument that is an input.
fn with_command(mut arguments: Vec<OsString>, plain: &Command) -> Vec<OsString> {
    let Some(first) = arguments.get(1) else { return arguments };
    let text = first.to_string_lossy();
    let is_command = text == "help" || plain.get_subcommands().any(|command| is_called(command, &text));
    let is_input = Path::new(first).exists() || text.contains("://") || text.contains(['*', '.', '/']);
    if !is_command && !text.starts_with('-') && is_input {
        arguments.insert(1, "detect".into());
    }
    arguments
}

/// `key=value` as an option; nothing for another argument. A key that nobody knows becomes an option too where `free`
/// says that it can be no value, so that it is refused as one.
fn from_key(argument: &OsStr, free: bool) -> Option<Vec<OsString>> {
    let (key, value) = argument.to_str()?.split_once('=')?;
    let is_key = || free && !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let known = KEYS.iter().find(|(known, _)| *known == key).map(|(_, option)| *option);
    let option = known.or_else(|| is_key().then_some(key))?;
    if Path::new(argument).exists() {
        return None;
    }
    let long = OsString::from(format!("--{option}"));
    Some(match value {
        _ if option.is_empty() => Vec::new(),
        "True" | "true" => vec![long],
        "False" | "false" => Vec::new(),
        _ => vec![long, value.trim_matches(['[', ']']).replace(' ', "").into()],
    })
}

/// Numbers behind the options that take several as one value.
fn join_numbers(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let is_number = |argument: &OsString| {
        argument.to_str().is_some_and(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut joined: Vec<OsString> = Vec::new();
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let separator_and_most = match joined.last().and_then(|last| last.to_str()) {
            Some("--imgsz" | "--img" | "--img-size") => Some(("x", 1)),
            Some("--classes") => Some((",", usize::MAX)),
            _ => None,
        };
        let mut argument = argument;
        if let Some((separator, most)) = separator_and_most.filter(|_| is_number(&argument)) {
            for _ in 0..most {
                let Some(next) = arguments.next_if(is_number) else { break };
                argument.push(separator);
                argument.push(next);
            }
        }
        joined.push(argument);
    }
    joined
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn habits_of_other_tools_are_understood() {
        struct Case(&'static str, &'static str);
        for Case(typed, parsed) in [
            Case("yolo9 detect --imgsz 480 640 a.jpg", "yolo9 detect --imgsz 480x640 a.jpg"),
            Case("yolo9 detect --imgsz 640 a.jpg", "yolo9 detect --imgsz 640 a.jpg"),
            Case("yolo9 detect --imgsz 640", "yolo9 detect --imgsz 640"),
            Case("yolo9 detect a.jpg --conf 0.5 1", "yolo9 detect a.jpg --conf 0.5 1"),
            Case("yolo9 detect --classes 0 5 bus.jpg", "yolo9 detect --classes 0,5 bus.jpg"),
            Case("yolo9 detect --classes person 5", "yolo9 detect --classes person 5"),
            Case("yolo9 none/bus.jpg --conf 0.4", "yolo9 detect none/bus.jpg --conf 0.4"),
            Case("yolo9 detcet", "yolo9 detcet"),
            Case(
                "yolo9 predict model=best.pt source=a.jpg conf=0.4 save_txt=True save=False classes=[0,5]",
                "yolo9 predict --weights best.pt --source a.jpg --conf 0.4 --txt --classes 0,5",
            ),
            Case("yolo9 detect task=detect imgz=640 A=1.jpg", "yolo9 detect --imgz 640 A=1.jpg"),
            Case("yolo9 detect a.jpg --out odd=1", "yolo9 detect a.jpg --out odd=1"),
            Case("yolo9 convert best.pt --metadata name=x", "yolo9 convert best.pt --metadata name=x"),
        ] {
            let arguments = translate(typed.split(' ').map(OsString::from), &Cli::command());
            assert_eq!(arguments, parsed.split(' ').map(OsString::from).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_key_is_an_option_of_detect_or_val() {
        let command = Cli::command();
        let longs: Vec<&str> = command
            .get_subcommands()
            .filter(|c| ["detect", "val"].contains(&c.get_name()))
            .flat_map(Command::get_arguments)
            .filter_map(clap::Arg::get_long)
            .collect();
        for (key, option) in KEYS.iter().filter(|(_, option)| !option.is_empty()) {
            assert!(longs.contains(option), "{key}");
        }
    }
}

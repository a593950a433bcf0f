//! What a `yolo9.toml` in the working folder may set. The folder may have come from anybody.

use yolo9::untrusted::RelativePath;

/// Options that a file in the working folder may set freely. Whatever is in neither list is not taken from there.
const FREE: &[&str] = &[
    "agnostic",
    "classes",
    "conf",
    "deploy",
    "dynamic",
    "dysample",
    "fuse",
    "half",
    "hide-conf",
    "hide-labels",
    "html",
    "imgsz",
    "iou",
    "layers",
    "lift",
    "line-width",
    "log",
    "max-det",
    "nms",
    "no-draw",
    "offline",
    "opset",
    "examples",
    "preset",
    "quiet",
    "recursive",
    "save-conf",
    "save-crop",
    "split",
    "square",
    "txt",
    "vid-stride",
    "verbose",
    "worst",
];

/// Options that name something to read: from the working folder's file only if that lies in the folder.
const BELOW: &[&str] = &["config", "data", "images", "names", "image", "predictions", "source", "to", "weights"];

/// Why a value is not taken from the working folder's file, if so.
pub(super) fn refusal(option: &str, values: &[String]) -> Option<&'static str> {
    if FREE.contains(&option) || BELOW.contains(&option) && values.iter().all(|value| stays_here(value)) {
        return None;
    }
    Some(if BELOW.contains(&option) {
        "it may not name files outside of the folder"
    } else {
        "it may not say what is written, replaced, loaded or left out, nor raise limits"
    })
}

/// Whether a path, links followed as far as there is something, leads into the working folder; or is the name of something
/// built in. Addresses and patterns could lead anywhere.
fn stays_here(value: &str) -> bool {
    let Ok(place) = RelativePath::new(value) else { return false };
    if value.contains("://") || value.contains(['*', '?', '[', '{']) {
        return false;
    }
    let found = place.as_path().ancestors().find_map(|path| path.canonicalize().ok());
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    match (found, here) {
        (Some(found), Ok(here)) => found.starts_with(here),
        // Nothing of it exists.
        (None, _) => true,
        (_, Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;
    use crate::cli::command;

    /// A new option is not taken from a folder before somebody has decided so.
    #[test]
    fn lists_name_options_that_there_are_and_none_that_writes() {
        let command = command();
        let all: Vec<&str> =
            command.get_subcommands().flat_map(Command::get_arguments).filter_map(Arg::get_long).collect();
        let all: Vec<&str> = all.into_iter().chain(command.get_arguments().filter_map(Arg::get_long)).collect();
        for option in FREE.iter().chain(BELOW) {
            assert!(all.contains(option), "{option}");
        }
        for option in
            ["out", "output", "json", "jsonl", "csv", "coco", "exist-ok", "resume", "onnxruntime", "max-megapixels"]
        {
            assert!(refusal(option, &["x".into()]).is_some(), "{option}");
        }
    }

    #[test]
    fn a_folder_names_only_its_own_files() {
        let stay = ["best.pt", "sub/best.pt"].map(|value| (value, true));
        let leave = ["../best.pt", "/etc/passwd", "http://x/a.jpg", "a/*.jpg"].map(|value| (value, false));
        for (value, stays) in stay.into_iter().chain(leave) {
            assert_eq!(refusal("weights", &[value.into()]).is_none(), stays, "{value}");
        }
        assert!(refusal("csv", &["x.csv".into()]).is_some());
        assert!(refusal("conf", &["0.5".into()]).is_none());
    }
}

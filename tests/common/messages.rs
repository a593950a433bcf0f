//! What the program says when it fails: one snapshot for each command in `tests/messages`. After a change of words,
//! `INSTA_UPDATE=always cargo test` writes them anew, and the diff shows what users will read.

use std::cell::RefCell;
use std::collections::HashMap;

thread_local! {
    /// How often a test has run each command.
    static RUNS: RefCell<HashMap<String, usize>> = RefCell::default();
}

/// Lines that tell of the run and not of what is wrong.
const ABOUT_THE_RUN: [&str; 6] = ["Model ", "image ", "Speed: ", "Results saved", "Report: ", "Interrupted"];

/// Compares a message with the snapshot of the test and command that it comes from.
pub fn check(command: &str, message: &str) {
    let lines = message.lines().filter(|line| !ABOUT_THE_RUN.iter().any(|start| line.starts_with(start)));
    let message: String = lines.map(|line| format!("{line}\n")).collect();
    let test = std::thread::current().name().and_then(|name| name.rsplit("::").next()).unwrap_or("test").to_owned();
    // The port of a test's own server is another one each time.
    let mut parts = command.split("127.0.0.1:");
    let first = parts.next().unwrap_or_default().to_owned();
    let command =
        parts.fold(first, |text, part| text + "SERVER" + part.trim_start_matches(|c: char| c.is_ascii_digit()));
    let words: Vec<&str> = command.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut name: String = format!("{test}--{}", words.join("-")).chars().take(120).collect();
    let run = RUNS.with_borrow_mut(|runs| {
        let count = runs.entry(name.clone()).or_default();
        *count += 1;
        *count
    });
    if run > 1 {
        name += &format!("-{run}");
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../messages");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(&command);
    // What differs from machine to machine.
    settings.add_filter(r"[^:;\n]*\(os error \d+\)", " OS ERROR");
    settings.add_filter(r"127\.0\.0\.1:\d+", "SERVER");
    settings.add_filter(r"\d+\.\d ?ms\b", "TIME");
    settings.bind(|| insta::assert_snapshot!(name, message));
}

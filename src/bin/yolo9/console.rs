//! Writing to the user's streams. `println!` panics when the reader has gone or the disk is full.
//!
//! Every line passes through here, and whatever in it came from a file, a name or a server is escaped here: nothing can
//! steer a terminal. Line breaks stay, since some messages have several lines.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use yolo9::ErrorKind;
use yolo9::untrusted::printable_lines;

/// Whether stderr is for programs (`--log json`).
static JSON: AtomicBool = AtomicBool::new(false);

pub(crate) fn log_as_json() {
    JSON.store(true, Ordering::Relaxed);
}

pub(crate) fn logs_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// A line on stderr, or an object if stderr is for programs. Its level stands before it: `error: `, `warning: `.
pub(crate) fn say_line(line: &str) {
    if !logs_json() {
        // Nobody can be told when that fails.
        let _ = writeln!(std::io::stderr(), "{}", printable_lines(line));
        return;
    }
    let levelled = ["error", "warning"].into_iter().find_map(|level| {
        let message = line.strip_prefix(level)?.strip_prefix(": ")?;
        Some((level, message))
    });
    let (level, message) = levelled.unwrap_or(("info", line));
    event(level, "message", json!({ "message": message }));
}

/// The error that ends the program, as a line or as an object that says what it is about.
pub(crate) fn say_error(message: &str, kind: ErrorKind) {
    if logs_json() {
        event("error", "message", json!({ "message": message, "kind": kind }));
    } else {
        say_line(&format!("error: {message}"));
    }
}

/// An object on stderr: time in seconds since 1970, level, kind of event, and `fields`, which must be an object.
pub(crate) fn event(level: &str, kind: &str, fields: Value) {
    let seconds = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as f64 / 1e3;
    let mut object = Map::new();
    object.insert("time".into(), json!(seconds));
    object.insert("level".into(), json!(level));
    object.insert("event".into(), json!(kind));
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    let _ = writeln!(std::io::stderr(), "{}", printable_lines(&Value::Object(object).to_string()));
}

/// A line on stderr.
macro_rules! say {
    ($($text:tt)*) => { $crate::console::say_line(&format!($($text)*)) };
}

/// A line on stdout; returns from the function with the error when that fails.
macro_rules! print_line {
    ($($text:tt)*) => {{
        use std::io::Write;
        let line = format!($($text)*);
        writeln!(std::io::stdout(), "{}", yolo9::untrusted::printable_lines(&line))?;
    }};
}

pub(crate) use {print_line, say};

/// Whether an error means that the reader of stdout has seen enough (`| head`).
pub(crate) fn reader_has_gone(error: &anyhow::Error) -> bool {
    let broken = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(broken))
}

//! Log lines on stderr, in the shape of messages for people.

use log::{Level, LevelFilter};

use crate::cli::{Globals, LogArg};
use crate::console::{log_as_json, say};

pub(crate) fn start(globals: &Globals) {
    if globals.log == LogArg::Json {
        log_as_json();
    }
    let (ours, runtime) = match (globals.quiet, globals.verbose) {
        (true, _) => (LevelFilter::Error, LevelFilter::Off),
        (false, 0) => (LevelFilter::Info, LevelFilter::Off),
        (false, 1) => (LevelFilter::Debug, LevelFilter::Off),
        (false, _) => (LevelFilter::Trace, LevelFilter::Debug),
    };
    env_logger::Builder::new()
        .filter_level(LevelFilter::Off)
        .filter_module("yolo9", ours)
        .filter_module("onnxruntime", runtime)
        .format(|_, record| {
            match record.level() {
                Level::Error => say!("error: {}", record.args()),
                Level::Warn => say!("warning: {}", record.args()),
                _ => say!("{}", record.args()),
            }
            Ok(())
        })
        .init();
}

/// Without the messages about a model that was opened before.
pub(crate) fn quietly<T>(action: impl FnOnce() -> T) -> T {
    let level = log::max_level();
    log::set_max_level(level.min(log::LevelFilter::Warn));
    let result = action();
    log::set_max_level(level);
    result
}

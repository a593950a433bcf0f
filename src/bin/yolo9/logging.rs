//! Log lines on stderr, in the shape of messages for people.

use std::io::Write;

use log::{Level, LevelFilter};

use crate::args::Globals;

pub(crate) fn start(globals: &Globals) {
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
        .format(|f, record| match record.level() {
            Level::Error => writeln!(f, "error: {}", record.args()),
            Level::Warn => writeln!(f, "warning: {}", record.args()),
            _ => writeln!(f, "{}", record.args()),
        })
        .init();
}

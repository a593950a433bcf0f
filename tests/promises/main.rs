//! What is promised about untrusted files (docs/limits.md), each promise with the attacks that once broke it.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "../common/mod.rs"]
mod common;

mod bounded_images;
mod bounded_models;
mod nothing_lost;
mod nothing_overwritten;
mod nothing_runs;
mod nothing_shown_raw;

use common::watched::{Watched, watch};
use common::workdir::Workdir;

/// Memory above what the same command takes on a good file, in MB, and seconds. Inference may take longer. What is promised is
/// 5 seconds of the program as people build it; with debug assertions and hardly optimised it may take twice as long.
const MEMORY: u64 = 512;
const SECONDS: u64 = if cfg!(debug_assertions) { 10 } else { 5 };
const SECONDS_OF_INFERENCE: u64 = 20;

/// What the commands take on good files: measured once, with room for other machines.
const GOOD: u64 = 250;

/// Runs a command within the bounds.
fn bounded(place: &Workdir, arguments: &str) -> Watched {
    let seconds = if arguments.contains("detect") || arguments.contains("val") || arguments.contains("bench") {
        SECONDS_OF_INFERENCE
    } else {
        SECONDS
    };
    watch(&place.command(arguments), seconds, GOOD + MEMORY)
}

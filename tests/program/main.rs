//! The program as people run it: what is typed, and what is said, written and drawn.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout, reason = "tests may")]

#[path = "../common/mod.rs"]
mod common;

mod cli;
mod compare;
mod evaluate;
mod examples;
mod explain;
mod formats;
mod habits;
mod models;
mod pipeline;
mod quantize;
#[cfg(unix)]
mod resume;
mod settings;
mod sources;
#[cfg(feature = "train")]
mod train;

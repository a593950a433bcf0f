//! The library through its public items, against PyTorch's outputs, specifications and damaged files.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout, reason = "tests may")]

#[path = "../common/mod.rs"]
mod common;

mod checkpoint;
mod config_formats;
mod convert;
mod dysample;
mod export;
mod exported;
mod golden;
#[cfg(feature = "download")]
mod hub;
mod kernels;
mod layering;
mod parity;
mod resize;
#[cfg(feature = "train")]
mod train_parity;

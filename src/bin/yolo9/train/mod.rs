//! `yolo9 train`.

mod command;
mod data;
mod digest;
mod folder;
mod report;
mod run;
mod settings;
mod start;

pub(crate) use command::run;

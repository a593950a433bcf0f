//! What made a report: without it nobody can make it again.

use std::time::SystemTime;

use serde::Serialize;
use yolo9::output::escaped;
use yolo9::runtime::processor;

use crate::remedy::quoted;

/// The program, its command, the machine and the day.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Environment {
    #[serde(rename = "yolo9")]
    pub(crate) version: &'static str,
    /// As a shell takes it.
    pub(crate) command: String,
    pub(crate) processor: String,
    /// UTC, RFC 3339.
    pub(crate) date: String,
}

impl Environment {
    pub(crate) fn now() -> Self {
        let arguments = std::env::args_os().skip(1).map(|argument| quoted(&argument.to_string_lossy()));
        let command: Vec<String> = std::iter::once("yolo9".to_owned()).chain(arguments).collect();
        let unknown = || format!("{} ({})", std::env::consts::ARCH, std::env::consts::OS);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            command: command.join(" "),
            processor: processor::name().unwrap_or_else(unknown),
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        }
    }

    /// For a page.
    pub(crate) fn html(&self) -> String {
        let Self { version, command, processor, date } = self;
        format!("<code>{}</code><br>{date}, yolo9 {version}, {}", escaped(command), escaped(processor))
    }
}

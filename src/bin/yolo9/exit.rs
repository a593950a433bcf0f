//! How a command ends.

/// The numbers are documented in `yolo9 --help` and in the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    Done = 0,
    SomeFailed = 2,
    NoInput = 3,
    Interrupted = 130,
}

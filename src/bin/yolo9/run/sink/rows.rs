//! Rows of detections on stdout.

use std::io::{ErrorKind, Write};

use yolo9::output::table_rows;

use super::{Entry, Sink};

struct Rows {
    /// Whether somebody reads them.
    open: bool,
    failure: Option<std::io::Error>,
}

pub(super) fn sink() -> Box<dyn Sink> {
    Box::new(Rows { open: true, failure: None })
}

impl Sink for Rows {
    /// A reader that has seen enough (`| head`) ends the rows, not the run; a full disk is a failure.
    fn push(&mut self, entry: &Entry<'_>) -> anyhow::Result<()> {
        let Some(result) = entry.result.filter(|_| self.open && !entry.replayed) else { return Ok(()) };
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(table_rows(&result).as_bytes()).and_then(|()| stdout.flush());
        if let Err(error) = written {
            self.open = false;
            self.failure = Some(error).filter(|error| error.kind() != ErrorKind::BrokenPipe);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        match self.failure {
            Some(reason) => anyhow::bail!("stdout cannot be written: {reason}"),
            None => Ok(()),
        }
    }
}

//! Videos with their boxes drawn.

use std::path::{Path, PathBuf};

use super::{Entry, Sink};
use crate::interrupt::Interrupt;
use crate::run::plan::FeedEvent;
use crate::run::video::VideoWriter;

/// Frames per second of an annotated video where those of the original are not known.
const USUAL_RATE: (u64, u64) = (25, 1);

struct Videos {
    out: PathBuf,
    interrupt: Interrupt,
    /// The one that is playing.
    writer: Option<VideoWriter>,
}

pub(super) fn sink(out: &Path, interrupt: &Interrupt) -> Box<dyn Sink> {
    Box::new(Videos { out: out.to_path_buf(), interrupt: interrupt.clone(), writer: None })
}

impl Videos {
    fn close(&mut self) -> anyhow::Result<()> {
        self.writer.take().map_or(Ok(()), VideoWriter::finish)
    }
}

impl Sink for Videos {
    fn push(&mut self, entry: &Entry<'_>) -> anyhow::Result<()> {
        match (entry.frame, &mut self.writer) {
            (Some(frame), Some(writer)) => writer.push(frame),
            _ => Ok(()),
        }
    }

    fn video(&mut self, event: &FeedEvent) -> anyhow::Result<()> {
        match event {
            FeedEvent::Opened(planned, about) => {
                let rate = about.rate.unwrap_or(USUAL_RATE);
                self.writer = Some(VideoWriter::new(&self.out, planned.place(), rate, &self.interrupt));
                Ok(())
            }
            FeedEvent::Closed(..) => self.close(),
        }
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        self.close()
    }
}

//! Ctrl-C, and what schedulers send (SIGTERM): the first one ends the run after the pictures at hand, the second at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::console::say;

/// Set once somebody has asked to stop.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub(crate) fn install() -> anyhow::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&flag);
        ctrlc::set_handler(move || {
            if seen.swap(true, Ordering::Relaxed) {
                std::process::exit(crate::Outcome::Interrupted as i32);
            }
            say!("Stopping when the pictures at hand are done; once more to stop at once");
        })?;
        Ok(Self(flag))
    }

    pub(crate) fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

//! Ctrl-C, and what schedulers send (SIGTERM): the first one ends the run after the images at hand, the second at once.

use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::console::say;

/// Set once somebody has asked to stop.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub(crate) fn install() -> anyhow::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&flag);
        ctrlc::set_handler(move || {
            if seen.swap(true, Ordering::SeqCst) {
                Process::kill_all();
                // Without destructors, which would take ONNX Runtime away from threads that are at work in it. What
                // these find then would be noted as failures of their images.
                signal_hook::low_level::exit(crate::exit::ExitStatus::Interrupted as i32);
            }
            // On a thread of its own: a stderr that nobody reads must not keep the next signal from being heard.
            std::thread::spawn(|| say!("Stopping when the images at hand are done; once more to stop at once"));
        })?;
        Ok(Self(flag))
    }

    pub(crate) fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// All processes that were started and have not ended.
static PROCESSES: Mutex<Vec<Arc<Mutex<Child>>>> = Mutex::new(Vec::new());

/// A process of ours, which does not outlive us when somebody asks twice to stop. It ends with the value.
#[derive(Debug)]
pub(crate) struct Process(Arc<Mutex<Child>>);

impl Process {
    pub(crate) fn new(child: Child) -> Self {
        let child = Arc::new(Mutex::new(child));
        PROCESSES.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&child));
        Self(child)
    }

    /// Nobody may wait in there for long.
    fn with<R>(&self, action: impl FnOnce(&mut Child) -> R) -> R {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How it ended, if it does in the time that somebody has, which may change meanwhile.
    pub(crate) fn wait_for(&self, time: impl Fn() -> Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            match self.with(Child::try_wait) {
                Ok(Some(status)) => return Some(status),
                Ok(None) if start.elapsed() < time() => std::thread::sleep(Duration::from_millis(5)),
                _ => return None,
            }
        }
    }

    fn kill_all() {
        for process in PROCESSES.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            drop(process.lock().unwrap_or_else(PoisonError::into_inner).kill());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.with(|child| {
            let _ = child.kill();
            let _ = child.wait();
        });
        PROCESSES.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, &self.0));
    }
}

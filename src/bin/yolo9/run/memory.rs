//! Memory for decoded images: as much as is allowed, whoever comes first.
//!
//! Images get theirs in the order of inputs. Those that have it are then always earlier than those that wait, and go
//! on to their end without them, so nobody waits for ever.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(crate) struct Memory {
    limit: u64,
    state: Mutex<Turns>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Turns {
    used: u64,
    /// Turns given out so far, and the one that may take memory now.
    given: u64,
    next: u64,
    /// Turns that were given back before they were used.
    skipped: BTreeSet<u64>,
    /// Whether the next one waits for memory.
    starved: bool,
}

impl Turns {
    fn advance(&mut self) {
        self.next += 1;
        while self.skipped.remove(&self.next) {
            self.next += 1;
        }
    }
}

impl Memory {
    /// So many bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, state: Mutex::default(), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, Turns> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place in the order.
    pub(crate) fn turn(self: &Arc<Self>) -> Turn {
        let mut state = self.state();
        state.given += 1;
        Turn { memory: Arc::clone(self), number: state.given - 1 }
    }

    /// Whether somebody waits for memory that others have.
    pub(crate) fn is_starved(&self) -> bool {
        self.state().starved
    }
}

/// A place in the order. One that is dropped lets the next one pass.
#[derive(Debug)]
pub(crate) struct Turn {
    memory: Arc<Memory>,
    number: u64,
}

impl Turn {
    fn come(&self) -> MutexGuard<'_, Turns> {
        let early = |state: &mut Turns| state.next != self.number;
        self.memory.changed.wait_while(self.memory.state(), early).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn alone: what is read from now on is not read by others at the same time.
    pub(crate) fn wait(&self) {
        drop(self.come());
    }

    /// Waits for the turn, and then until there is so much memory. One that needs more than there is at all gets it alone.
    pub(crate) fn take(self, bytes: u64) -> Held {
        let short = |state: &mut Turns| {
            state.starved = state.used > 0 && state.used.saturating_add(bytes) > self.memory.limit;
            state.starved
        };
        let state = self.memory.changed.wait_while(self.come(), short);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.used += bytes;
        state.advance();
        self.memory.changed.notify_all();
        Held { memory: Arc::clone(&self.memory), bytes }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.memory.state();
        match state.next.cmp(&self.number) {
            Ordering::Equal => state.advance(),
            Ordering::Less => drop(state.skipped.insert(self.number)),
            // It was taken.
            Ordering::Greater => return,
        }
        self.memory.changed.notify_all();
    }
}

/// Memory of an image, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.state().used -= self.bytes;
        self.memory.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering::SeqCst;
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_is_in_use_than_there_is_and_all_get_theirs() {
        let memory = Arc::new(Memory::new(100));
        let (in_use, most) = (&AtomicU64::new(0), &AtomicU64::new(0));
        let turns: Vec<Turn> = (0..60).map(|_| memory.turn()).collect();
        std::thread::scope(|scope| {
            for (n, turn) in turns.into_iter().enumerate() {
                scope.spawn(move || {
                    if n % 7 == 3 {
                        return drop(turn);
                    }
                    let bytes = 10 + (n as u64 * 13) % 60;
                    let held = turn.take(bytes);
                    most.fetch_max(in_use.fetch_add(bytes, SeqCst) + bytes, SeqCst);
                    std::thread::sleep(Duration::from_millis(1));
                    in_use.fetch_sub(bytes, SeqCst);
                    drop(held);
                });
            }
        });
        assert!((60..=100).contains(&most.load(SeqCst)), "{most:?}");
    }

    #[test]
    fn one_that_is_too_large_gets_it_alone() {
        let memory = Arc::new(Memory::new(10));
        let (first, second) = (memory.turn(), memory.turn());
        let held = first.take(1000);
        let waiting = std::thread::spawn(move || second.take(1));
        while !memory.is_starved() {
            std::thread::yield_now();
        }
        drop(held);
        waiting.join().unwrap();
        assert!(!memory.is_starved());
    }
}

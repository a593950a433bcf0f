//! What a pickle may make us build. Its values can refer to each other, so a few bytes can ask for a text of a megabyte
//! thousands of times, or for a list of lists of lists; limits on depth and length alone do not bound that.

use std::cell::Cell;

use super::Problem;

/// Memory for names, shapes, configs and reports, in bytes. The largest published checkpoint needs about one megabyte.
pub(super) const MAX_BYTES: usize = 64 << 20;
/// Values that are looked at. The largest published checkpoint has about 200,000, most of them looked at a few times.
pub(super) const MAX_STEPS: usize = 20_000_000;

/// What has been spent for one pickle.
#[derive(Debug, Default)]
pub(super) struct Budget {
    bytes: Cell<usize>,
    steps: Cell<usize>,
}

impl Budget {
    /// Notes that something of that many bytes is built. Whoever builds much asks [`Budget::check`] before.
    pub(super) fn spend_bytes(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_add(bytes));
    }

    /// Notes that so many values are looked at.
    pub(super) fn spend_steps(&self, steps: usize) {
        self.steps.set(self.steps.get().saturating_add(steps));
    }

    /// Whether nothing more may be built.
    pub(super) fn is_spent(&self) -> bool {
        self.bytes.get() > MAX_BYTES || self.steps.get() > MAX_STEPS
    }

    /// Refuses the file once too much is spent.
    pub(super) fn check(&self) -> Result<(), Problem> {
        if self.is_spent() { Err(Problem::Budget) } else { Ok(()) }
    }
}

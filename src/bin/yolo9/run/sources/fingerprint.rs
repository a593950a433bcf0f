//! Paths as numbers, for sets of millions of them.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Stands for a path in a set: 128 bits, so that two paths of a run practically never share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(u64, u64);

impl Fingerprint {
    pub(crate) fn of(value: &(impl Hash + ?Sized)) -> Self {
        let part = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            value.hash(&mut hasher);
            hasher.finish()
        };
        Self(part(0), part(1))
    }
}

//! How weights can fail to fit an architecture.

use std::fmt;

use thiserror::Error;

use crate::architecture::ArchitectureError;
use crate::checkpoint::CheckpointError;
use crate::config::ConfigError;
use crate::dysample::Lift;

/// A list longer than this tells no more than its beginning.
const SHOWN: usize = 12;

/// Why weights cannot be bound.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// Names or shapes differ.
    #[error("weights {weights} do not fit config {config}:\n{mismatches}{hint}", mismatches = listed(mismatches))]
    Mismatch {
        /// The checkpoint.
        weights: String,
        /// The configuration.
        config: String,
        /// All differences.
        mismatches: Vec<Mismatch>,
        /// A likely reason; may be empty.
        hint: String,
        /// If the weights lack nothing but the parameters of DySample: what it can do as well at these places.
        /// [`lifted`](crate::weights::lifted) initialises it from that.
        lift: Option<Lift>,
    },
    /// A target has nothing that weights can be lifted to, or something that these cannot.
    #[error("{0}")]
    Lift(String),
    /// The checkpoint's own configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The checkpoint could not give a tensor.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The configuration does not fit the head that the weights show.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
}

/// One difference between what an architecture needs and what a checkpoint has.
#[derive(Debug, Clone, PartialEq)]
pub enum Mismatch {
    /// A tensor that the network needs is not in the file.
    Missing {
        /// Its name.
        name: String,
        /// The shape that it should have.
        expected: Vec<usize>,
    },
    /// A tensor has another shape.
    Shape {
        /// Its name.
        name: String,
        /// What the network needs.
        expected: Vec<usize>,
        /// What the file has.
        found: Vec<usize>,
    },
    /// A tensor of the file belongs to no layer.
    Unexpected {
        /// Its name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// The file says of a layer what the configuration contradicts.
    Attribute {
        /// The layer.
        name: String,
        /// What the configuration says.
        expected: String,
        /// What the file says.
        found: String,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Missing { name, expected } => write!(f, "missing     {name} {expected:?}"),
            Mismatch::Shape { name, expected, found } => {
                write!(f, "wrong shape {name}: expected {expected:?}, found {found:?}")
            }
            Mismatch::Unexpected { name, found } => write!(f, "unexpected  {name} {found:?}"),
            Mismatch::Attribute { name, expected, found } => {
                write!(f, "differs     {name}: config says {expected}, weights say {found}")
            }
        }
    }
}

fn listed(mismatches: &[Mismatch]) -> String {
    let lines = mismatches.iter().take(SHOWN).map(|mismatch| format!("  {mismatch}\n"));
    let more = mismatches.len().checked_sub(SHOWN).filter(|more| *more > 0);
    lines.chain(more.map(|more| format!("  and {more} more\n"))).collect()
}

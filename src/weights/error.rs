//! How weights can fail to fit an architecture.

use std::fmt;

use thiserror::Error;

use crate::architecture::ArchitectureError;
use crate::checkpoint::CheckpointError;
use crate::dysample::Lift;

/// A list longer than this tells no more than its beginning.
const SHOWN: usize = 12;

/// Why weights cannot be bound.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// Names or shapes differ.
    #[error("weights {weights} do not fit config {config}:\n{mismatches}{hint}", mismatches = List(mismatches))]
    Mismatch {
        /// The checkpoint.
        weights: String,
        /// The configuration.
        config: String,
        /// All differences.
        mismatches: Vec<Mismatch>,
        /// A likely reason; may be empty.
        hint: String,
        /// What the weights lack, if that is nothing but the parameters of DySample.
        lacks_dysample: Option<Box<LacksDySample>>,
    },
    /// A tensor holds NaN or an infinity.
    #[error(
        "weights {weights}: tensor {tensor} holds a value that is not finite ({value} at position {position}); the training diverged or the file is damaged"
    )]
    NotFinite {
        /// The checkpoint.
        weights: String,
        /// The tensor.
        tensor: String,
        /// The value.
        value: f32,
        /// Its row-major position.
        position: usize,
    },
    /// The checkpoint could not give a tensor.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The configuration does not fit the head that the weights show.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
}

/// Weights that were trained with another upsampler where a configuration has DySample.
/// [`lifted`](crate::weights::lifted) initialises DySample from that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LacksDySample {
    /// The checkpoint.
    pub weights: String,
    /// The configuration.
    pub config: String,
    /// What DySample can do as well at these places.
    pub upsampler: Lift,
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

struct List<'a>(&'a [Mismatch]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mismatch in self.0.iter().take(SHOWN) {
            writeln!(f, "  {mismatch}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }
}

//! Python pickles as data.
//!
//! The machine knows the opcodes of protocols 0 to 5 that build values. A `GLOBAL` becomes an inert symbol, a `REDUCE`
//! becomes the record of a call that is not made. Only `collections.OrderedDict` and `set` are understood, as the
//! containers that they are. Values live in an arena and refer to each other by number, so that neither deep nesting
//! nor cycles can overflow the stack.

mod machine;
mod opcode;
mod value;

pub(super) use machine::{parse, parse_first};
pub(super) use value::{Arena, Id, Node};

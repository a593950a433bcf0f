//! A run over images: which ones, their way through the network, and what is written of them.

pub(crate) mod feed;
pub(crate) mod guard;
pub(crate) mod images;
pub(crate) mod journal;
pub(crate) mod lock;
mod memory;
pub(crate) mod numbered;
pub(crate) mod pipeline;
pub(crate) mod places;
pub(crate) mod plan;
pub(crate) mod recorder;
pub(crate) mod sessions;
pub(crate) mod sink;
pub(crate) mod sources;
pub(crate) mod video;

pub(crate) use memory::{Held, Turn};

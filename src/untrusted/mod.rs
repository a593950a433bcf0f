//! Where untrusted input enters: files, paths and texts that somebody else chose.
//!
//! Every path, size, count and text that comes from a file is bounded here or by the reader of its format, once; the
//! limits stand in docs/limits.md.

mod file;
mod place;
mod text;

pub use file::{
    FileKind, FileStamp, is_passing, open_own, open_regular, open_stream, read, read_at_most, read_stamped, read_text,
};
pub use place::{RelativePath, RelativePathError, below};
pub use text::{printable, printable_lines, shortened};

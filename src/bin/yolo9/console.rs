//! Writing to the user's streams. `println!` panics when the reader has gone or the disk is full.

/// A line on stderr. Nobody can be told when that fails.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

/// A line on stdout; returns from the function with the error when that fails.
macro_rules! print_line {
    ($($text:tt)*) => {{
        use std::io::Write;
        writeln!(std::io::stdout(), $($text)*)?;
    }};
}

pub(crate) use {print_line, say};

/// Whether an error means that the reader of stdout has seen enough (`| head`).
pub(crate) fn reader_has_gone(error: &anyhow::Error) -> bool {
    let broken = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(broken))
}

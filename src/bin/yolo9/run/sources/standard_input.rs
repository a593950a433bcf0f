//! `-`: paths on stdin, one a line, or the bytes of one image.

use std::path::PathBuf;

use image::ImageFormat;
use yolo9::untrusted::{FileKind, read_at_most};

/// What came in.
pub(super) enum Input {
    Image(Vec<u8>),
    Lines(Vec<PathBuf>),
}

/// Reads all of it.
pub(super) fn read() -> Result<Input, String> {
    let bytes = read_at_most(std::io::stdin().lock(), FileKind::Image);
    let bytes = bytes.map_err(|error| format!("stdin cannot be read: {error}"))?;
    told_apart(bytes)
}

/// An image shows in its first bytes, and in bytes that no path has: a list may begin with `P1030421.JPG` or `BMW/`.
fn told_apart(bytes: Vec<u8>) -> Result<Input, String> {
    if bytes.is_empty() {
        return Err("stdin is empty; expected paths, one a line, or the bytes of an image".into());
    }
    if !bytes.contains(&0) {
        if let Some(lines) = lines(&bytes) {
            return Ok(Input::Lines(lines));
        }
    } else if image::guess_format(&bytes).is_ok() {
        return Ok(Input::Image(bytes));
    }
    Err("stdin is neither paths, one a line, nor an image that can be read".into())
}

/// Paths as the system has them, which need not be UTF-8.
#[cfg(unix)]
fn lines(bytes: &[u8]) -> Option<Vec<PathBuf>> {
    use std::os::unix::ffi::OsStrExt;
    let line = |line: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(line.strip_suffix(b"\r").unwrap_or(line)));
    Some(bytes.split(|byte| *byte == b'\n').map(line).collect())
}

#[cfg(not(unix))]
fn lines(bytes: &[u8]) -> Option<Vec<PathBuf>> {
    Some(std::str::from_utf8(bytes).ok()?.lines().map(PathBuf::from).collect())
}

/// What results call an image without a name.
pub(super) fn file_name(bytes: &[u8]) -> String {
    let format = image::guess_format(bytes).unwrap_or(ImageFormat::Png);
    format!("stdin.{}", format.extensions_str().first().unwrap_or(&"png"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_begin_like_images_are_lists() {
        for list in ["P1030421.JPG\nP1030422.JPG\n", "BMW/1.jpg", "GIF89a.gif"] {
            assert!(
                matches!(told_apart(list.into()), Ok(Input::Lines(lines)) if lines[0].ends_with(list.lines().next().unwrap()))
            );
        }
    }
}

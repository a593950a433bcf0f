//! `-`: paths on stdin, one a line, or the bytes of one picture.

use std::io::Read;

use image::ImageFormat;

/// What came in.
pub(super) enum Input {
    Picture(Vec<u8>),
    Lines(String),
}

/// Reads all of it. A picture shows in its first bytes.
pub(super) fn read() -> Result<Input, String> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(|error| format!("stdin cannot be read: {error}"))?;
    if image::guess_format(&bytes).is_ok() {
        return Ok(Input::Picture(bytes));
    }
    if bytes.is_empty() {
        return Err("stdin is empty; expected paths, one a line, or the bytes of a picture".into());
    }
    String::from_utf8(bytes)
        .map(Input::Lines)
        .map_err(|_| "stdin is neither UTF-8 text (paths, one a line) nor a picture that can be read".into())
}

/// What results call a picture without a name.
pub(super) fn file_name(bytes: &[u8]) -> String {
    let format = image::guess_format(bytes).unwrap_or(ImageFormat::Png);
    format!("stdin.{}", format.extensions_str().first().unwrap_or(&"png"))
}

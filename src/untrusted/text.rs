//! Text from outside on its way to a terminal.

use std::borrow::Cow;

/// Whether a terminal or a reader could be led astray: control characters, and those that change the direction of
/// writing (Unicode's bidirectional controls, UAX #9) or break lines.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, misleads: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&misleads) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if !misleads(c) => escaped.push(c),
            '\n' | '\t' | '\r' => escaped.extend(c.escape_default()),
            c => escaped += &format!("\\u{:04x}", u32::from(c)),
        }
    }
    escaped.into()
}

/// Text with control and bidirectional characters escaped as in JSON (`\n`, `\u001b`), so that a file's name or content
/// can neither break a line nor steer a terminal. JSON stays JSON, with the same meaning.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, misleads)
}

/// As [`printable`] for text of several lines: line breaks and tabs stay.
#[must_use]
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| misleads(c) && c != '\n' && c != '\t')
}

/// The first characters of a text that may be long, for a message.
#[must_use]
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        assert_eq!(printable("a\tb\x1b[31m\nö"), "a\\tb\\u001b[31m\\nö");
        assert_eq!(printable("\u{202e}gpj.exe\u{9b}2J"), "\\u202egpj.exe\\u009b2J");
        assert_eq!(printable_lines("a\n\tb\r\x07"), "a\n\tb\\r\\u0007");
        assert!(matches!(printable("plain é 漢"), Cow::Borrowed(_)));
        assert_eq!(shortened("héllo", 2), "hé…");
        assert_eq!(shortened("hi", 2), "hi");
    }
}

//! Python literals, in which exporters write their metadata: `{0: 'person', 1: "it's"}`, `[640, 640]`.

/// A list of numbers: `[640, 640]` or `640`.
pub(super) fn integers(text: &str) -> Option<Vec<usize>> {
    let text = text.trim();
    let inner = text.strip_prefix(['[', '(']).and_then(|rest| rest.strip_suffix([']', ')'])).unwrap_or(text);
    inner.split(',').map(str::trim).filter(|item| !item.is_empty()).map(|item| item.parse().ok()).collect()
}

/// Class names: a list, or a map from id to name without gaps.
pub(super) fn class_names(text: &str) -> Option<Vec<String>> {
    let mut reader = Reader { rest: text.trim() };
    let is_map = reader.rest.starts_with('{');
    let (_, close) = (reader.symbol(if is_map { '{' } else { '[' })?, if is_map { '}' } else { ']' });
    let mut named = Vec::new();
    while reader.symbol(close).is_none() {
        let id = if is_map { reader.key()? } else { named.len() };
        named.push((id, reader.string()?));
        if reader.symbol(',').is_none() && !reader.rest.starts_with(close) {
            return None;
        }
    }
    named.sort();
    let complete = reader.rest.is_empty() && named.iter().enumerate().all(|(expected, (id, _))| expected == *id);
    complete.then(|| named.into_iter().map(|(_, name)| name).collect())
}

/// Metadata value for class names, as other tools read it: a map from class id to name as Python's `repr` writes it.
#[must_use]
pub fn names_literal(names: &[String]) -> String {
    let entries: Vec<String> = names.iter().enumerate().map(|(id, name)| format!("{id}: {}", quoted(name))).collect();
    format!("{{{}}}", entries.join(", "))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "'"
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn symbol(&mut self, symbol: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(symbol)?.trim_start();
        Some(())
    }

    /// `0:`, or `'0':` as in JSON.
    fn key(&mut self) -> Option<usize> {
        let id = if self.rest.starts_with(['\'', '"']) {
            self.string()?.parse().ok()?
        } else {
            let end = self.rest.find(|c: char| !c.is_ascii_digit())?;
            let (digits, rest) = self.rest.split_at(end);
            self.rest = rest;
            digits.parse().ok()?
        };
        self.symbol(':')?;
        Some(id)
    }

    fn string(&mut self) -> Option<String> {
        let mut characters = self.rest.chars();
        let quote = characters.next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let mut text = String::new();
        loop {
            let c = match characters.next()? {
                c if c == quote => break,
                '\\' => match characters.next()? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'x' => hexadecimal(&mut characters, 2)?,
                    'u' => hexadecimal(&mut characters, 4)?,
                    'U' => hexadecimal(&mut characters, 8)?,
                    c @ ('\\' | '\'' | '"' | '/') => c,
                    _ => return None,
                },
                c => c,
            };
            text.push(c);
        }
        self.rest = characters.as_str().trim_start();
        Some(text)
    }
}

fn hexadecimal(characters: &mut std::str::Chars<'_>, count: usize) -> Option<char> {
    let digits: String = characters.take(count).collect();
    let whole = digits.len() == count && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    whole.then(|| u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32))?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_exporters_write_is_read() {
        struct Case(&'static str, Option<&'static [&'static str]>);
        for Case(text, names) in [
            Case("{0: 'person', 1: \"it's\"}", Some(&["person", "it's"])),
            Case("['a', 'b\\'c',]", Some(&["a", "b'c"])),
            Case("{\"1\": \"b\", \"0\": \"\\u00e9\"}", Some(&["é", "b"])),
            Case(" { 1 : 'b' , 0 : 'a' } ", Some(&["a", "b"])),
            Case("{}", Some(&[])),
            Case("{0: 'a', 2: 'b'}", None),
            Case("{0: 'a' 1: 'b'}", None),
            Case("{0: 'a'", None),
            Case("['a'] or __import__('os')", None),
            Case("['\\x0']", None),
            Case("80", None),
        ] {
            let names = names.map(|names| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
            assert_eq!(class_names(text), names, "{text}");
        }
        assert_eq!(integers("[640, 480]"), Some(vec![640, 480]));
        assert_eq!(integers("32"), Some(vec![32]));
        assert_eq!(integers("[a]"), None);
    }

    proptest! {
        #[test]
        fn names_come_back(names in prop::collection::vec(any::<String>(), 0..6)) {
            prop_assert_eq!(class_names(&names_literal(&names)), Some(names));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (class_names(&text), integers(&text));
        }
    }
}

//! Reports as one HTML page that needs nothing else, for a screen, a phone, or paper.

use std::fmt::Write;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use yolo9::output::{address, escaped};

const STYLE: &str = include_str!("page.css");

/// Shows the values of curves below a pointer.
const SCRIPT: &str = include_str!("page.js");

/// The beginning of a page up to its body; `title` is escaped already.
pub(crate) fn opened(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n"
    )
}

/// The end of a page.
pub(crate) fn closed(page: &mut String) {
    let _ = writeln!(page, "<script>\n{SCRIPT}</script>\n</body>\n</html>");
}

/// A note on images that could not be read.
pub(crate) fn left_out(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "<p class=\"note\">1 image could not be read, and is left out.</p>\n".into(),
        _ => format!("<p class=\"note\">{count} images could not be read, and are left out.</p>\n"),
    }
}

/// A table; the first column is the name of a row. It scrolls for itself where it is wider than the screen, also by
/// keyboard.
pub(crate) fn table(page: &mut String, heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    *page += "<div class=\"wide\" tabindex=\"0\"><table>\n<tr>";
    heads.iter().for_each(|head| {
        let (open, close) = if head.is_empty() { ("<td>", "</td>") } else { ("<th scope=\"col\">", "</th>") };
        let _ = write!(page, "{open}{head}{close}");
    });
    *page += "</tr>\n";
    for row in rows {
        *page += "<tr>";
        for (n, cell) in row.iter().enumerate() {
            let (open, close) = if n == 0 { ("<th scope=\"row\">", "</th>") } else { ("<td>", "</td>") };
            let _ = write!(page, "{open}{cell}{close}");
        }
        *page += "</tr>\n";
    }
    *page += "</table></div>\n";
}

/// What a reader should take home.
pub(crate) fn verdict(page: &mut String, sentences: &[String]) {
    *page += "<section class=\"verdict\">\n";
    for sentence in sentences {
        let _ = writeln!(page, "<p>{}</p>", escaped(sentence));
    }
    *page += "</section>\n";
}

/// A JPEG image inside the page, with a link to a file below its folder.
pub(crate) fn figure(page: &mut String, file: &Path, jpeg: &[u8], caption: &str) {
    let _ = writeln!(
        page,
        "<figure><a href=\"{}\"><img alt=\"{caption}\" src=\"data:image/jpeg;base64,{}\"></a><figcaption>{caption}</figcaption></figure>",
        address(&file.to_string_lossy()),
        BASE64_STANDARD.encode(jpeg),
        caption = escaped(caption)
    );
}

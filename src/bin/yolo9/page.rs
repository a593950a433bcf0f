//! Reports as one HTML page that needs nothing else, for a screen, a phone, or paper.

use std::fmt::Write;

use base64::prelude::{BASE64_STANDARD, Engine};
use yolo9::output::escaped;

const STYLE: &str = include_str!("page.css");

pub(crate) const TABLE_END: &str = "</table></div>\n";

/// The beginning of a page up to its body; `title` is escaped already.
pub(crate) fn opened(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n"
    )
}

/// Opens a table; the first column is the name of a row.
pub(crate) fn table(page: &mut String, heads: &[&str]) {
    *page += "<div class=\"wide\"><table>\n<tr>";
    heads.iter().for_each(|head| {
        let _ = write!(page, "<th>{head}</th>");
    });
    *page += "</tr>\n";
}

pub(crate) fn row(page: &mut String, cells: &[String]) {
    *page += "<tr>";
    cells.iter().for_each(|cell| {
        let _ = write!(page, "<td>{cell}</td>");
    });
    *page += "</tr>\n";
}

/// A JPEG image inside the page, with a link to a file beside it, whose place is escaped already.
pub(crate) fn figure(page: &mut String, file: &str, jpeg: &[u8], caption: &str) {
    let _ = writeln!(
        page,
        "<figure><a href=\"{file}\"><img alt=\"{caption}\" src=\"data:image/jpeg;base64,{}\"></a><figcaption>{caption}</figcaption></figure>",
        BASE64_STANDARD.encode(jpeg),
        caption = escaped(caption)
    );
}

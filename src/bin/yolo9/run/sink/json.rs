//! `--json`: one array with an object for each image.

use yolo9::output::{ImageResult, to_json};

use super::file::{Format, separator};

pub(super) struct Json;

impl Format for Json {
    fn head(&self) -> &'static str {
        "["
    }

    fn text(&self, result: &ImageResult<'_>, first: bool) -> String {
        format!("{}{}", separator(first), to_json(result))
    }

    fn tail(&self, empty: bool) -> &'static str {
        if empty { "]\n" } else { "\n]\n" }
    }
}

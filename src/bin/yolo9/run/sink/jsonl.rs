//! `--jsonl`: an object for each image, one a line.

use yolo9::output::{ImageResult, to_json};

use super::file::Format;

pub(super) struct Jsonl;

impl Format for Jsonl {
    fn head(&self) -> &'static str {
        ""
    }

    fn text(&self, result: &ImageResult<'_>, _first: bool) -> String {
        to_json(result) + "\n"
    }

    fn tail(&self, _empty: bool) -> &'static str {
        ""
    }
}

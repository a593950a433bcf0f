//! `--json`: one array with an object for each image. `--jsonl`: the same objects, one a line.

use yolo9::output::{ImageResult, to_json};

use super::file::{Format, Framing};

pub(super) const JSON: Format = Format { frame: Framing::Array, pieces: object };

pub(super) const JSONL: Format = Format { frame: Framing::Lines(""), pieces: object };

fn object(result: &ImageResult<'_>) -> Vec<String> {
    vec![to_json(result)]
}

//! Values that several options take.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use yolo9::Size;
use yolo9::dysample::Lift;
use yolo9::runtime::Precision;

/// Words of `--lift`.
pub(super) const LIFTS: &[(&str, Lift)] = &[("nearest", Lift::Nearest), ("bilinear", Lift::Bilinear)];

/// One of these words, which help lists.
pub(super) fn one_of<T: Copy + Send + Sync + 'static>(
    words: &'static [(&'static str, T)],
) -> impl TypedValueParser<Value = T> {
    let value = move |typed: String| words.iter().find(|(word, _)| *word == typed).expect("it is one of them").1;
    PossibleValuesParser::new(words.iter().map(|(word, _)| *word)).map(value)
}

/// The side of a square, in pixels.
pub(super) fn parse_side(text: &str) -> Result<usize, String> {
    let side = text.parse::<usize>().ok().filter(|side| (32..=4096).contains(side));
    side.ok_or_else(|| format!("`{text}` is not a side of 32 to 4096 pixels"))
}

/// `640`, or height and width: `480x640`, `480,640`.
pub(super) fn parse_size(text: &str) -> Result<Size, String> {
    let side = |side: &str| match side.trim().parse::<usize>() {
        Ok(side @ 1..=16_384) => Ok(side),
        _ => Err(format!(
            "`{text}` is no size of 1 to 16384 pixels; expected one side, 640, or height and width, 480x640"
        )),
    };
    match text.split_once(['x', ',']) {
        Some((height, width)) => Ok(Size::new(side(width)?, side(height)?)),
        None => side(text).map(Size::square),
    }
}

/// How many: at least one.
pub(super) fn parse_count(text: &str) -> Result<u32, String> {
    let count = text.parse::<u32>().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("`{text}` is no whole number from 1 on"))
}

/// A probability or an IoU.
pub(super) fn parse_unit(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err(format!("`{text}` is not a number from 0 to 1")),
    }
}

/// Numbers of convolutions.
pub(super) fn parse_precision(text: &str) -> Result<Precision, String> {
    let names = match text.to_ascii_lowercase().as_str() {
        "fp32" => Some(Precision::F32),
        "fp16" => Some(Precision::F16),
        name => Precision::ALL.into_iter().find(|precision| precision.to_string() == name),
    };
    names.ok_or_else(|| format!("`{text}` is no precision; expected f32, bf16, f16 or int8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_height_then_width() {
        assert_eq!(parse_size("480x640"), Ok(Size::new(640, 480)));
        assert_eq!(parse_size("320"), Ok(Size::square(320)));
        assert!(parse_size("0").is_err() && parse_size("1x").is_err() && parse_size("99999").is_err());
    }
}

//! `yolo9 explain`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::common::{InputArgs, ModelArgs, RuntimeArgs, ThresholdArgs};

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The images; by default the embedded sample image.
    #[arg(value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Two models instead of one: where the feature maps that their heads read differ, and which boxes differ with them.
    #[arg(long, value_names = ["A", "B"], num_args = 2, conflicts_with_all = ["weights", "config", "layer", "region"], help_heading = "Model")]
    pub(crate) compare: Vec<String>,

    #[command(flatten)]
    pub(crate) input: InputArgs,

    /// Only the DySample modules of these layers.
    #[arg(long, value_name = "N,…", value_delimiter = ',', help_heading = "Input")]
    pub(crate) layer: Vec<usize>,

    /// The part of the image whose points are drawn large: left edge, top edge, width and height in its pixels [default: where
    /// points move most].
    #[arg(long, value_name = "X,Y,W,H", help_heading = "Input")]
    pub(crate) region: Option<Region>,

    #[command(flatten)]
    pub(crate) thresholds: ThresholdArgs,

    /// The image to draw, PNG or JPEG; of several images the folder to draw into [default: NAME-explained.png in the working
    /// folder].
    #[arg(short, long, value_name = "FILE|FOLDER", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,

    /// Write all numbers as JSON, those of each group of channels too; `-` is stdout, which the sentences then leave to it.
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,

    /// Replace files that exist.
    #[arg(long, help_heading = "Output")]
    pub(crate) exist_ok: bool,

    #[command(flatten)]
    pub(crate) runtime: RuntimeArgs,
}

/// A part of an image, in its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl FromStr for Region {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<u32>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[left, top, width, height]) if width > 0 && height > 0 => Ok(Self { left, top, width, height }),
            _ => Err("expected left edge, top edge, width and height in pixels, as 100,50,200,150".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_four_numbers() {
        assert_eq!("1, 2,3,4".parse(), Ok(Region { left: 1, top: 2, width: 3, height: 4 }));
        for wrong in ["1,2,3", "1,2,0,4", "1,2,3,-4", "a,b,c,d", "1,2,3,4,5", "1,2,3,99999999999"] {
            assert!(wrong.parse::<Region>().is_err(), "{wrong}");
        }
    }
}

//! What defines a DySample module, and the shapes of its parameters.

use std::fmt;

/// Where the offsets are predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DySampleStyle {
    /// "Linear + pixel shuffle": on the low-resolution map, then shuffled. The paper's default.
    #[default]
    Lp,
    /// "Pixel shuffle + linear": the map is shuffled to the high resolution first.
    Pl,
}

impl fmt::Display for DySampleStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DySampleStyle::Lp => "lp",
            DySampleStyle::Pl => "pl",
        })
    }
}

/// The arguments of a DySample module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// Channels of the input, which are those of the output.
    pub channels: usize,
    /// Upsampling factor, 1 to 8.
    pub scale: usize,
    /// Where the offsets are predicted.
    pub style: DySampleStyle,
    /// Groups of channels that share their sampling points.
    pub groups: usize,
    /// Dynamic scope: a second convolution predicts how far the offsets may reach.
    pub dyscope: bool,
}

impl Definition {
    /// A checked definition.
    ///
    /// # Errors
    /// A sentence that says which argument does not fit and why.
    pub fn new(
        channels: usize,
        scale: usize,
        style: DySampleStyle,
        groups: usize,
        dyscope: bool,
    ) -> Result<Self, String> {
        if !(1..=8).contains(&scale) {
            return Err(format!("DySample: scale is {scale}; expected 1 to 8"));
        }
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(format!("DySample: {channels} channels cannot be split into {groups} groups"));
        }
        if style == DySampleStyle::Pl && !channels.is_multiple_of(scale * scale) {
            return Err(format!(
                "DySample: style 'pl' shuffles {channels} channels by scale {scale}, which needs a multiple of {}",
                scale * scale
            ));
        }
        Ok(Self { channels, scale, style, groups, dyscope })
    }

    /// Channels of the offset map: x and y for each group and each of the `scale²` output pixels of a position.
    #[must_use]
    pub fn offset_channels(&self) -> usize {
        2 * self.groups * self.scale * self.scale
    }

    /// Shape of `offset.weight` (and `scope.weight`) as the module stores it.
    #[must_use]
    pub fn stored_weight_shape(&self) -> [usize; 4] {
        match self.style {
            DySampleStyle::Lp => [self.offset_channels(), self.channels, 1, 1],
            DySampleStyle::Pl => [2 * self.groups, self.channels / (self.scale * self.scale), 1, 1],
        }
    }
}

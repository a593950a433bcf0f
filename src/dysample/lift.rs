//! Parameters of a DySample that does what a fixed upsampler does.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Definition, DySampleStyle, OffsetParameters, init_pos};

/// The upsampler that a lifted DySample equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lift {
    /// All offsets are 0, so each output pixel is the position it lies in, bit for bit where the map is finite.
    Nearest,
    /// Offsets are the initial positions, which bilinear upsampling samples (half-pixel centres, edges clamped).
    Bilinear,
}

impl fmt::Display for Lift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lift::Nearest => "nearest",
            Lift::Bilinear => "bilinear",
        })
    }
}

/// The parameters of a module that is defined so and equals that upsampler.
///
/// The weights are 0, so that only the bias counts: `0` leaves the initial positions, `-4·init_pos` takes them back
/// (the module multiplies its convolution by 0.25; with dyscope by `0.5·sigmoid(0)`, which is the same). Both are exact
/// in f32, as 4 is a power of two.
///
/// # Errors
/// A sentence, for [`Lift::Nearest`] in style `pl`: its bias is shared by the output pixels of a position, which need
/// different ones.
pub fn lift(definition: &Definition, upsampler: Lift) -> Result<OffsetParameters, String> {
    let shape = definition.stored_weight_shape();
    let weight = vec![0.0; shape.iter().product()];
    let bias = match (upsampler, definition.style) {
        (Lift::Bilinear, _) => vec![0.0; shape[0]],
        (Lift::Nearest, DySampleStyle::Lp) => init_pos(definition).iter().map(|position| -4.0 * position).collect(),
        (Lift::Nearest, DySampleStyle::Pl) if definition.scale == 1 => vec![0.0; shape[0]],
        (Lift::Nearest, DySampleStyle::Pl) => {
            return Err("a DySample of style pl cannot equal nearest upsampling: one bias serves all positions of an \
                        output position, and they would need different ones; lift it to bilinear, or use style lp"
                .into());
        }
    };
    let scope = definition.dyscope.then(|| (weight.clone(), vec![0.0; shape[0]]));
    Ok(OffsetParameters { weight, bias, scope })
}

#[cfg(test)]
mod tests {
    use super::super::{OffsetKernels, offset_kernels};
    use super::*;

    /// The offsets that the folded module predicts where `x` is anything finite.
    fn offsets(definition: &Definition, upsampler: Lift) -> Vec<f32> {
        match offset_kernels(definition, &lift(definition, upsampler).unwrap()) {
            OffsetKernels::Static { weight, bias } => {
                assert!(weight.iter().all(|weight| *weight == 0.0));
                bias
            }
            OffsetKernels::Dynamic { weight, bias, scope_weight, scope_bias, init_pos } => {
                assert!([weight, scope_weight, scope_bias].concat().iter().all(|value| *value == 0.0));
                bias.iter().zip(&init_pos).map(|(bias, init)| bias * 0.5 + init).collect()
            }
        }
    }

    #[test]
    fn lifted_offsets_are_exact_for_every_scale() {
        for scale in 1..=8 {
            for (groups, dyscope) in [(1, false), (4, false), (4, true)] {
                let definition = Definition::new(8 * scale * scale, scale, DySampleStyle::Lp, groups, dyscope).unwrap();
                assert!(offsets(&definition, Lift::Nearest).iter().all(|offset| *offset == 0.0), "scale {scale}");
                assert_eq!(offsets(&definition, Lift::Bilinear), init_pos(&definition));
                let definition = Definition { style: DySampleStyle::Pl, ..definition };
                assert_eq!(offsets(&definition, Lift::Bilinear), init_pos(&definition));
                let refused = lift(&definition, Lift::Nearest);
                assert_eq!(refused.is_err(), scale > 1);
            }
        }
    }
}

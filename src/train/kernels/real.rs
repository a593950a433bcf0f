//! The kinds of number that kernels are written for.

use burn_backend::Element;

/// f32, or f64 for tests: mistakes of a gradient show in f64 that rounding hides in f32.
pub(in crate::train) trait Real:
    num_traits::Float + bytemuck::Pod + Element + Send + Sync + 'static
{
    /// `e^x` in a form that compilers turn into vector code.
    fn exponential(self) -> Self;

    fn of(value: f64) -> Self;

    fn wide(self) -> f64;
}

impl Real for f64 {
    fn exponential(self) -> Self {
        self.exp()
    }

    fn of(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }
}

impl Real for f32 {
    /// Within two units in the last place: `e^x = 2^n · e^r` with `|r| ≤ ln 2 / 2` and the polynomial of Cephes (Moshier,
    /// `expf`) for `e^r`.
    #[inline(always)]
    fn exponential(self) -> Self {
        const LN2_HIGH: f32 = 0.693_359_4;
        const LN2_LOW: f32 = -2.121_944_4e-4;
        // 1.5 · 2^23: adding it rounds to a whole number, which then stands in the lowest bits. Plain arithmetic, where
        // a conversion would have to look after what does not fit.
        const ROUND: f32 = 12_582_912.0;
        let x = x_within(self);
        let rounded = x * std::f32::consts::LOG2_E + ROUND;
        let n = rounded - ROUND;
        let r = x - n * LN2_HIGH - n * LN2_LOW;
        let p = 1.987_569_1e-4 * r + 1.398_2e-3;
        let p = p * r + 8.333_452e-3;
        let p = p * r + 4.166_579_6e-2;
        let p = p * r + 1.666_666_5e-1;
        let p = p * r + 5e-1;
        let power = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
        (p * r * r + r + 1.0) * power
    }

    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

/// Where `e^x` is a normal number.
#[inline(always)]
fn x_within(x: f32) -> f32 {
    let x = if x < -87.0 { -87.0 } else { x };
    if x > 88.0 { 88.0 } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_within_two_units_in_the_last_place() {
        for n in -86_000..88_000 {
            let x = n as f32 / 1000.0;
            let (exact, found) = (f64::from(x).exp(), f64::from(x.exponential()));
            assert!((found - exact).abs() <= 2.5e-7 * exact, "{x}: {found} instead of {exact}");
        }
        assert_eq!(0f32.exponential(), 1.0);
        assert!(f32::NEG_INFINITY.exponential() < 2e-38 && f32::INFINITY.exponential() > 1e38);
    }
}

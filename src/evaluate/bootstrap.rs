//! How sure a difference between two models is.

use super::{AREAS, CocoEvaluation};

/// A difference of AP, second minus first model, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Over all pictures; NaN where no label is.
    pub value: f64,
    /// Between these lie 95 % of the differences over resampled pictures; NaN of fewer than [`LEAST_PICTURES`].
    pub interval: [f64; 2],
}

impl Difference {
    /// Whether the interval leaves out 0.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.interval[0] > 0.0 || self.interval[1] < 0.0
    }
}

/// Draws from fewer pictures say nothing about others.
pub const LEAST_PICTURES: usize = 10;

/// Differences of AP in all ranges of areas, by the bootstrap over pictures (Efron 1979, percentile interval): both models
/// are judged on the same `resamples` draws of as many pictures as there are, with replacement. The same seed gives the same
/// interval.
///
/// # Panics
/// If the models were judged on different numbers of pictures.
#[must_use]
pub fn ap_differences(
    a: &CocoEvaluation,
    b: &CocoEvaluation,
    pictures: usize,
    resamples: usize,
    seed: u64,
) -> [Difference; AREAS.len()] {
    let difference = |multiplicities: &[u32]| {
        let (a, b) = (a.ap_of_sample(multiplicities), b.ap_of_sample(multiplicities));
        std::array::from_fn::<f64, { AREAS.len() }, _>(|area| b[area] - a[area])
    };
    let value = difference(&vec![1; pictures]);
    let mut random = fastrand::Rng::with_seed(seed);
    let draws: Vec<[f64; AREAS.len()]> = (0..resamples)
        .map(|_| {
            let mut multiplicities = vec![0; pictures];
            (0..pictures).for_each(|_| multiplicities[random.usize(..pictures)] += 1);
            difference(&multiplicities)
        })
        .collect();
    std::array::from_fn(|area| {
        if pictures < LEAST_PICTURES {
            return Difference { value: value[area], interval: [f64::NAN; 2] };
        }
        let mut sorted: Vec<f64> = draws.iter().map(|draw| draw[area]).filter(|draw| !draw.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let last = sorted.len().saturating_sub(1);
            sorted.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
        };
        Difference { value: value[area], interval: [at(0.025), at(0.975)] }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::{Judged, Prediction, Rectangle, Truth};

    fn evaluation(right: impl Fn(usize) -> bool) -> CocoEvaluation {
        let bbox = |x: f64| Rectangle { x, y: 0.0, width: 50.0, height: 50.0 };
        let judged = |n: usize| Judged {
            truths: vec![Truth { bbox: bbox(0.0), class: 0, area: 2500.0, crowd: false }],
            predictions: vec![Prediction { bbox: bbox(if right(n) { 0.0 } else { 200.0 }), class: 0, score: 0.5 }],
        };
        CocoEvaluation::new(&(0..40).map(judged).collect::<Vec<_>>(), 1)
    }

    #[test]
    fn a_model_differs_from_itself_by_nothing() {
        let model = evaluation(|n| n % 3 > 0);
        let [all, small, medium, _] = ap_differences(&model, &model, 40, 200, 1);
        assert_eq!((all.value, all.interval, all.is_clear()), (0.0, [0.0, 0.0], false));
        assert!(small.value.is_nan() && medium.value == 0.0);
    }

    #[test]
    fn few_pictures_give_no_interval() {
        let judged = vec![Judged::default(); LEAST_PICTURES - 1];
        let model = CocoEvaluation::new(&judged, 1);
        let difference = ap_differences(&model, &model, judged.len(), 50, 1)[0];
        assert!(difference.interval[0].is_nan() && !difference.is_clear());
    }

    #[test]
    fn intervals_hold_the_difference_and_large_ones_are_clear() {
        let (half, most, bit_more) =
            (evaluation(|n| n % 2 > 0), evaluation(|n| n % 20 > 0), evaluation(|n| n % 2 > 0 || n == 0));
        let clear = ap_differences(&half, &most, 40, 400, 1)[0];
        assert!(clear.is_clear() && clear.interval[0] < clear.value && clear.value < clear.interval[1]);
        assert!(!ap_differences(&half, &bit_more, 40, 400, 1)[0].is_clear());
        assert_eq!(ap_differences(&half, &most, 40, 400, 1)[0], clear);
    }
}

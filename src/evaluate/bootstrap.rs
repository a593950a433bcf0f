//! How sure a difference between two models is.

use super::{AREAS, CocoEvaluation};

/// A difference of AP, second minus first model, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Over all images; NaN where no label is.
    pub value: f64,
    /// Between these lie 95 % of the differences over resampled images; nothing of fewer than [`LEAST_IMAGES`].
    pub interval: Option<[f64; 2]>,
}

impl Difference {
    /// Whether the interval leaves out 0.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.interval.is_some_and(|[low, high]| low > 0.0 || high < 0.0)
    }
}

/// Draws from fewer images say nothing about others.
pub const LEAST_IMAGES: usize = 10;

/// Differences of AP, second minus first model.
#[derive(Debug, Clone, PartialEq)]
pub struct ApDifferences {
    /// For all areas, small, medium and large.
    pub by_area: [Difference; AREAS.len()],
    /// At IoU 0.5.
    pub ap50: Difference,
    /// Of each class by its id; NaN of those without labels.
    pub classes: Vec<Difference>,
}

/// Differences of AP by the bootstrap over images (Efron 1979, percentile interval): both models are evaluated on the same
/// `resamples` draws of as many images as there are, with replacement. The same seed gives the same intervals.
///
/// # Panics
/// If the models were evaluated on different numbers of images or classes.
#[must_use]
pub fn ap_differences(
    a: &CocoEvaluation,
    b: &CocoEvaluation,
    images: usize,
    resamples: usize,
    seed: u64,
) -> ApDifferences {
    let difference = |multiplicities: &[u32]| -> Vec<f64> {
        let [a, b] = [a, b].map(|evaluation| evaluation.ap_of_sample(multiplicities));
        assert_eq!(a.len(), b.len());
        b.iter().zip(&a).map(|(b, a)| b - a).collect()
    };
    let value = difference(&vec![1; images]);
    let mut random = fastrand::Rng::with_seed(seed);
    let resamples = if images < LEAST_IMAGES { 0 } else { resamples };
    let draws: Vec<Vec<f64>> = (0..resamples)
        .map(|_| {
            let mut multiplicities = vec![0; images];
            (0..images).for_each(|_| multiplicities[random.usize(..images)] += 1);
            difference(&multiplicities)
        })
        .collect();
    let differences = value.iter().enumerate().map(|(n, value)| {
        let mut sorted: Vec<f64> = draws.iter().map(|draw| draw[n]).filter(|draw| !draw.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted[(share * (sorted.len() - 1) as f64).round() as usize];
        Difference { value: *value, interval: (!sorted.is_empty()).then(|| [at(0.025), at(0.975)]) }
    });
    let all: Vec<Difference> = differences.collect();
    let (by_area, rest) = all.split_at(AREAS.len());
    let by_area = std::array::from_fn(|area| by_area[area]);
    ApDifferences { by_area, ap50: rest[0], classes: rest[1..].to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::EvalImage;
    use crate::evaluate::tests::{found, truth};

    fn evaluation(right: impl Fn(usize) -> bool) -> CocoEvaluation {
        let eval_image = |n: usize| EvalImage {
            ground_truths: vec![truth(0.0, 0)],
            predictions: vec![found(if right(n) { 0.0 } else { 200.0 }, 0, 0.5)],
        };
        CocoEvaluation::new(&(0..40).map(eval_image).collect::<Vec<_>>(), 1)
    }

    #[test]
    fn a_model_differs_from_itself_by_nothing() {
        let model = evaluation(|n| n % 3 > 0);
        let differences = ap_differences(&model, &model, 40, 200, 1);
        let [all, small, _, large] = differences.by_area;
        assert_eq!((differences.ap50, differences.classes), (all, vec![all]));
        assert_eq!((all.value, all.interval, all.is_clear()), (0.0, Some([0.0, 0.0]), false));
        assert!(small.value.is_nan() && large.value == 0.0);
    }

    #[test]
    fn few_images_give_no_interval() {
        let eval_image = vec![EvalImage::default(); LEAST_IMAGES - 1];
        let model = CocoEvaluation::new(&eval_image, 1);
        let difference = ap_differences(&model, &model, eval_image.len(), 50, 1).by_area[0];
        assert!(difference.interval.is_none() && !difference.is_clear());
    }

    #[test]
    fn intervals_hold_the_difference_and_large_ones_are_clear() {
        let (half, most, bit_more) =
            (evaluation(|n| n % 2 > 0), evaluation(|n| n % 20 > 0), evaluation(|n| n % 2 > 0 || n == 0));
        let clear = ap_differences(&half, &most, 40, 400, 1).by_area[0];
        let [low, high] = clear.interval.unwrap();
        assert!(clear.is_clear() && low < clear.value && clear.value < high);
        assert!(!ap_differences(&half, &bit_more, 40, 400, 1).by_area[0].is_clear());
        assert_eq!(ap_differences(&half, &most, 40, 400, 1).by_area[0], clear);
    }
}

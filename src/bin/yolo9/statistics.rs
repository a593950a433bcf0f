//! Times as numbers that can be compared.

use std::time::Duration;

use serde::Serialize;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2000;

/// Median and quartiles of any numbers; NaN of none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    /// `ms` of times.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
}

impl Spread {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let sorted = sorted(values);
        let [lower, median, upper] = [0.25, 0.5, 0.75].map(|share| quantile(&sorted, share));
        Self { median, lower, upper, unit: None }
    }

    /// In milliseconds.
    pub(crate) fn of_times(times: &[Duration]) -> Self {
        Self { unit: Some("ms"), ..Self::of(times.iter().map(|time| time.as_secs_f64() * 1e3)) }
    }

    /// The median, and the interquartile range; with signs for differences.
    pub(crate) fn text(&self, signed: bool) -> String {
        let [low, median, high] = [self.lower, self.median, self.upper]
            .map(|value| if signed { format!("{value:+.3}") } else { format!("{value:.3}") });
        format!("{median} (quartiles {low} and {high})")
    }

    /// The interquartile range.
    pub(crate) fn range(&self) -> String {
        format!("{:.2} to {:.2}", self.lower, self.upper)
    }
}

/// The median of the ratios of interleaved times, and its 95 % interval (bootstrap over the pairs).
fn ratio(a: &[Duration], b: &[Duration]) -> (f64, [f64; 2]) {
    let ratios: Vec<f64> = a.iter().zip(b).map(|(a, b)| b.as_secs_f64() / a.as_secs_f64().max(1e-9)).collect();
    let median = |values: Vec<f64>| Spread::of(values.into_iter()).median;
    // The same times give the same interval.
    let mut random = fastrand::Rng::with_seed(1);
    let resample = |random: &mut fastrand::Rng| ratios.iter().map(|_| ratios[random.usize(..ratios.len())]).collect();
    let medians = sorted((0..RESAMPLES).map(|_| median(resample(&mut random))));
    (median(ratios.clone()), [quantile(&medians, 0.025), quantile(&medians, 0.975)])
}

/// The order of `count` in run number `number`: each begins as often as any other, and order and reverse order take turns.
pub(crate) fn rotated(number: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |n| {
        let place = (n + number / 2) % count;
        if number.is_multiple_of(2) { place } else { count - 1 - place }
    })
}

/// Whether `a` comes before `b` there.
pub(crate) fn is_first(number: usize, count: usize, [a, b]: [usize; 2]) -> bool {
    rotated(number, count).find(|place| [a, b].contains(place)) == Some(a)
}

/// What each gives, run in the order of [`rotated`], so that none always finds the caches as another left them.
pub(crate) fn run_interleaved<T>(number: usize, count: usize, mut of_side: impl FnMut(usize) -> T) -> Vec<T> {
    let mut results: Vec<Option<T>> = (0..count).map(|_| None).collect();
    rotated(number, count).for_each(|side| results[side] = Some(of_side(side)));
    results.into_iter().flatten().collect()
}

/// Times of A and B that were measured interleaved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interleaved {
    pub(crate) spreads: [Spread; 2],
    /// Of B to A.
    pub(crate) ratio: f64,
    pub(crate) interval: [f64; 2],
}

/// Spreads and ratio of times of which some pairs were measured with A first, by their numbers. The interval is that of all
/// pairs, widened to hold those of the pairs with A first and with B first, since going second can be an advantage.
pub(crate) fn interleaved(a: &[Duration], b: &[Duration], is_a_first: impl Fn(usize) -> bool) -> Interleaved {
    let half = |times: &[Duration], first: bool| -> Vec<Duration> {
        (0..times.len()).filter(|number| is_a_first(*number) == first).map(|number| times[number]).collect()
    };
    let (ratio_of_all, mut interval) = ratio(a, b);
    for first in [true, false] {
        let (_, of_half) = ratio(&half(a, first), &half(b, first));
        interval = [interval[0].min(of_half[0]), interval[1].max(of_half[1])];
    }
    Interleaved { spreads: [Spread::of_times(a), Spread::of_times(b)], ratio: ratio_of_all, interval }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Between the two nearest values; NaN of none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(milliseconds: &[f64]) -> Vec<Duration> {
        milliseconds.iter().map(|time| Duration::from_secs_f64(time / 1e3)).collect()
    }

    #[test]
    fn medians_and_quartiles_lie_where_they_should() {
        let spread = Spread::of_times(&times(&[4.0, 1.0, 3.0, 2.0, 5.0]));
        assert_eq!((spread.lower, spread.median, spread.upper), (2.0, 3.0, 4.0));
        assert_eq!(spread.range(), "2.00 to 4.00");
        let two = Spread::of_times(&times(&[1.0, 2.0]));
        assert!((two.median - 1.5).abs() < 1e-9);
    }

    #[test]
    fn everybody_begins_as_often() {
        let mut begun = [0; 3];
        for number in 0..6 {
            let order: Vec<usize> = rotated(number, 3).collect();
            begun[order[0]] += 1;
            assert_eq!(order.iter().sum::<usize>(), 3);
        }
        assert_eq!(begun, [2; 3]);
        assert_eq!((0..4).map(|n| rotated(n, 2).next().unwrap()).collect::<Vec<_>>(), [0, 1, 1, 0]);
    }

    #[test]
    fn the_ratio_of_equal_networks_is_one() {
        let a: Vec<f64> = (0..40).map(|n| 10.0 + f64::from(n % 7)).collect();
        let (equal, [low, high]) = ratio(&times(&a), &times(&a));
        assert_eq!((equal, low, high), (1.0, 1.0, 1.0));
        let b: Vec<f64> = a.iter().enumerate().map(|(n, time)| time * if n % 2 == 0 { 1.9 } else { 2.1 }).collect();
        let (double, [low, high]) = ratio(&times(&a), &times(&b));
        assert!(low <= double && double <= high && (1.85..2.15).contains(&double));
        assert!(low < high);
    }
}

//! Post-training quantisation: on which scales the convolutions of a network can be computed in 8-bit integers, and which
//! of them should not be.
//!
//! Ranges come from images of the kind that the network will see ([`ranges`]). [`sensitivities`] quantises one convolution
//! at a time and looks at the outputs: a few convolutions make most of the noise.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::Array4;

use crate::graph::{ActivationRange, OnnxModel, QuantisableConvolution, Quantisation};
use crate::runtime::{DySampleBackend, OrtSession, Runtime, RuntimeError, SessionOptions};

/// How a range is made of the values of a feature map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RangeMethod {
    /// From the smallest to the largest value.
    MinMax,
    /// That share of the values, 0 to 1, the same number left out at both ends: a few outliers do not make the steps of all
    /// others coarse.
    Percentile(f64),
}

/// Bins of a histogram.
const BINS: usize = 4096;

/// The range of each value of these names over the inputs, `[1, 3, H, W]` in 0 to 1. `go_on` is asked after each run, of which
/// there are as many as inputs, or twice as many for percentiles; if it says no, the ranges are those so far.
///
/// # Errors
/// As [`OrtSession::new`] and [`OrtSession::run`].
///
/// # Panics
/// Never: both passes see the same names.
pub fn ranges(
    runtime: &Runtime,
    model: &OnnxModel,
    names: &BTreeSet<String>,
    inputs: &[Array4<f32>],
    (method, threads): (RangeMethod, usize),
    mut go_on: impl FnMut() -> bool,
) -> Result<BTreeMap<String, ActivationRange>, RuntimeError> {
    let mut model = model.clone();
    model.expose(names);
    let options = SessionOptions::default().threads(threads);
    let mut session = OrtSession::new(runtime, "the network", &model.to_bytes(), &options)?;
    let mut ranges: BTreeMap<String, ActivationRange> = BTreeMap::new();
    for input in inputs {
        let outputs = session.run(&[input.view().into_dyn()])?;
        for name in names {
            let none = ActivationRange { low: f32::INFINITY, high: f32::NEG_INFINITY };
            let range = ranges.entry(name.clone()).or_insert(none);
            for value in outputs.get(name)?.iter().filter(|value| value.is_finite()) {
                (range.low, range.high) = (range.low.min(*value), range.high.max(*value));
            }
        }
        if !go_on() {
            return Ok(ranges);
        }
    }
    let RangeMethod::Percentile(share) = method else { return Ok(ranges) };
    let mut histograms: BTreeMap<&String, Vec<u64>> = names.iter().map(|name| (name, vec![0; BINS])).collect();
    for input in inputs {
        let outputs = session.run(&[input.view().into_dyn()])?;
        for (name, histogram) in &mut histograms {
            let range = ranges[*name];
            let per_bin = BINS as f32 / (range.high - range.low).max(f32::MIN_POSITIVE);
            for value in &outputs.get(name)? {
                histogram[(((value - range.low) * per_bin) as usize).min(BINS - 1)] += 1;
            }
        }
        if !go_on() {
            return Ok(ranges);
        }
    }
    for (name, range) in &mut ranges {
        *range = trimmed(*range, &histograms[name], share);
    }
    Ok(ranges)
}

/// The range without as many values at each end as the share leaves.
fn trimmed(range: ActivationRange, histogram: &[u64], share: f64) -> ActivationRange {
    let all: u64 = histogram.iter().sum();
    let outside = ((1.0 - share) / 2.0 * all as f64) as u64;
    let width = (range.high - range.low) / BINS as f32;
    let (below, above) = (left_out(histogram.iter(), outside), left_out(histogram.iter().rev(), outside));
    ActivationRange { low: range.low + below as f32 * width, high: range.high - above as f32 * width }
}

/// How many bins hold the first `outside` values.
fn left_out<'a>(mut counts: impl Iterator<Item = &'a u64>, outside: u64) -> usize {
    let mut seen = 0;
    let ends = |count: &u64| {
        seen += count;
        seen > outside
    };
    counts.position(ends).unwrap_or(0)
}

/// For each convolution the relative noise of the network's outputs when it alone is quantised: the squared error over the
/// squared values, the mean of all outputs of the head. `go_on` is asked after each.
///
/// # Errors
/// As [`OrtSession::run`].
pub fn sensitivities(
    runtime: &Runtime,
    model: &OnnxModel,
    (convolutions, quantisation): (&[QuantisableConvolution], &Quantisation),
    inputs: &[Array4<f32>],
    threads: usize,
    mut go_on: impl FnMut() -> bool,
) -> Result<Vec<f64>, RuntimeError> {
    let options = SessionOptions::default().threads(threads).dysample(DySampleBackend::Native);
    let run = |model: &OnnxModel| -> Result<Vec<Vec<f32>>, RuntimeError> {
        let mut session = OrtSession::new(runtime, "the network", &model.to_bytes(), &options)?;
        let mut values = Vec::new();
        for input in inputs {
            let outputs = session.run(&[input.view().into_dyn()])?;
            for head in model.head.outputs() {
                values.push(outputs.get(head)?.iter().copied().collect());
            }
        }
        Ok(values)
    };
    let exact = run(model)?;
    let mut noise = Vec::with_capacity(convolutions.len());
    for convolution in convolutions {
        let mut quantised = model.clone();
        let one = BTreeSet::from([convolution.node.clone()]);
        quantised.quantise(&Quantisation { convolutions: one, ..quantisation.clone() }, convolutions);
        noise.push(relative_noise(&exact, &run(&quantised)?));
        if !go_on() {
            break;
        }
    }
    Ok(noise)
}

fn relative_noise(exact: &[Vec<f32>], found: &[Vec<f32>]) -> f64 {
    let of_one = |(exact, found): (&Vec<f32>, &Vec<f32>)| {
        let square = |value: f32| f64::from(value) * f64::from(value);
        let error: f64 = exact.iter().zip(found).map(|(a, b)| square(a - b)).sum();
        error / exact.iter().map(|value| square(*value)).sum::<f64>().max(f64::MIN_POSITIVE)
    };
    exact.iter().zip(found).map(of_one).sum::<f64>() / exact.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_do_not_make_the_range() {
        let mut histogram = vec![0u64; BINS];
        histogram[1024..3072].fill(1000);
        (histogram[0], histogram[BINS - 1]) = (1, 1);
        let range = ActivationRange { low: -2.0, high: 2.0 };
        let kept = trimmed(range, &histogram, 0.9999);
        assert!((kept.low + 1.0).abs() < 0.01 && (kept.high - 1.0).abs() < 0.01, "{kept:?}");
        assert_eq!(trimmed(range, &histogram, 1.0), range);
    }

    #[test]
    fn noise_is_relative() {
        assert_eq!(relative_noise(&[vec![3.0, 4.0]], &[vec![3.0, 4.0]]), 0.0);
        assert!((relative_noise(&[vec![3.0, 4.0], vec![1.0]], &[vec![3.5, 4.0], vec![1.0]]) - 0.005).abs() < 1e-9);
    }
}

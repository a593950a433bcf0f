//! The numbers that YOLO training codes print: P, R, F1, mAP50, mAP50-95. Not comparable with those of COCO.

use super::curve::interpolate;
use super::{EvalImage, iou_thresholds, mean};
use crate::detect::Preset;

/// Means over the classes that have labels, 0 to 1; NaN without labels.
#[derive(Debug, Clone, PartialEq)]
pub struct YoloMetrics {
    /// Precision at the confidence with the best F1.
    pub precision: f64,
    /// Recall there.
    pub recall: f64,
    /// The best mean F1, after smoothing over a tenth of the range of confidence.
    pub f1: f64,
    /// The confidence of that.
    pub confidence: f64,
    /// Mean average precision at IoU 0.5.
    pub map50: f64,
    /// Over IoU 0.5 to 0.95.
    pub map: f64,
    /// The same, for each class with labels.
    pub classes: Vec<YoloClass>,
}

/// One class.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct YoloClass {
    /// Class id.
    pub class: usize,
    /// Images with a label of it.
    pub images: usize,
    /// Its labels.
    pub labels: usize,
    /// Precision at the confidence where the mean F1 over all classes is best.
    pub precision: f64,
    /// Recall there.
    pub recall: f64,
    /// Average precision at IoU 0.5.
    pub ap50: f64,
    /// Over IoU 0.5 to 0.95.
    pub ap: f64,
    /// Precision at 101 recalls from 0 to 1, at IoU 0.5.
    pub precision_by_recall: Vec<f64>,
    /// At 1000 confidences from 0 to 1.
    pub precision_by_confidence: Vec<f64>,
    /// At 1000 confidences from 0 to 1.
    pub recall_by_confidence: Vec<f64>,
}

impl YoloClass {
    /// F1 at the confidence of that number among 1000, as the training codes compute it.
    ///
    /// # Panics
    /// From 1000 on.
    #[must_use]
    pub fn f1(&self, confidence: usize) -> f64 {
        let (p, r) = (self.precision_by_confidence[confidence], self.recall_by_confidence[confidence]);
        2.0 * p * r / (p + r + 1e-16)
    }
}

/// Points along the axis of confidence.
const CONFIDENCES: usize = 1000;

/// Points along the axis of recall.
const RECALLS: usize = 101;

/// A detection of a class: its confidence and a bit for each threshold at which it is right.
type Marked = (f64, u16);

/// Evaluates all images as a tool does: `val.py` of YOLOv9 (and YOLOv5, and Ultralytics until 2025) lets a detection hold on
/// to its best label even if that is taken, and its curve falls to (1, 0) along a ramp, which raises AP; in Ultralytics 8.4
/// detections in order of confidence take the best label that is left, and the curve ends where the detections do. Crowds are objects like others here, as in the training codes; class ids are below `classes`.
#[must_use]
pub fn yolo_metrics(images: &[EvalImage], classes: usize, style: Preset) -> YoloMetrics {
    let mut marked: Vec<Vec<Marked>> = vec![Vec::new(); classes];
    let mut labels = vec![0usize; classes];
    let mut images_with = vec![0usize; classes];
    let mut last_with = vec![usize::MAX; classes];
    for (number, eval_image) in images.iter().enumerate() {
        for truth in &eval_image.ground_truths {
            labels[truth.class] += 1;
            images_with[truth.class] += usize::from(std::mem::replace(&mut last_with[truth.class], number) != number);
        }
        let bits = mark(eval_image, style);
        for (found, bits) in eval_image.predictions.iter().zip(bits) {
            marked[found.class].push((found.score, bits));
        }
    }
    let with_labels = (0..classes).filter(|class| labels[*class] > 0);
    let scored: Vec<YoloClass> = with_labels
        .map(|class| {
            let mut detections = std::mem::take(&mut marked[class]);
            detections.sort_by(|a, b| b.0.total_cmp(&a.0));
            YoloClass { images: images_with[class], ..score(class, labels[class], &detections, style) }
        })
        .collect();
    summarise(scored)
}

/// For each detection of an image a bit for each threshold at which it is right.
fn mark(eval_image: &EvalImage, style: Preset) -> Vec<u16> {
    // By falling confidence, as the lists of the training codes are.
    let mut order: Vec<usize> = (0..eval_image.predictions.len()).collect();
    order.sort_by(|a, b| eval_image.predictions[*b].score.total_cmp(&eval_image.predictions[*a].score));
    let iou = |found: usize, truth: usize| {
        let (found, truth) = (&eval_image.predictions[found], &eval_image.ground_truths[truth]);
        let intersection = found.bbox.intersection(&truth.bbox);
        let union = found.bbox.area() + truth.bbox.area() - intersection + 1e-7;
        if found.class == truth.class { intersection / union } else { 0.0 }
    };
    let thresholds = iou_thresholds();
    let mut bits = vec![0u16; eval_image.predictions.len()];
    // A bit for each threshold at which a label is taken. One detection after the other, so that no table of all overlaps
    // is needed.
    let mut taken = vec![0u16; eval_image.ground_truths.len()];
    let mut fitting: Vec<(usize, f64)> = Vec::new();
    for found in order {
        fitting.clear();
        let overlaps = (0..eval_image.ground_truths.len()).map(|truth| (truth, iou(found, truth)));
        fitting.extend(overlaps.filter(|(_, overlap)| *overlap >= thresholds[0]));
        for (threshold, least) in thresholds.iter().enumerate() {
            let is_taken = |truth: usize| taken[truth] & (1 << threshold) != 0;
            let free = |(truth, _): &&(usize, f64)| style == Preset::Yolov9 || !is_taken(*truth);
            let fitting = fitting.iter().filter(|(_, overlap)| overlap >= least).filter(free);
            let best = fitting.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(truth, _)| *truth);
            if let Some(truth) = best.filter(|truth| !is_taken(*truth)) {
                taken[truth] |= 1 << threshold;
                bits[found] |= 1 << threshold;
            }
        }
    }
    bits
}

fn score(class: usize, labels: usize, detections: &[Marked], style: Preset) -> YoloClass {
    if detections.is_empty() {
        // The curve would be its ends only, a ramp from (0, 1) to (1, 0); both codes pass such a class over, with zeros.
        return YoloClass {
            class,
            labels,
            precision_by_recall: vec![0.0; RECALLS],
            precision_by_confidence: vec![0.0; CONFIDENCES],
            recall_by_confidence: vec![0.0; CONFIDENCES],
            ..YoloClass::default()
        };
    }
    let curve = |threshold: usize| {
        let mut right = 0usize;
        let points = detections.iter().enumerate().map(|(n, (_, bits))| {
            right += usize::from(bits & (1 << threshold) != 0);
            (right as f64 / (labels as f64 + 1e-16), right as f64 / (n + 1) as f64)
        });
        points.unzip::<f64, f64, Vec<f64>, Vec<f64>>()
    };
    let curves: Vec<(f64, Vec<f64>)> = (0..iou_thresholds().len())
        .map(|threshold| {
            let (recall, precision) = curve(threshold);
            average_precision(&recall, &precision, style)
        })
        .collect();
    let (recall, precision) = curve(0);
    // Confidence falls along the list; NumPy's interpolation wants it to rise, so both are negated.
    let negated: Vec<f64> = detections.iter().map(|(score, _)| -score).collect();
    let by_confidence = |values: &[f64], before: f64| -> Vec<f64> {
        let at = |n: usize| interpolate(-(n as f64) / (CONFIDENCES - 1) as f64, &negated, values, before);
        (0..CONFIDENCES).map(at).collect()
    };
    YoloClass {
        class,
        labels,
        ap50: curves[0].0,
        ap: mean(curves.iter().map(|(ap, _)| *ap)),
        precision_by_recall: curves[0].1.clone(),
        precision_by_confidence: by_confidence(&precision, 1.0),
        recall_by_confidence: by_confidence(&recall, 0.0),
        ..YoloClass::default()
    }
}

/// Area below the curve by the trapezoid rule over 101 recalls, and the curve there.
fn average_precision(recall: &[f64], precision: &[f64], style: Preset) -> (f64, Vec<f64>) {
    let last = recall.last().copied().unwrap_or(1.0);
    let end: &[f64] = match style {
        Preset::Yolov9 => &[1.0],
        Preset::Ultralytics => &[last, 1.0],
    };
    let recall = [&[0.0], recall, end].concat();
    let mut precision = [&[1.0], precision, &vec![0.0; end.len()][..]].concat();
    for n in (1..precision.len()).rev() {
        precision[n - 1] = precision[n - 1].max(precision[n]);
    }
    let at = |n: usize| interpolate(n as f64 / 100.0, &recall, &precision, 1.0);
    let curve: Vec<f64> = (0..RECALLS).map(at).collect();
    let area = curve.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0 * 0.01).sum();
    (area, curve)
}

fn summarise(mut classes: Vec<YoloClass>) -> YoloMetrics {
    let at = |n: usize, of: fn(&YoloClass, usize) -> f64| mean(classes.iter().map(|class| of(class, n)));
    let curve: Vec<f64> = (0..CONFIDENCES).map(|n| at(n, YoloClass::f1)).collect();
    let smoothed = smooth(&curve);
    let highest = |best: usize, n: usize| if smoothed[n] > smoothed[best] { n } else { best };
    let best = (0..CONFIDENCES).fold(0, highest);
    let f1 = at(best, YoloClass::f1);
    for class in &mut classes {
        (class.precision, class.recall) = (class.precision_by_confidence[best], class.recall_by_confidence[best]);
    }
    YoloMetrics {
        precision: mean(classes.iter().map(|class| class.precision)),
        recall: mean(classes.iter().map(|class| class.recall)),
        f1,
        confidence: best as f64 / (CONFIDENCES - 1) as f64,
        map50: mean(classes.iter().map(|class| class.ap50)),
        map: mean(classes.iter().map(|class| class.ap)),
        classes,
    }
}

/// Means of 101 neighbours, the ends repeated.
fn smooth(curve: &[f64]) -> Vec<f64> {
    const HALF: usize = 50;
    let Some(last) = curve.len().checked_sub(1) else { return Vec::new() };
    let at = |n: usize| curve[n.saturating_sub(HALF).min(last)];
    (0..curve.len()).map(|n| mean((n..=n + 2 * HALF).map(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::CocoEvaluation;
    use crate::evaluate::tests::{found, truth};

    /// One of two objects found: the same image by three definitions.
    #[test]
    fn three_definitions_give_three_numbers() {
        let eval_image =
            EvalImage { ground_truths: vec![truth(0.0, 0), truth(500.0, 0)], predictions: vec![found(0.0, 0, 0.9)] };
        let images = [eval_image];
        let map50 = |style| yolo_metrics(&images, 1, style).map50;
        assert!((map50(Preset::Yolov9) - 0.75).abs() < 1e-9);
        assert!((map50(Preset::Ultralytics) - 0.495).abs() < 1e-9);
        // 51 of 101 points.
        assert!((CocoEvaluation::new(&images, 1).metrics().ap50 - 51.0 / 101.0).abs() < 1e-12);
    }

    /// The training codes leave the zeros of such a class as they are.
    #[test]
    fn a_class_that_is_never_detected_scores_nothing() {
        let images = [EvalImage { ground_truths: vec![truth(0.0, 0)], predictions: Vec::new() }];
        for style in [Preset::Yolov9, Preset::Ultralytics] {
            let metrics = yolo_metrics(&images, 1, style);
            assert_eq!([metrics.map50, metrics.map, metrics.precision, metrics.recall], [0.0; 4], "{style:?}");
        }
    }

    /// Two labels side by side: both detections prefer the first one.
    #[test]
    fn only_ultralytics_gives_a_second_choice() {
        let ground_truths = vec![truth(0.0, 0), truth(20.0, 0)];
        let eval_image = [EvalImage { ground_truths, predictions: vec![found(4.0, 0, 0.9), found(6.0, 0, 0.8)] }];
        let recall = |style| yolo_metrics(&eval_image, 1, style).classes[0].recall_by_confidence[0];
        assert!((recall(Preset::Yolov9) - 0.5).abs() < 1e-9);
        assert!((recall(Preset::Ultralytics) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn precision_and_recall_are_read_at_the_best_f1() {
        let predictions = vec![found(0.0, 0, 0.9), found(700.0, 0, 0.1)];
        let metrics = yolo_metrics(&[EvalImage { ground_truths: vec![truth(0.0, 0)], predictions }], 1, Preset::Yolov9);
        // Smoothing pulls the place away from the edge at 0.9, where precision is 1.
        assert!((0.96..0.97).contains(&metrics.precision) && (metrics.recall - 1.0).abs() < 1e-6);
        assert!((0.849..0.851).contains(&metrics.confidence));
        assert!(yolo_metrics(&[EvalImage::default()], 1, Preset::Yolov9).map.is_nan());
    }
}

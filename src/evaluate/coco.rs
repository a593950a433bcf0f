//! The metrics of COCO (cocodataset.org/#detection-eval), with the choices of pycocotools where the definition leaves some.
//!
//! For each class and image, detections are matched in order of confidence, each with the best label that is left;
//! labels of crowds, and of objects outside the range of areas, are matched last and count neither way. Precision is made
//! falling with recall and read at 101 recalls.

use super::{BoxXywh, EvalImage, GroundTruth, Prediction, iou_thresholds, mean};

/// Ranges of areas in square pixels: all, small, medium, large.
pub const AREAS: [(&str, [f64; 2]); 4] =
    [("all", [0.0, 1e10]), ("small", [0.0, 1024.0]), ("medium", [1024.0, 9216.0]), ("large", [9216.0, 1e10])];

/// Most detections of a class in an image.
const MOST: [usize; 3] = [1, 10, 100];

const RECALLS: usize = 101;
const THRESHOLDS: usize = 10;

/// The twelve numbers of COCO, 0 to 1; NaN where no label is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CocoMetrics {
    /// Mean over classes and IoU thresholds 0.5 to 0.95 of average precision.
    pub ap: f64,
    /// At IoU 0.5.
    pub ap50: f64,
    /// At IoU 0.75.
    pub ap75: f64,
    /// Of small, medium and large objects.
    pub ap_by_area: [f64; 3],
    /// Mean recall with at most 1, 10 and 100 detections of a class in an image.
    pub ar: [f64; 3],
    /// Of small, medium and large objects, with 100 detections.
    pub ar_by_area: [f64; 3],
}

impl CocoMetrics {
    /// Names as people write them, and values, in the usual order.
    #[must_use]
    pub fn named(&self) -> [(&'static str, f64); 12] {
        let [small, medium, large] = self.ap_by_area;
        let [ar1, ar10, ar100] = self.ar;
        let [ar_small, ar_medium, ar_large] = self.ar_by_area;
        [
            ("AP", self.ap),
            ("AP50", self.ap50),
            ("AP75", self.ap75),
            ("AP_small", small),
            ("AP_medium", medium),
            ("AP_large", large),
            ("AR1", ar1),
            ("AR10", ar10),
            ("AR100", ar100),
            ("AR_small", ar_small),
            ("AR_medium", ar_medium),
            ("AR_large", ar_large),
        ]
    }
}

/// Average precision of one class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassScore {
    /// Class id.
    pub class: usize,
    /// Labels that count.
    pub labels: usize,
    /// Over IoU thresholds 0.5 to 0.95.
    pub ap: f64,
    /// At IoU 0.5.
    pub ap50: f64,
}

/// Detections matched with labels. The matching is done once; scores can then be computed over any choice of images.
#[derive(Debug, Clone)]
pub struct CocoEvaluation {
    /// By class, then by range of areas.
    classes: Vec<[Matches; AREAS.len()]>,
    images: usize,
}

/// The detections of one class in one range of areas, by falling confidence.
#[derive(Debug, Clone, Default)]
struct Matches {
    detections: Vec<Matched>,
    /// Labels that count, by image.
    labels: Vec<(usize, usize)>,
}

#[derive(Debug, Clone, Copy)]
struct Matched {
    image: usize,
    /// Place among the detections of the class in the image.
    rank: usize,
    score: f64,
    /// A bit for each threshold.
    matched: u16,
    ignored: u16,
}

/// Precision at 101 recalls, and the highest recall.
type Curve = ([f64; RECALLS], f64);

impl CocoEvaluation {
    /// Matches all images. Class ids are below `classes`.
    #[must_use]
    pub fn new(images: &[EvalImage], classes: usize) -> Self {
        let by_class = (0..classes).map(|class| {
            let mut matches: [Matches; AREAS.len()] = Default::default();
            for (image, eval_image) in images.iter().enumerate() {
                let ground_truths: Vec<&GroundTruth> =
                    eval_image.ground_truths.iter().filter(|truth| truth.class == class).collect();
                let found: Vec<&Prediction> =
                    eval_image.predictions.iter().filter(|found| found.class == class).collect();
                if !ground_truths.is_empty() || !found.is_empty() {
                    match_image(image, &ground_truths, found, &mut matches);
                }
            }
            for matches in &mut matches {
                // Equal scores stay in the order of images.
                matches.detections.sort_by(|a, b| b.score.total_cmp(&a.score));
            }
            matches
        });
        Self { classes: by_class.collect(), images: images.len() }
    }

    /// Over all images.
    #[must_use]
    pub fn metrics(&self) -> CocoMetrics {
        let once = vec![1; self.images];
        let all: Vec<Vec<Curve>> = self.curves(0, 100, &once);
        let at = |threshold: usize| mean(all.iter().map(|curves| average(&curves[threshold])));
        let ap_of = |curves: &[Vec<Curve>]| mean(curves.iter().flatten().map(average));
        let ar_of = |curves: &[Vec<Curve>]| mean(curves.iter().flatten().map(|(_, recall)| *recall));
        let by_area: [Vec<Vec<Curve>>; 3] = std::array::from_fn(|area| self.curves(area + 1, 100, &once));
        CocoMetrics {
            ap: ap_of(&all),
            ap50: at(0),
            ap75: at(5),
            ap_by_area: by_area.each_ref().map(|curves| ap_of(curves)),
            ar: MOST.map(|most| ar_of(&self.curves(0, most, &once))),
            ar_by_area: by_area.each_ref().map(|curves| ar_of(curves)),
        }
    }

    /// AP over the images with these multiplicities, as a bootstrap draws them: for all areas, small, medium and large; at
    /// IoU 0.5; then of each class. NaN where no label is.
    ///
    /// # Panics
    /// If there is not one multiplicity per image.
    pub(super) fn ap_of_sample(&self, multiplicities: &[u32]) -> Vec<f64> {
        assert_eq!(multiplicities.len(), self.images);
        let of_class = |matches: &[Matches; AREAS.len()]| {
            matches[0].curves(100, multiplicities).map(|curves| curves.iter().map(average).collect())
        };
        // Of each class, at each threshold.
        let classes: Vec<Option<Vec<f64>>> = self.classes.iter().map(of_class).collect();
        let of_area = |area: usize| match area {
            0 => mean(classes.iter().flatten().flatten().copied()),
            _ => mean(self.curves(area, 100, multiplicities).iter().flatten().map(average)),
        };
        let ap50 = mean(classes.iter().flatten().map(|aps| aps[0]));
        let of_classes = classes.iter().map(|aps| aps.as_ref().map_or(f64::NAN, |aps| mean(aps.iter().copied())));
        (0..AREAS.len()).map(of_area).chain([ap50]).chain(of_classes).collect()
    }

    /// The classes that have labels.
    #[must_use]
    pub fn per_class(&self) -> Vec<ClassScore> {
        let once = vec![1; self.images];
        let score = |(class, matches): (usize, &[Matches; AREAS.len()])| {
            let curves = matches[0].curves(100, &once)?;
            let labels = matches[0].labels.iter().map(|(_, count)| count).sum();
            let ap = mean(curves.iter().map(average));
            Some(ClassScore { class, labels, ap, ap50: average(&curves[0]) })
        };
        self.classes.iter().enumerate().filter_map(score).collect()
    }

    /// Of each class that has labels there, the curve of each threshold.
    fn curves(&self, area: usize, most: usize, multiplicities: &[u32]) -> Vec<Vec<Curve>> {
        self.classes.iter().filter_map(|matches| matches[area].curves(most, multiplicities)).collect()
    }
}

fn average((precision, _): &Curve) -> f64 {
    mean(precision.iter().copied())
}

impl Matches {
    /// Nothing without labels.
    fn curves(&self, most: usize, multiplicities: &[u32]) -> Option<Vec<Curve>> {
        let times = |image: usize| u64::from(multiplicities[image]);
        let labels: u64 = self.labels.iter().map(|(image, count)| times(*image) * *count as u64).sum();
        if labels == 0 {
            return None;
        }
        let curve = |threshold: usize| {
            let bit = 1 << threshold;
            let (mut right, mut wrong) = (0u64, 0u64);
            let mut points = Vec::with_capacity(self.detections.len());
            for detection in self.detections.iter().filter(|detection| detection.rank < most) {
                let count = times(detection.image);
                if count == 0 {
                    continue;
                }
                if detection.ignored & bit == 0 {
                    let counter = if detection.matched & bit != 0 { &mut right } else { &mut wrong };
                    *counter += count;
                }
                let precision = right as f64 / (right as f64 + wrong as f64 + f64::EPSILON);
                points.push((right as f64 / labels as f64, precision));
            }
            read(points)
        };
        Some((0..THRESHOLDS).map(curve).collect())
    }
}

/// Makes precision falling and reads it at 101 recalls; 0 beyond the last one.
fn read(mut points: Vec<(f64, f64)>) -> Curve {
    let highest = points.last().map_or(0.0, |(recall, _)| *recall);
    for n in (1..points.len()).rev() {
        points[n - 1].1 = points[n - 1].1.max(points[n].1);
    }
    let mut at = 0;
    let precision = std::array::from_fn(|n| {
        let recall = if n == RECALLS - 1 { 1.0 } else { 0.01 * n as f64 };
        while points.get(at).is_some_and(|(reached, _)| *reached < recall) {
            at += 1;
        }
        points.get(at).map_or(0.0, |(_, precision)| *precision)
    });
    (precision, highest)
}

fn match_image(
    image: usize,
    ground_truths: &[&GroundTruth],
    mut found: Vec<&Prediction>,
    matches: &mut [Matches; AREAS.len()],
) {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(MOST[2]);
    let overlaps: Vec<Vec<f64>> =
        found.iter().map(|found| ground_truths.iter().map(|truth| overlap(&found.bbox, truth)).collect()).collect();
    for ((_, range), matches) in AREAS.iter().zip(matches) {
        let outside = |area: f64| area < range[0] || area > range[1];
        let ignored: Vec<bool> = ground_truths.iter().map(|truth| truth.crowd || outside(truth.area)).collect();
        let counting = ignored.iter().filter(|ignored| !**ignored).count();
        if counting > 0 {
            matches.labels.push((image, counting));
        }
        // Labels that count come first; else in their order.
        let mut order: Vec<usize> = (0..ground_truths.len()).collect();
        order.sort_by_key(|truth| ignored[*truth]);
        let mut of_found = vec![(0u16, 0u16); found.len()];
        for (threshold, least) in iou_thresholds().into_iter().enumerate() {
            let mut taken = vec![false; ground_truths.len()];
            for (place, row) in overlaps.iter().enumerate() {
                let label = best_label(row, least, &order, |truth| {
                    (taken[truth] && !ground_truths[truth].crowd, ignored[truth])
                });
                let (matched, ignore) = &mut of_found[place];
                match label {
                    Some(label) => {
                        taken[label] = true;
                        *matched |= 1 << threshold;
                        *ignore |= u16::from(ignored[label]) << threshold;
                    }
                    None => *ignore |= u16::from(outside(found[place].bbox.area())) << threshold,
                }
            }
        }
        for (rank, (found, (matched, ignored))) in found.iter().zip(of_found).enumerate() {
            matches.detections.push(Matched { image, rank, score: found.score, matched, ignored });
        }
    }
}

/// The label with the largest overlap; the last one among equals. `state` says whether a label is gone, and whether it is
/// ignored: such a one is only taken where no other fits.
fn best_label(overlaps: &[f64], least: f64, order: &[usize], state: impl Fn(usize) -> (bool, bool)) -> Option<usize> {
    let mut best = least.min(1.0 - 1e-10);
    let mut label: Option<(usize, bool)> = None;
    for &truth in order {
        let (gone, ignored) = state(truth);
        if gone {
            continue;
        }
        if label.is_some_and(|(_, of_label)| !of_label) && ignored {
            break;
        }
        if overlaps[truth] >= best {
            best = overlaps[truth];
            label = Some((truth, ignored));
        }
    }
    label.map(|(label, _)| label)
}

/// IoU; for a crowd the share of the detection that lies in it.
fn overlap(found: &BoxXywh, truth: &GroundTruth) -> f64 {
    if !truth.crowd {
        return found.iou(&truth.bbox);
    }
    let intersection = found.intersection(&truth.bbox);
    if intersection > 0.0 { intersection / found.area() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::{found, truth};

    fn ap50(images: &[EvalImage]) -> f64 {
        CocoEvaluation::new(images, 2).metrics().ap50
    }

    #[test]
    fn wrong_ones_cost_only_before_right_ones() {
        let ground_truths = vec![truth(0.0, 0)];
        let right = found(10.0, 0, 0.5);
        let eval_image = |score| EvalImage {
            ground_truths: ground_truths.clone(),
            predictions: vec![right.clone(), found(700.0, 0, score)],
        };
        assert!((ap50(&[eval_image(0.4)]) - 1.0).abs() < 1e-9 && (ap50(&[eval_image(0.6)]) - 0.5).abs() < 1e-9);
        // The second one on the same object is wrong; one of another class has nothing to find.
        let twice =
            EvalImage { ground_truths, predictions: vec![right.clone(), found(5.0, 0, 0.9), found(0.0, 1, 1.0)] };
        assert!((ap50(&[twice]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn crowds_count_neither_way() {
        let crowd = GroundTruth { crowd: true, ..truth(0.0, 0) };
        let ground_truths = vec![crowd, truth(600.0, 0)];
        // Three within the crowd, at higher confidence than the right one.
        let mut predictions = [0.0, 10.0, 20.0].map(|x| found(x, 0, 0.9)).to_vec();
        predictions.iter_mut().for_each(|found| found.bbox.width = 20.0);
        predictions.push(found(600.0, 0, 0.5));
        assert!((ap50(&[EvalImage { ground_truths, predictions }]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn without_labels_there_is_no_score() {
        let metrics = CocoEvaluation::new(&[EvalImage::default()], 3).metrics();
        assert!(metrics.named().iter().all(|(_, value)| value.is_nan()));
    }

    #[test]
    fn a_sample_of_each_image_once_is_the_whole() {
        let images: Vec<EvalImage> = (0..5)
            .map(|n| EvalImage {
                ground_truths: vec![truth(0.0, n % 2), truth(300.0, 0)],
                predictions: vec![found(4.0 * n as f64, n % 2, 0.9 - 0.1 * n as f64), found(310.0, 0, 0.3)],
            })
            .collect();
        let evaluation = CocoEvaluation::new(&images, 2);
        assert_eq!(evaluation.ap_of_sample(&[1; 5])[0], evaluation.metrics().ap);
        let twice = CocoEvaluation::new(&[&images[..], &images[..1]].concat(), 2).metrics().ap;
        assert!((evaluation.ap_of_sample(&[2, 1, 1, 1, 1])[0] - twice).abs() < 1e-12);
    }
}

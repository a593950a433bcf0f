//! All numbers about one model on one dataset.

use std::iter::once;

use serde_json::{Map, Value, json};
use yolo9::detect::Preset;
use yolo9::evaluate::{
    ClassScore, CocoEvaluation, CocoMetrics, Counts, Dataset, EvalImage, YoloClass, YoloMetrics, confusion,
    yolo_metrics,
};

use crate::console::print_line;

/// Least IoU in the confusion matrix: that of the counts.
pub(super) const CONFUSION_IOU: f64 = 0.5;

/// Of right and wrong in histograms.
pub(super) const COLOURS: [&str; 2] = ["#2a9d4a", "#e67814"];

pub(crate) struct Scores {
    pub(crate) coco: CocoMetrics,
    pub(crate) evaluation: CocoEvaluation,
    per_class: Vec<ClassScore>,
    pub(crate) official: YoloMetrics,
    pub(crate) ultralytics: YoloMetrics,
    /// Of what `detect` shows at that confidence.
    pub(crate) counts: Counts,
    pub(super) count_conf: f32,
    pub(super) confusion: Vec<Vec<usize>>,
    /// By class id.
    pub(crate) class_names: Vec<String>,
}

impl Scores {
    pub(crate) fn of(images: &[EvalImage], shown: &[EvalImage], count_conf: f32, dataset: &Dataset) -> Self {
        let classes = dataset.class_names.len();
        let evaluation = CocoEvaluation::new(images, classes);
        Self {
            coco: evaluation.metrics(),
            per_class: evaluation.per_class(),
            evaluation,
            official: yolo_metrics(images, classes, Preset::Yolov9),
            ultralytics: yolo_metrics(images, classes, Preset::Ultralytics),
            counts: Counts::of(shown),
            count_conf,
            confusion: confusion(shown, classes, f64::from(count_conf), CONFUSION_IOU),
            class_names: dataset.class_names.clone(),
        }
    }

    /// Name and score of each class with labels.
    pub(crate) fn per_class(&self) -> Vec<(&str, ClassScore)> {
        self.per_class.iter().map(|class| (self.class_names[class.class].as_str(), *class)).collect()
    }

    /// Name and scores of each class with labels: by COCO, and by the definitions of a tool.
    fn rows(&self, preset: Preset) -> impl Iterator<Item = (&str, &ClassScore, &YoloClass)> {
        let metrics = self.metrics(preset);
        let of_class = |class: &ClassScore| metrics.classes.iter().find(|other| other.class == class.class);
        self.per_class
            .iter()
            .filter_map(move |class| Some((self.class_names[class.class].as_str(), class, of_class(class)?)))
    }

    /// Name of each class with labels, and what is shown of it: images, labels, P, R, mAP50 and mAP50-95 by the
    /// definitions of a tool, AP and AP50 by COCO.
    pub(super) fn class_cells(&self, preset: Preset) -> impl Iterator<Item = (&str, [String; 8])> {
        self.rows(preset).map(|(name, coco, yolo)| {
            let [p, r, map50, map] = [yolo.precision, yolo.recall, yolo.ap50, yolo.ap].map(shown);
            let [images, labels] = [yolo.images, yolo.labels].map(|count| count.to_string());
            (name, [images, labels, p, r, map50, map, shown(coco.ap), shown(coco.ap50)])
        })
    }

    /// By the definition of a tool.
    pub(super) fn metrics(&self, preset: Preset) -> &YoloMetrics {
        match preset {
            Preset::Yolov9 => &self.official,
            Preset::Ultralytics => &self.ultralytics,
        }
    }

    fn styles(&self) -> [(&'static str, &'static str, &YoloMetrics); 2] {
        [Preset::Yolov9, Preset::Ultralytics].map(|preset| {
            let (name, key) = style(preset);
            (name, key, self.metrics(preset))
        })
    }

    /// Classes with the definitions of `preset`, whose loader was used if `loaded` says so.
    pub(super) fn print(&self, settings: &str, preset: Preset, loaded: bool) -> anyhow::Result<()> {
        print_line!("{settings}\n");
        let coco = &self.coco;
        let [small, medium, large] = coco.ap_by_area.map(shown);
        print_line!("COCO (equal to pycocotools)");
        print_line!("  AP {}   AP50 {}   AP75 {}", shown(coco.ap), shown(coco.ap50), shown(coco.ap75));
        print_line!("  AP of small objects {small}, medium {medium}, large {large}");
        let ([one, ten, hundred], [small, medium, large]) = (coco.ar.map(shown), coco.ar_by_area.map(shown));
        print_line!("  AR1 {one}   AR10 {ten}   AR100 {hundred}   (small {small}, medium {medium}, large {large})\n");
        print_line!("YOLO-style (not comparable with COCO's)");
        print_line!("  {:<18} {:>6} {:>6} {:>6} {:>8} {:>7} {:>9}", "", "P", "R", "F1", "at conf", "mAP50", "mAP50-95");
        for (name, key, metrics) in self.styles() {
            let [p, r, f1, conf, map50, map] = yolo_cells(metrics);
            let note = if loaded && style(preset).1 == key { "   as that tool prints it" } else { "" };
            print_line!("  {name:<18} {p:>6} {r:>6} {f1:>6} {conf:>8} {map50:>7} {map:>9}{note}");
        }
        let Counts { true_positives, false_positives, misses } = self.counts;
        let (precision, recall) = (shown(self.counts.precision()), shown(self.counts.recall()));
        print_line!(
            "\nAs detect shows them, at confidence {} (true from IoU 0.5)\n  {true_positives} true and {false_positives} false positives, {misses} misses; precision {precision}, recall {recall}",
            self.count_conf
        );
        print_line!("\nClasses: P, R, mAP50 and mAP50-95 by {}, AP and AP50 by COCO", style(preset).0);
        let heads = ["images", "labels", "P", "R", "mAP50", "mAP50-95", "AP", "AP50"].map(str::to_owned);
        for (name, cells) in once(("class", heads)).chain(self.class_cells(preset)) {
            let [images, labels, p, r, map50, map, ap, ap50] = cells;
            print_line!("  {name:<20} {images:>6} {labels:>6} {p:>6} {r:>6} {map50:>6} {map:>8} {ap:>6} {ap50:>6}");
        }
        Ok(())
    }

    /// Right and wrong detections and misses. NaN becomes null.
    fn counts_json(&self) -> Value {
        json!({
            "confidence": self.count_conf,
            "true_positives": self.counts.true_positives,
            "false_positives": self.counts.false_positives,
            "misses": self.counts.misses,
            "precision": self.counts.precision(),
            "recall": self.counts.recall(),
        })
    }

    /// Classes with the definitions of `preset`.
    pub(crate) fn json(&self, preset: Preset) -> Value {
        let coco: Map<String, Value> =
            self.coco.named().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        let mut styles = Map::new();
        for (_, key, m) in self.styles() {
            let values = json!({
                "precision": m.precision, "recall": m.recall, "f1": m.f1, "confidence": m.confidence,
                "mAP50": m.map50, "mAP50_95": m.map,
            });
            styles.insert(key.to_owned(), values);
        }
        let per_class: Vec<Value> = self
            .rows(preset)
            .map(|(name, coco, yolo)| {
                json!({
                    "class": coco.class, "name": name, "images": yolo.images, "labels": coco.labels,
                    "precision": yolo.precision, "recall": yolo.recall, "mAP50": yolo.ap50, "mAP50_95": yolo.ap,
                    "AP": coco.ap, "AP50": coco.ap50,
                })
            })
            .collect();
        json!({ "coco": coco, "yolo": styles, "counts": self.counts_json(), "per_class": per_class })
    }
}

/// Whose definitions a preset has: in words, and in JSON.
pub(super) fn style(preset: Preset) -> (&'static str, &'static str) {
    match preset {
        Preset::Yolov9 => ("official val.py", "official"),
        Preset::Ultralytics => ("Ultralytics 8.4", "ultralytics"),
    }
}

/// P, R, F1, their confidence, mAP50 and mAP50-95.
pub(super) fn yolo_cells(m: &YoloMetrics) -> [String; 6] {
    [m.precision, m.recall, m.f1, m.confidence, m.map50, m.map].map(shown)
}

pub(super) fn shown(value: f64) -> String {
    if value.is_nan() { "-".into() } else { format!("{value:.3}") }
}

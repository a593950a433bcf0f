//! `report.html`: an evaluation on one page that needs nothing else.

use std::cmp::Reverse;
use std::fmt::Write;

use yolo9::detect::Preset;
use yolo9::output::escaped;

use super::plots::Plot;
use super::scores::{Scores, shown, style, yolo_cells};
use super::worst::Worst;
use super::{Evaluated, ValArgs};
use crate::environment::Environment;
use crate::page::{closed, figure, left_out, opened, table};
use crate::report::counted;

/// What stands in the page besides numbers.
pub(super) struct Shown<'a> {
    pub(super) curves: &'a [Plot],
    pub(super) confusion: &'a Plot,
    pub(super) histograms: &'a [Plot],
    pub(super) worst: &'a [Worst],
}

pub(super) fn page(args: &ValArgs, evaluated: &Evaluated, scores: &Scores, settings: &str, show: &Shown<'_>) -> String {
    let subject = match &args.predictions {
        Some(file) => file.display().to_string(),
        None => args.model.weights.clone(),
    };
    let title = escaped(&format!("{subject} on {}", args.data.display()));
    let mut page = opened(&title);
    let _ = writeln!(
        page,
        "<main>\n<header><h1>{title}</h1>\n<p>{}</p>\n</header>\n<p>{}</p>",
        escaped(settings),
        Environment::now().html()
    );
    page += &left_out(evaluated.failed.len());
    if !evaluated.failed.is_empty() {
        let names: Vec<String> = evaluated.failed.iter().map(|(path, _)| path.display().to_string()).collect();
        let _ = writeln!(page, "<p>Not read: {}</p>", escaped(&names.join(", ")));
    }
    let counts = scores.counts;
    let _ = writeln!(
        page,
        "<section class=\"verdict\"><p>AP {} (COCO), mAP50-95 {} ({}).</p>\n<p>At confidence {}: {} and {}, {}; precision {}, recall {}.</p></section>",
        shown(scores.coco.ap),
        shown(scores.metrics(args.preset()).map),
        style(args.preset()).0,
        args.count_conf,
        counted(counts.true_positives, "true positive"),
        counted(counts.false_positives, "false positive"),
        if counts.misses == 1 { "1 miss".to_owned() } else { format!("{} misses", counts.misses) },
        shown(counts.precision()),
        shown(counts.recall())
    );
    numbers(&mut page, scores);
    classes(&mut page, scores, args.preset());
    plots(&mut page, show);
    images(&mut page, show.worst, args.worst, "Images with the most misses", |worst| worst.missed);
    images(&mut page, show.worst, args.worst, "Images with the most false positives", |worst| worst.wrong);
    let _ = writeln!(
        page,
        "</main>\n<footer>COCO's numbers equal those of pycocotools. Curves, and confidences in their histogram, are of all \
         detections that scores are made of; counts, sizes, the table of what is taken for what and images are of those that detect shows at \
         confidence {}. Curves are by the official val.py. A detection is true if it has IoU 0.5 with a \
         label of its class that no more confident one has. In images: red is missed, orange false, green true, at confidence {}.</footer>",
        args.count_conf, args.count_conf
    );
    closed(&mut page);
    page
}

fn numbers(page: &mut String, scores: &Scores) {
    *page += "<section><h2>Scores</h2>\n";
    let rows = scores.coco.named().map(|(name, value)| vec![name.replace('_', " "), shown(value)]);
    table(page, &["COCO", ""], rows);
    *page += "<p>YOLO-style, which are not comparable with COCO's:</p>\n";
    let rows = [Preset::Yolov9, Preset::Ultralytics].map(|preset| {
        let name = style(preset).0.to_owned();
        [vec![name], yolo_cells(scores.metrics(preset)).to_vec()].concat()
    });
    table(page, &["by", "P", "R", "F1", "at confidence", "mAP50", "mAP50-95"], rows);
    *page += "</section>\n";
}

fn classes(page: &mut String, scores: &Scores, preset: Preset) {
    let _ = writeln!(page, "<section><h2>Classes</h2>\n<p>P, R, mAP50 and mAP50-95 by {}.</p>", style(preset).0);
    let rows = scores.class_cells(preset).map(|(name, cells)| [vec![escaped(name)], cells.to_vec()].concat());
    let heads = ["class", "images", "labels", "P", "R", "mAP50", "mAP50-95", "AP (COCO)", "AP50 (COCO)"];
    table(page, &heads, rows);
    *page += "</section>\n";
}

fn plots(page: &mut String, show: &Shown<'_>) {
    let mut section = |title: &str, plots: &[Plot]| {
        let _ = writeln!(page, "<section><h2>{title}</h2>\n<div class=\"pair\">");
        plots.iter().for_each(|(_, svg)| {
            let _ = writeln!(page, "<figure>{svg}</figure>");
        });
        *page += "</div>\n</section>\n";
    };
    section("Curves", show.curves);
    section("Where it goes wrong", show.histograms);
    section("What is taken for what", std::slice::from_ref(show.confusion));
}

/// Those with the most of something.
fn images(page: &mut String, worst: &[Worst], count: usize, title: &str, of: fn(&Worst) -> usize) {
    let mut sorted: Vec<&Worst> = worst.iter().filter(|worst| of(worst) > 0).collect();
    sorted.sort_by_key(|worst| Reverse(of(worst)));
    if sorted.is_empty() {
        return;
    }
    let _ = writeln!(page, "<section><h2>{title}</h2>\n<div class=\"images\">");
    sorted.iter().take(count).for_each(|worst| figure(page, &worst.file, &worst.small, &worst.caption));
    *page += "</div>\n</section>\n";
}

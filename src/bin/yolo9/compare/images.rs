//! The images that differ most: by A, by B, and what differs.

use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage, imageops};
use yolo9::compare::{Change, Compared};
use yolo9::detect::BoxXyxy;
use yolo9::evaluate::{BoxXywh, GroundTruth};
use yolo9::output::{Mark, class_colour, draw_marks, encode_image, encode_thumbnail, write_atomically, write_text};

use super::Comparison;
use super::measure::ImageComparison;

pub(super) const ONLY_A: [u8; 3] = [20, 110, 220];
pub(super) const ONLY_B: [u8; 3] = [230, 120, 20];
const LABEL: [u8; 3] = [30, 140, 60];
const CHANGED: [u8; 3] = [140, 60, 190];

/// A file of the output folder.
pub(super) struct Drawn {
    pub(super) file: PathBuf,
    pub(super) caption: String,
    /// Small enough to stand in a page.
    pub(super) small: Vec<u8>,
}

/// Width of one of the three panels; of the small one.
const PANEL: u32 = 800;
const SMALL: u32 = 1200;

pub(super) fn draw(folder: &Path, comparison: &Comparison, count: usize) -> anyhow::Result<Vec<Drawn>> {
    let mut ranked: Vec<(f32, &ImageComparison)> =
        comparison.measured.images.iter().map(|image| (difference(&image.compared), image)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut drawn = Vec::new();
    for (rank, (_, image)) in ranked.into_iter().take(count).enumerate() {
        let pixels = match image.source.open(&comparison.conditions.limits) {
            Ok(pixels) => pixels,
            Err(failure) => {
                log::warn!("{}: cannot be drawn: {}", image.source.name(), failure.reason);
                continue;
            }
        };
        let triptych = triptych(&pixels.pixels, image, comparison);
        let name = image.source.relative();
        let stem = name.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let file = Path::new("images").join(format!("{:02}-{stem}.jpg", rank + 1));
        write_atomically(&folder.join(&file), &encode_image(&triptych, ImageFormat::Jpeg)?)?;
        let height = (triptych.height() * SMALL / triptych.width()).max(1);
        let small = encode_thumbnail(&imageops::thumbnail(&triptych, SMALL, height))?;
        drawn.push(Drawn { file, caption: caption(&name.display().to_string(), image), small });
    }
    Ok(drawn)
}

/// How much two results differ: an object that one of them lacks weighs most.
fn difference(compared: &[Compared]) -> f32 {
    let weight = |compared: &Compared| match (compared.change, compared.a, compared.b) {
        (Change::OnlyA | Change::OnlyB, ..) => 1.0,
        (_, Some(a), Some(b)) => (a.confidence - b.confidence).abs() + (1.0 - a.bbox.iou(&b.bbox)),
        _ => 0.0,
    };
    compared.iter().map(weight).sum()
}

fn caption(name: &str, image: &ImageComparison) -> String {
    let of = |change: Change| image.compared.iter().zip(&image.right).filter(move |(one, _)| one.change == change);
    let counted = Change::ALL.into_iter().filter_map(|change| {
        let side = usize::from(change == Change::OnlyB);
        let right = of(change).filter(|(_, right)| right[side] == Some(true)).count();
        let alone = matches!(change, Change::OnlyA | Change::OnlyB) && !image.labels.is_empty();
        let right = if alone { format!(" ({right} true)") } else { String::new() };
        let count = of(change).count();
        (count > 0).then(|| format!("{count} {}{right}", change.name()))
    });
    let counts = counted.collect::<Vec<_>>().join(", ");
    format!("{name}: {}", if counts.is_empty() { "nothing found by either".into() } else { counts })
}

fn triptych(pixels: &RgbImage, image: &ImageComparison, comparison: &Comparison) -> RgbImage {
    let name = |class: usize| comparison.class_name(class);
    let of_side = |side: fn(&Compared) -> Option<yolo9::detect::Detection>| -> Vec<Mark> {
        let mut found: Vec<_> = image.compared.iter().filter_map(side).collect();
        found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        let mark = |d: yolo9::detect::Detection| Mark {
            bbox: d.bbox,
            text: format!("{} {:.2}", name(d.class), d.confidence),
            colour: class_colour(d.class),
        };
        found.into_iter().map(mark).collect()
    };
    let panels = [
        (format!("A: {}", comparison.sides[0].name), of_side(|compared| compared.a)),
        (format!("B: {}", comparison.sides[1].name), of_side(|compared| compared.b)),
        (legend(image), [labels(image, comparison), differences(&image.compared, &name)].concat()),
    ];
    const CAPTION: u32 = 34;
    let height =
        (u64::from(pixels.height()) * u64::from(PANEL) / u64::from(pixels.width().max(1))).clamp(1, 4000) as u32;
    let mut sheet = RgbImage::from_pixel(3 * PANEL + 16, height + CAPTION, image::Rgb([255, 255, 255]));
    for (place, (title, marks)) in panels.into_iter().enumerate() {
        let mut panel = pixels.clone();
        if place == 2 {
            // Faded, so that the marks stand out.
            panel.iter_mut().for_each(|value| *value = 150 + *value / 3);
        }
        draw_marks(&mut panel, &marks, None);
        let panel = imageops::thumbnail(&panel, PANEL, height);
        let x = place as u32 * (PANEL + 8);
        imageops::replace(&mut sheet, &panel, i64::from(x), i64::from(CAPTION));
        write_text(&mut sheet, (x as i32 + 4, 6), 22.0, &title);
    }
    sheet
}

fn legend(image: &ImageComparison) -> String {
    let labels = if image.labels.is_empty() { "" } else { "; green labels" };
    format!("difference: blue only A, orange only B, violet changed{labels}")
}

/// What the dataset says is there.
fn labels(image: &ImageComparison, comparison: &Comparison) -> Vec<Mark> {
    let names = comparison.accuracy.as_ref().map(|accuracy| &accuracy.scores[0].class_names[..]).unwrap_or_default();
    let mark = |truth: &GroundTruth| {
        let BoxXywh { x, y, width, height } = truth.bbox;
        let [x1, y1, x2, y2] = [x, y, x + width, y + height].map(|value| value as f32);
        let text = names.get(truth.class).cloned().unwrap_or_default();
        Mark { bbox: BoxXyxy { x1, y1, x2, y2 }, text, colour: LABEL }
    };
    image.labels.iter().map(mark).collect()
}

fn differences(compared: &[Compared], name: &dyn Fn(usize) -> String) -> Vec<Mark> {
    let mut marks = Vec::new();
    for compared in compared {
        let class = name(compared.class());
        let mut mark = |bbox, text, colour| marks.push(Mark { bbox, text, colour });
        match (compared.change, compared.a, compared.b) {
            (Change::Same, ..) | (_, None, None) => {}
            (_, Some(a), None) => mark(a.bbox, format!("A: {class} {:.2}", a.confidence), ONLY_A),
            (_, None, Some(b)) => mark(b.bbox, format!("B: {class} {:.2}", b.confidence), ONLY_B),
            (change, Some(a), Some(b)) => {
                mark(b.bbox, format!("{class} {:+.2}", b.confidence - a.confidence), CHANGED);
                if change == Change::Moved {
                    mark(a.bbox, String::new(), ONLY_A);
                }
            }
        }
    }
    marks
}

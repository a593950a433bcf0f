//! The images with the most mistakes, drawn.

use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage, imageops};
use yolo9::detect::BoxXyxy;
use yolo9::evaluate::{BoxXywh, Dataset, EvalImage, Prediction};
use yolo9::image::Image;
use yolo9::output::{Mark, draw_marks, encode_image, write_atomically, write_text};

use super::Evaluated;
use crate::report::counted;

const RIGHT: [u8; 3] = [40, 160, 70];
const FALSE: [u8; 3] = [230, 120, 20];
const MISSED: [u8; 3] = [225, 30, 60];

/// What is wrong in one image, at the confidence where F1 is best and IoU 0.5.
struct Mistakes {
    image: usize,
    missed: usize,
    wrong: usize,
    marks: Vec<Mark>,
}

/// Draws the `count` worst images into `worst/`, and all of them on one sheet.
pub(crate) fn draw(
    folder: &Path,
    dataset: &Dataset,
    evaluated: &Evaluated,
    confidence: f64,
    count: usize,
) -> anyhow::Result<()> {
    let mistakes = |(image, labelled): (usize, &EvalImage)| find(image, labelled, &dataset.class_names, confidence);
    let mut all: Vec<Mistakes> = evaluated.images.iter().enumerate().map(mistakes).collect();
    all.retain(|mistakes| mistakes.missed + mistakes.wrong > 0);
    all.sort_by_key(|mistakes| std::cmp::Reverse(mistakes.missed + mistakes.wrong));
    let mut tiles = Vec::new();
    for (rank, mistakes) in all.iter().take(count).enumerate() {
        let path = &dataset.images[mistakes.image].path;
        let image = match Image::open(path) {
            Ok(image) => image,
            Err(error) => {
                log::warn!("{}: cannot be drawn: {error}", path.display());
                continue;
            }
        };
        let mut pixels = image.pixels;
        draw_marks(&mut pixels, &mistakes.marks, None);
        let name = ranked(rank, path);
        write_atomically(&folder.join("worst").join(&name), &encode_image(&pixels, ImageFormat::Jpeg)?)?;
        let caption = format!(
            "{}: {}, {}",
            path.file_name().unwrap_or_default().to_string_lossy(),
            counted(mistakes.missed, "missed label"),
            counted(mistakes.wrong, "false detection")
        );
        tiles.push((pixels, caption));
    }
    if !tiles.is_empty() {
        let sheet = sheet(&tiles, confidence);
        write_atomically(&folder.join("worst.jpg"), &encode_image(&sheet, ImageFormat::Jpeg)?)?;
    }
    Ok(())
}

fn find(image: usize, labelled: &EvalImage, names: &[String], confidence: f64) -> Mistakes {
    let mut found: Vec<&Prediction> = labelled.predictions.iter().filter(|found| found.score >= confidence).collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut taken = vec![false; labelled.ground_truths.len()];
    let mut marks = Vec::new();
    let (mut wrong, mut right) = (Vec::new(), Vec::new());
    for prediction in found {
        let fits = |(place, truth): &(usize, &yolo9::evaluate::GroundTruth)| {
            !taken[*place] && truth.class == prediction.class && truth.bbox.iou(&prediction.bbox) >= 0.5
        };
        let best = labelled
            .ground_truths
            .iter()
            .enumerate()
            .filter(fits)
            .max_by(|a, b| a.1.bbox.iou(&prediction.bbox).total_cmp(&b.1.bbox.iou(&prediction.bbox)));
        let name = &names[prediction.class];
        let bbox = corners(&prediction.bbox);
        match best.map(|(place, _)| place) {
            Some(place) => {
                taken[place] = true;
                right.push(Mark { bbox, text: String::new(), colour: RIGHT });
            }
            None => wrong.push(Mark { bbox, text: format!("false: {name} {:.2}", prediction.score), colour: FALSE }),
        }
    }
    let missed = labelled.ground_truths.iter().zip(&taken).filter(|(truth, taken)| !**taken && !truth.crowd);
    marks.extend(missed.map(|(truth, _)| Mark {
        bbox: corners(&truth.bbox),
        text: format!("missed: {}", names[truth.class]),
        colour: MISSED,
    }));
    let (missed, wrong_count) = (marks.len(), wrong.len());
    marks.extend(wrong);
    marks.extend(right);
    Mistakes { image, missed, wrong: wrong_count, marks }
}

pub(super) fn corners(bbox: &BoxXywh) -> BoxXyxy {
    let [x1, y1, x2, y2] = [bbox.x, bbox.y, bbox.x + bbox.width, bbox.y + bbox.height].map(|edge| edge as f32);
    BoxXyxy { x1, y1, x2, y2 }
}

/// Three images in a row, with what is wrong in them.
fn sheet(tiles: &[(RgbImage, String)], confidence: f64) -> RgbImage {
    const SIDE: u32 = 480;
    const CAPTION: u32 = 26;
    let columns = 3.min(tiles.len() as u32);
    let rows = (tiles.len() as u32).div_ceil(columns);
    let fitted = |image: &RgbImage| {
        let scale = f64::from(SIDE - 8) / f64::from(image.width().max(image.height()));
        let side = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
        (side(image.width()), side(image.height()))
    };
    let tallest = tiles.iter().map(|(image, _)| fitted(image).1).max().unwrap_or(1) + 8;
    let (width, height) = (columns * SIDE, CAPTION + rows * (tallest + CAPTION));
    let mut sheet = RgbImage::from_pixel(width, height, image::Rgb([245, 245, 245]));
    let title =
        format!("Red: missed labels. Orange: false detections. Green: right ones. Confidence {confidence:.2}, IoU 0.5");
    write_text(&mut sheet, (6, 4), 17.0, &title);
    for (place, (image, caption)) in tiles.iter().enumerate() {
        let (column, row) = (place as u32 % columns, place as u32 / columns);
        let (x, y) = (column * SIDE, CAPTION + row * (tallest + CAPTION));
        let (across, down) = fitted(image);
        let small = imageops::thumbnail(image, across, down);
        imageops::replace(&mut sheet, &small, i64::from(x + 4), i64::from(y + CAPTION));
        write_text(&mut sheet, (x as i32 + 6, y as i32 + 5), 15.0, caption);
    }
    sheet
}

/// Names for files that sort by rank.
fn ranked(rank: usize, path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    PathBuf::from(format!("{:02}-{stem}.jpg", rank + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_sort_as_names() {
        assert_eq!(ranked(0, Path::new("a/b.png")), Path::new("01-b.jpg"));
    }
}

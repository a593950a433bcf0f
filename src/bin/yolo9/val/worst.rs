//! The images with the most mistakes, drawn.

use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage, imageops};
use yolo9::detect::BoxXyxy;
use yolo9::evaluate::{BoxXywh, Dataset, EvalImage, Matching, match_ground_truths};
use yolo9::image::Image;
use yolo9::output::{Mark, draw_marks, encode_image, encode_thumbnail, write_atomically, write_text};

use crate::report::counted;

const RIGHT: [u8; 3] = [40, 160, 70];
const FALSE: [u8; 3] = [230, 120, 20];
const MISSED: [u8; 3] = [225, 30, 60];

/// Longest side of an image in a page.
const SMALL: u32 = 640;

/// What is wrong in one image.
struct Mistakes {
    image: usize,
    missed: usize,
    wrong: usize,
    marks: Vec<Mark>,
}

/// An image with mistakes, drawn.
pub(crate) struct Worst {
    /// Below the output folder.
    pub(crate) file: PathBuf,
    pub(crate) caption: String,
    /// Small enough to stand in a page, JPEG.
    pub(crate) small: Vec<u8>,
    pub(crate) missed: usize,
    pub(crate) wrong: usize,
}

/// The sheet with the first of the images.
pub(crate) const SHEET: &str = "worst.jpg";

/// Draws the `count` images with the most misses and those with the most false positives into `worst/`, at that confidence
/// and IoU 0.5, and the first of them on one sheet.
pub(crate) fn draw(
    folder: &Path,
    dataset: &Dataset,
    images: &[EvalImage],
    confidence: f64,
    count: usize,
) -> anyhow::Result<Vec<Worst>> {
    let mistakes = |(image, labelled): (usize, &EvalImage)| find(image, labelled, &dataset.class_names, confidence);
    let mut all: Vec<Mistakes> = images.iter().enumerate().map(mistakes).collect();
    all.retain(|mistakes| mistakes.missed + mistakes.wrong > 0);
    let mut chosen = std::collections::BTreeSet::new();
    for number in [|mistakes: &Mistakes| mistakes.missed, |mistakes: &Mistakes| mistakes.wrong] {
        all.sort_by_key(|mistakes| std::cmp::Reverse(number(mistakes)));
        chosen.extend(all.iter().take(count).filter(|mistakes| number(mistakes) > 0).map(|mistakes| mistakes.image));
    }
    all.retain(|mistakes| chosen.contains(&mistakes.image));
    all.sort_by_key(|mistakes| (std::cmp::Reverse(mistakes.missed + mistakes.wrong), mistakes.image));
    let (mut tiles, mut drawn) = (Vec::new(), Vec::new());
    for (rank, mistakes) in all.iter().enumerate() {
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
        let file = Path::new("worst").join(ranked(rank, path));
        write_atomically(&folder.join(&file), &encode_image(&pixels, ImageFormat::Jpeg)?)?;
        let caption = format!(
            "{}: {}, {}",
            path.file_name().unwrap_or_default().to_string_lossy(),
            counted(mistakes.missed, "missed label"),
            counted(mistakes.wrong, "false positive")
        );
        let (width, height) = fitted(&pixels, SMALL);
        let small = encode_thumbnail(&imageops::thumbnail(&pixels, width, height))?;
        drawn.push(Worst { file, caption: caption.clone(), small, missed: mistakes.missed, wrong: mistakes.wrong });
        if tiles.len() < count {
            tiles.push((pixels, caption));
        }
    }
    if !tiles.is_empty() {
        let title = format!(
            "Red: missed labels. Orange: false positives. Green: true ones. Confidence {confidence:.2}, IoU 0.5"
        );
        let sheet = sheet(&tiles, 3, 480, &title);
        write_atomically(&folder.join(SHEET), &encode_image(&sheet, ImageFormat::Jpeg)?)?;
    }
    Ok(drawn)
}

fn find(image: usize, labelled: &EvalImage, names: &[String], confidence: f64) -> Mistakes {
    let mut labelled = labelled.clone();
    labelled.predictions.retain(|found| found.score >= confidence);
    let Matching { right, found } = match_ground_truths(&labelled);
    let missed = labelled.ground_truths.iter().zip(found).filter(|(_, found)| *found == Some(false));
    let mut marks: Vec<Mark> = missed
        .map(|(truth, _)| Mark {
            bbox: corners(&truth.bbox),
            text: format!("missed: {}", names[truth.class]),
            colour: MISSED,
        })
        .collect();
    let missed = marks.len();
    let of = |wanted: bool| labelled.predictions.iter().zip(&right).filter(move |(_, right)| **right == Some(wanted));
    marks.extend(of(false).map(|(found, _)| Mark {
        bbox: corners(&found.bbox),
        text: format!("false: {} {:.2}", names[found.class], found.score),
        colour: FALSE,
    }));
    let wrong = marks.len() - missed;
    marks.extend(of(true).map(|(found, _)| Mark { bbox: corners(&found.bbox), text: String::new(), colour: RIGHT }));
    Mistakes { image, missed, wrong, marks }
}

/// Width and height with a longest side of at most `side`.
fn fitted(image: &RgbImage, side: u32) -> (u32, u32) {
    let scale = (f64::from(side) / f64::from(image.width().max(image.height()))).min(1.0);
    let scaled = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
    (scaled(image.width()), scaled(image.height()))
}

pub(super) fn corners(bbox: &BoxXywh) -> BoxXyxy {
    let [x1, y1, x2, y2] = [bbox.x, bbox.y, bbox.x + bbox.width, bbox.y + bbox.height].map(|edge| edge as f32);
    BoxXyxy { x1, y1, x2, y2 }
}

/// Images with captions below a title, so many in a row.
pub(crate) fn sheet(tiles: &[(RgbImage, String)], columns: u32, side: u32, title: &str) -> RgbImage {
    const CAPTION: u32 = 26;
    let columns = columns.min(tiles.len() as u32).max(1);
    let rows = (tiles.len() as u32).div_ceil(columns);
    let tallest = tiles.iter().map(|(image, _)| fitted(image, side - 8).1).max().unwrap_or(1) + 8;
    let (width, height) = (columns * side, CAPTION + rows * (tallest + CAPTION));
    let mut sheet = RgbImage::from_pixel(width, height, image::Rgb([245, 245, 245]));
    write_text(&mut sheet, (6, 4), 17.0, title);
    for (place, (image, caption)) in tiles.iter().enumerate() {
        let (column, row) = (place as u32 % columns, place as u32 / columns);
        let (x, y) = (column * side, CAPTION + row * (tallest + CAPTION));
        let (across, down) = fitted(image, side - 8);
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

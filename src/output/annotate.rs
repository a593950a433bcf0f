//! Boxes and labels on an image.

use ab_glyph::{Font, FontRef, PxScale};
use image::{Rgb, RgbImage};
use imageproc::drawing::{draw_filled_rect_mut, draw_text_mut, text_size};
use imageproc::rect::Rect;

use super::ImageResult;
use super::label::place;
use crate::Size;
use crate::detect::{BoxXyxy, Detection};
use crate::setters::setters;

/// DejaVu Sans (licence beside it): Latin, Greek, Cyrillic and many symbols.
const FONT: &[u8] = include_bytes!("font/DejaVuSans.ttf");

/// Smaller text is not readable; where it does not fit, only the box is drawn.
const LEAST_FONT_SIZE: f32 = 8.0;

/// How boxes are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnnotateOptions {
    /// Width of the lines in pixels; chosen by the image's size if absent.
    pub line_width: Option<u32>,
    /// Boxes without labels.
    pub hide_labels: bool,
    /// Labels without confidence.
    pub hide_confidence: bool,
}

setters!(AnnotateOptions { line_width: Option<u32>, hide_labels: bool, hide_confidence: bool });

/// A box to draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// In pixels of the image.
    pub bbox: BoxXyxy,
    /// What is written at it; nothing for a box alone.
    pub text: String,
    /// Red, green and blue.
    pub colour: [u8; 3],
}

/// Draws all detections, the best one on top, then their labels.
pub fn annotate(image: &mut RgbImage, result: &ImageResult<'_>, style: &AnnotateOptions) {
    let Ok(font) = FontRef::try_from_slice(FONT) else { return };
    let mark = |detection: &Detection| Mark {
        bbox: detection.bbox,
        text: if style.hide_labels { String::new() } else { label_text(detection, result, style, &font) },
        colour: class_colour(detection.class),
    };
    let marks: Vec<Mark> = result.detections.iter().map(mark).collect();
    draw_marks(image, &marks, style.line_width);
}

/// Draws boxes, the first one on top, then their labels, of which the first ones get the best places.
pub fn draw_marks(image: &mut RgbImage, marks: &[Mark], line_width: Option<u32>) {
    let size = Size::new(image.width() as usize, image.height() as usize);
    let mean_side = (size.width + size.height) as f32 / 2.0;
    for mark in marks.iter().rev() {
        let bbox = rect_of(&mark.bbox, size);
        let line = line_width.unwrap_or_else(|| line_width_for(mean_side, bbox)).max(1);
        outline(image, bbox, line, Rgb(mark.colour));
    }
    let Ok(font) = FontRef::try_from_slice(FONT) else { return };
    let mut taken = Vec::new();
    // The labels of the best detections come first; where boxes crowd, the last ones stay without.
    for mark in marks.iter().filter(|mark| !mark.text.is_empty()) {
        let bbox = rect_of(&mark.bbox, size);
        let fitting = fitting(&mark.text, &font, font_size(mean_side, bbox), size);
        let Some((scale, label, padding)) = fitting else { continue };
        let Some(rect) = place(bbox, label, size, &taken) else { continue };
        draw_filled_rect_mut(image, rect, Rgb(mark.colour));
        let ink = if is_light(Rgb(mark.colour)) { Rgb([0, 0, 0]) } else { Rgb([255, 255, 255]) };
        let (x, y) = (rect.left() + padding, rect.top() + padding / 2);
        draw_text_mut(image, ink, x, y, scale, &font, &mark.text);
        taken.push(rect);
    }
}

/// Writes a line at a place, black on white: a caption within an image that is made of others.
pub fn write_text(image: &mut RgbImage, (x, y): (i32, i32), height: f32, text: &str) {
    let Ok(font) = FontRef::try_from_slice(FONT) else { return };
    draw_text_mut(image, Rgb([20, 20, 20]), x, y, PxScale::from(height), &font, text);
}

/// By the image's size, so that it shows when the image is scaled to a screen; but no more than a tenth of the box.
fn line_width_for(mean_side: f32, bbox: Rect) -> u32 {
    let most = (bbox.width().min(bbox.height()) as f32 / 10.0).max(2.0);
    (mean_side * 0.003).clamp(2.0, most).round() as u32
}

/// By the image's size, but no more than a quarter of the box, whose label would hide its neighbours.
fn font_size(mean_side: f32, bbox: Rect) -> f32 {
    let most = (bbox.width().max(bbox.height()) as f32 / 4.0).max(12.0);
    (mean_side * 0.016).clamp(12.0, most)
}

/// The pixels that a box covers, at least one.
fn rect_of(bbox: &BoxXyxy, image: Size) -> Rect {
    let bbox = bbox.clip(image);
    let axis = |start: f32, end: f32, limit: usize| {
        let first = (start.round() as i32).clamp(0, limit as i32 - 1);
        (first, ((end.round() as i32) - first).clamp(1, limit as i32 - first) as u32)
    };
    let (x, width) = axis(bbox.x1, bbox.x2, image.width);
    let (y, height) = axis(bbox.y1, bbox.y2, image.height);
    Rect::at(x, y).of_size(width, height)
}

/// Four bars inside the box's edges, no thicker than the box.
fn outline(image: &mut RgbImage, bbox: Rect, line: u32, colour: Rgb<u8>) {
    let (x, y, width, height) = (bbox.left(), bbox.top(), bbox.width(), bbox.height());
    let (across, down) = (line.min(width), line.min(height));
    for (x, y, width, height) in [
        (x, y, width, down),
        (x, y + (height - down) as i32, width, down),
        (x, y, across, height),
        (x + (width - across) as i32, y, across, height),
    ] {
        draw_filled_rect_mut(image, Rect::at(x, y).of_size(width, height), colour);
    }
}

fn label_text(detection: &Detection, result: &ImageResult<'_>, style: &AnnotateOptions, font: &FontRef<'_>) -> String {
    let name = result.name_of(detection.class);
    let drawable = name.chars().all(|c| c == ' ' || font.glyph_id(c).0 != 0);
    // A name in a script that the font lacks would be a row of empty boxes.
    let name = if drawable { name.into_owned() } else { format!("class {}", detection.class) };
    if style.hide_confidence { name } else { format!("{name} {:.2}", detection.confidence) }
}

/// Scale of the text, width and height of its label, and padding: as wanted, or smaller where the label would take more than
/// half the width of the image.
fn fitting(text: &str, font: &FontRef<'_>, wanted: f32, image: Size) -> Option<(PxScale, (u32, u32), i32)> {
    let mut font_size = wanted;
    loop {
        let (padding, scale) = ((font_size * 0.25).ceil() as u32, PxScale::from(font_size));
        let (width, height) = (text_size(scale, font, text).0 + 2 * padding, font_size.ceil() as u32 + padding);
        if 2 * width as usize <= image.width && height as usize <= image.height {
            return Some((scale, (width, height), padding as i32));
        }
        font_size *= 0.85;
        if font_size < LEAST_FONT_SIZE {
            return None;
        }
    }
}

/// The colour of a class as CSS writes it.
#[must_use]
pub fn css_colour(class: usize) -> String {
    let [r, g, b] = class_colour(class);
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Red, green and blue of a class: hues a golden angle apart, so that neighbouring ids differ most.
#[must_use]
pub fn class_colour(class: usize) -> [u8; 3] {
    let hue = (class as f32 * 137.508 + 20.0) % 360.0 / 60.0;
    // Every other turn is darker, for many classes.
    let (value, saturation) = if class % 4 < 2 { (0.95, 0.85) } else { (0.72, 0.9) };
    let channel = |offset: f32| {
        let k = (offset + hue) % 6.0;
        let share = value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0);
        (share * 255.0).round() as u8
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

/// Whether black text contrasts better than white: the luminance (WCAG) where both are equal is 0.179.
fn is_light(Rgb(channels): Rgb<u8>) -> bool {
    let linear = channels.map(|c| (f32::from(c) / 255.0).powf(2.2));
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(size: Size, bbox: BoxXyxy, names: &[String], style: &AnnotateOptions) -> RgbImage {
        let mut image = RgbImage::from_pixel(size.width as u32, size.height as u32, Rgb([90, 90, 90]));
        let detections = [Detection { bbox, class: 0, confidence: 0.5 }];
        let result = ImageResult { source: "x", size, input: size, detections: &detections, class_names: names };
        annotate(&mut image, &result, style);
        image
    }

    #[test]
    fn the_outline_lies_on_the_box_and_the_inside_stays() {
        let bbox = BoxXyxy { x1: 10.0, y1: 20.0, x2: 60.0, y2: 70.0 };
        let style = AnnotateOptions::default().hide_labels(true).line_width(Some(3));
        let image = draw(Size::square(100), bbox, &[], &style);
        for (x, y, on) in
            [(10, 20, true), (59, 69, true), (12, 45, true), (13, 45, false), (9, 45, false), (60, 45, false)]
        {
            assert_eq!(*image.get_pixel(x, y) == Rgb(class_colour(0)), on, "{x},{y}");
        }
    }

    #[test]
    fn any_box_and_any_image_can_be_drawn() {
        let names = ["a rather long class name".to_owned()];
        for size in [Size::square(1), Size::new(3, 200), Size::new(64, 16)] {
            for bbox in [
                BoxXyxy { x1: -5.0, y1: -5.0, x2: 500.0, y2: 500.0 },
                BoxXyxy { x1: 0.2, y1: 0.2, x2: 0.3, y2: 0.3 },
                BoxXyxy { x1: 400.0, y1: 400.0, x2: 300.0, y2: 300.0 },
            ] {
                draw(size, bbox, &names, &AnnotateOptions::default().line_width(Some(50)));
            }
        }
    }

    #[test]
    fn names_that_the_font_lacks_become_numbers() {
        let font = FontRef::try_from_slice(FONT).unwrap();
        let names = ["二维码".to_owned(), "Straße №1".to_owned()];
        let bbox = BoxXyxy { x1: 0.0, y1: 0.0, x2: 1.0, y2: 1.0 };
        let detections = [0, 1].map(|class| Detection { bbox, class, confidence: 0.25 });
        let size = Size::square(9);
        let result = ImageResult { source: "", size, input: size, detections: &detections, class_names: &names };
        let texts = detections.map(|d| label_text(&d, &result, &AnnotateOptions::default(), &font));
        assert_eq!(texts, ["class 0 0.25", "Straße №1 0.25"]);
    }
}

//! The stages around the network, each alone: `cargo bench -p yolo9-benches --bench stages`.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may")]

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::{Array3, Array4};
use yolo9::Size;
use yolo9::architecture::REG_MAX;
use yolo9::detect::{HeadOutput, LevelOutput, Preset, decode, nms};
use yolo9::dysample::{Definition, DySampleStyle, init_pos, upsample};
use yolo9::embedded::SAMPLE_IMAGE;
use yolo9::image::{Image, ImageLimits, InputShape, Letterbox, LetterboxOptions, to_tensor};

fn input(c: &mut Criterion) {
    let limits = ImageLimits::default();
    c.bench_function("decode JPEG 1280x960", |b| b.iter(|| Image::decode(SAMPLE_IMAGE, &limits).unwrap()));
    let image = Image::decode(SAMPLE_IMAGE, &limits).unwrap();
    let rescaling = Preset::default().box_rescaling();
    let options = LetterboxOptions::new(Size::square(640), 32, InputShape::Rectangular, rescaling);
    let letterbox = Letterbox::new(image.size(), &options);
    c.bench_function("letterbox 1280x960 to 640x480", |b| b.iter(|| to_tensor(&image.pixels, &letterbox)));
}

/// 80 classes at 640x640, one anchor point in a hundred above the confidence threshold.
fn head(c: &mut Criterion) {
    let mut random = fastrand::Rng::with_seed(1);
    let levels = [8, 16, 32].map(|stride| {
        let side = 640 / stride;
        let boxes = Array3::from_shape_fn((4 * REG_MAX, side, side), |_| random.f32());
        let mut classes = Array3::from_elem((80, side, side), -6.0);
        for _ in 0..side * side / 100 {
            classes[[random.usize(..80), random.usize(..side), random.usize(..side)]] = 1.0;
        }
        LevelOutput { stride, boxes, classes }
    });
    let output = HeadOutput::Levels(levels.to_vec());
    let options = Preset::default().postprocess();
    let candidates = decode(&output, options.confidence_threshold, false);
    c.bench_function("decode boxes of 80 classes", |b| {
        b.iter(|| decode(&output, options.confidence_threshold, false));
    });
    c.bench_function("NMS of 84 candidates", |b| b.iter(|| nms(candidates.clone(), &options.nms)));
}

fn dysample(c: &mut Criterion) {
    let definition = Definition::new(64, 2, DySampleStyle::Lp, 4, false).unwrap();
    let x = Array4::from_shape_fn((1, 64, 40, 40), |(_, c, h, w)| (c + h * w) as f32 / 100.0);
    let offsets = Array4::from_shape_vec((1, 32, 1, 1), init_pos(&definition)).unwrap();
    let offsets = offsets.broadcast((1, 32, 40, 40)).unwrap().to_owned();
    c.bench_function("DySample 64x40x40 to 64x80x80", |b| {
        b.iter(|| upsample(x.view(), offsets.view(), definition.scale, definition.groups).unwrap());
    });
}

criterion_group!(stages, input, head, dysample);
criterion_main!(stages);

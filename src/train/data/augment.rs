//! What becomes of an image by chance before the network sees it: the augmentation of the released recipes.

use fastrand::Rng;
use image::RgbImage;

use super::colour;
use super::samples::{Sample, TrainingSet, UnusedImage};
use super::warp::{Affine, GREY, moved, warped};
use crate::train::hyperparameters::Hyperparameters;
use crate::train::loss::Target;

/// How images are changed.
#[derive(Debug, Clone)]
pub struct Augmentation {
    /// By how much.
    pub hyperparameters: Hyperparameters,
    /// Whether there are mosaics: the last epochs have none.
    pub mosaic: bool,
}

impl Augmentation {
    /// Whether anything is changed by chance.
    #[must_use]
    pub fn is_random(&self) -> bool {
        let mut hyp = self.hyperparameters.clone();
        if !self.mosaic {
            (hyp.mosaic, hyp.mixup) = (0.0, 0.0);
        }
        !hyp.is_without_augmentation()
    }

    /// An image of a training set as the network sees it: a square of the set's size.
    ///
    /// # Errors
    /// When a file cannot be read any more.
    pub(super) fn sample(&self, set: &TrainingSet, image: usize, random: &mut Rng) -> Result<Sample, UnusedImage> {
        let hyp = &self.hyperparameters;
        let mut sample = if self.mosaic && random.f64() < hyp.mosaic {
            let mosaic = self.mosaic(set, image, random)?;
            if random.f64() < hyp.mixup {
                let other = random.usize(..set.len());
                mixed(mosaic, self.mosaic(set, other, random)?, mixing_ratio(random))
            } else {
                mosaic
            }
        } else {
            self.letterboxed(set.sample(image)?, set.size(), random)
        };
        if [hyp.hsv_h, hyp.hsv_s, hyp.hsv_v] != [0.0; 3] {
            let factors = [hyp.hsv_h, hyp.hsv_s, hyp.hsv_v].map(|gain| 1.0 + gain * between(random, -1.0, 1.0));
            colour::change(&mut sample.pixels, factors);
        }
        let size = set.size() as f64;
        if random.f64() < hyp.flipud {
            image::imageops::flip_vertical_in_place(&mut sample.pixels);
            sample
                .objects
                .iter_mut()
                .for_each(|Target { corners: [_, y1, _, y2], .. }| (*y1, *y2) = (size - *y2, size - *y1));
        }
        if random.f64() < hyp.fliplr {
            image::imageops::flip_horizontal_in_place(&mut sample.pixels);
            sample
                .objects
                .iter_mut()
                .for_each(|Target { corners: [x1, _, x2, _], .. }| (*x1, *x2) = (size - *x2, size - *x1));
        }
        Ok(sample)
    }

    /// In the middle of a grey square, then moved.
    fn letterboxed(&self, sample: Sample, size: usize, random: &mut Rng) -> Sample {
        let (width, height) = (sample.pixels.width() as usize, sample.pixels.height() as usize);
        let mut canvas = RgbImage::from_pixel(size as u32, size as u32, image::Rgb([GREY; 3]));
        // An odd remainder goes right and to the bottom.
        let (left, top) = ((size - width) / 2, (size - height) / 2);
        image::imageops::replace(&mut canvas, &sample.pixels, left as i64, top as i64);
        let placed = Affine::translation(left as f64, top as f64);
        let transformation = self.transformation(size, size, random);
        let pixels = if transformation == Affine::IDENTITY { canvas } else { warped(&canvas, transformation, size) };
        Sample { pixels, objects: moved(&sample.objects, placed.then(transformation), size) }
    }

    /// Four images around a random point of a canvas of twice the size, then moved and cut to size.
    fn mosaic(&self, set: &TrainingSet, image: usize, random: &mut Rng) -> Result<Sample, UnusedImage> {
        let size = set.size();
        let canvas_size = 2 * size;
        let middle = |random: &mut Rng| between(random, 0.5 * size as f64, 1.5 * size as f64) as i64;
        let (x, y) = (middle(random), middle(random));
        let mut chosen = [image, random.usize(..set.len()), random.usize(..set.len()), random.usize(..set.len())];
        random.shuffle(&mut chosen);
        let mut canvas = RgbImage::from_pixel(canvas_size as u32, canvas_size as u32, image::Rgb([GREY; 3]));
        let mut objects = Vec::new();
        for (part, image) in chosen.into_iter().enumerate() {
            let sample = set.sample(image)?;
            let (width, height) = (i64::from(sample.pixels.width()), i64::from(sample.pixels.height()));
            let left = if part % 2 == 0 { x - width } else { x };
            let top = if part < 2 { y - height } else { y };
            image::imageops::replace(&mut canvas, &sample.pixels, left, top);
            let limit = canvas_size as f64;
            objects.extend(sample.objects.iter().map(|object| {
                let [x1, y1, x2, y2] = object.corners;
                let (left, top) = (left as f64, top as f64);
                Target { corners: [x1 + left, y1 + top, x2 + left, y2 + top].map(|v| v.clamp(0.0, limit)), ..*object }
            }));
        }
        let transformation = self.transformation(canvas_size, size, random);
        Ok(Sample { pixels: warped(&canvas, transformation, size), objects: moved(&objects, transformation, size) })
    }

    /// Rotation, scale, shear and shift around the middle.
    fn transformation(&self, from: usize, to: usize, random: &mut Rng) -> Affine {
        let Hyperparameters { degrees, translate, scale, shear, .. } = self.hyperparameters;
        let angle = between(random, -degrees, degrees).to_radians();
        let factor = between(random, 1.0 - scale, 1.0 + scale);
        let (sin, cos) = angle.sin_cos();
        let turned = Affine([factor * cos, factor * sin, 0.0, -factor * sin, factor * cos, 0.0]);
        let [along_x, along_y] = [(); 2].map(|()| between(random, -shear, shear).to_radians().tan());
        let sheared = Affine([1.0, along_x, 0.0, along_y, 1.0, 0.0]);
        let [x, y] = [(); 2].map(|()| between(random, 0.5 - translate, 0.5 + translate) * to as f64);
        let half = from as f64 / 2.0;
        Affine::translation(-half, -half).then(turned).then(sheared).then(Affine::translation(x, y))
    }
}

fn between(random: &mut Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * random.f64()
}

/// From the distribution beta(32, 32): the middle one of 63 uniform numbers.
fn mixing_ratio(random: &mut Rng) -> f64 {
    let mut numbers: [f64; 63] = std::array::from_fn(|_| random.f64());
    *numbers.select_nth_unstable_by(31, f64::total_cmp).1
}

/// Both images, one through the other, with the objects of both (Zhang et al., *mixup*, arXiv 1710.09412).
fn mixed(mut sample: Sample, other: Sample, ratio: f64) -> Sample {
    for (value, other) in sample.pixels.iter_mut().zip(other.pixels.iter()) {
        *value = (f64::from(*value) * ratio + f64::from(*other) * (1.0 - ratio)) as u8;
    }
    sample.objects.extend(other.objects);
    sample
}

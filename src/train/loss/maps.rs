//! The raw maps of a head in memory, and one image's share of them.

use burn_tensor::{DType, Tensor};

use super::Point;
use crate::architecture::REG_MAX;
use crate::train::kernels::Real;
use crate::train::network::LevelMaps;

/// The raw maps of one branch of the head, or their gradient.
#[derive(Debug, Clone)]
pub struct RawMaps(pub(super) Numbers);

#[derive(Debug, Clone)]
pub(super) enum Numbers {
    Single(HeadMaps<f32>),
    Double(HeadMaps<f64>),
}

impl RawMaps {
    /// Reads the maps of a branch from their device.
    #[must_use]
    pub fn read(levels: &[LevelMaps]) -> Self {
        Self(match levels[0].boxes.dtype() {
            DType::F64 => Numbers::Double(HeadMaps::read(levels)),
            _ => Numbers::Single(HeadMaps::read(levels)),
        })
    }

    /// The sum of all raw values times these: a scalar whose gradient by the raw maps these are.
    #[must_use]
    pub fn dot(self, levels: Vec<LevelMaps>) -> Tensor<1> {
        match self.0 {
            Numbers::Single(maps) => maps.dot(levels),
            Numbers::Double(maps) => maps.dot(levels),
        }
    }
}

/// Maps of all levels of one branch.
#[derive(Debug, Clone)]
pub(super) struct HeadMaps<T> {
    pub(super) batch: usize,
    classes: usize,
    levels: Vec<Level<T>>,
}

#[derive(Debug, Clone)]
struct Level<T> {
    stride: usize,
    height: usize,
    width: usize,
    /// `[N, 64, H, W]`.
    boxes: Vec<T>,
    /// `[N, nc, H, W]`.
    classes: Vec<T>,
}

impl<T> Level<T> {
    fn area(&self) -> usize {
        self.height * self.width
    }
}

/// Channels of the box map.
const BOX_CHANNELS: usize = 4 * REG_MAX;

impl<T: Real> HeadMaps<T> {
    fn read(levels: &[LevelMaps]) -> Self {
        let values = |map: &Tensor<4>| {
            map.to_data_as::<T>().try_into_vec::<T>().expect("a map has the kind of number that was asked for")
        };
        let [batch, classes, _, _] = levels[0].classes.dims();
        let level = |level: &LevelMaps| {
            let [_, _, height, width] = level.boxes.dims();
            let (boxes, classes) = (values(&level.boxes), values(&level.classes));
            Level { stride: level.stride, height, width, boxes, classes }
        };
        Self { batch, classes, levels: levels.iter().map(level).collect() }
    }

    pub(super) fn zeros(&self) -> Self {
        let zeros = |values: &[T]| vec![T::zero(); values.len()];
        let level = |level: &Level<T>| {
            let Level { stride, height, width, boxes, classes } = level;
            Level { stride: *stride, height: *height, width: *width, boxes: zeros(boxes), classes: zeros(classes) }
        };
        Self { batch: self.batch, classes: self.classes, levels: self.levels.iter().map(level).collect() }
    }

    fn dot(self, levels: Vec<LevelMaps>) -> Tensor<1> {
        let (batch, classes) = (self.batch, self.classes);
        let product = |map: Tensor<4>, values: Vec<T>, channels: usize, (height, width): (usize, usize)| {
            let data = burn_tensor::TensorData::new(values, [batch, channels, height, width]);
            let options = (&map.device(), map.dtype());
            (map * Tensor::<4>::from_data(data, options)).sum()
        };
        let of_level = |(maps, values): (LevelMaps, Level<T>)| {
            let size = (values.height, values.width);
            product(maps.boxes, values.boxes, BOX_CHANNELS, size) + product(maps.classes, values.classes, classes, size)
        };
        let sums = levels.into_iter().zip(self.levels).map(of_level);
        sums.reduce(|sum, level| sum + level).expect("a head has levels")
    }

    /// All anchor points: levels in a row, each row by row.
    pub(super) fn points(&self) -> Vec<Point> {
        let of_level = |level: &Level<T>| {
            let (stride, width) = (level.stride as f64, level.width);
            (0..level.area()).map(move |at| {
                let centre = [at % width, at / width].map(|place| (place as f64 + 0.5) * stride);
                Point { centre, stride }
            })
        };
        self.levels.iter().flat_map(of_level).collect()
    }

    pub(super) fn image<'a>(&'a self, image: usize, points: &'a [Point]) -> ImageMaps<'a, T> {
        let share = |values: &'a [T]| {
            let length = values.len() / self.batch;
            &values[image * length..(image + 1) * length]
        };
        ImageMaps {
            points,
            areas: self.levels.iter().map(Level::area).collect(),
            boxes: self.levels.iter().map(|level| share(&level.boxes)).collect(),
            classes: self.levels.iter().map(|level| share(&level.classes)).collect(),
        }
    }

    /// Each image's share, for writing.
    pub(super) fn images_mut(&mut self) -> Vec<ImageGradient<'_, T>> {
        let batch = self.batch;
        let mut images: Vec<ImageGradient<'_, T>> = Vec::new();
        images.resize_with(batch, || ImageGradient { boxes: Vec::new(), classes: Vec::new() });
        for level in &mut self.levels {
            let (boxes, classes) = (level.boxes.len() / batch, level.classes.len() / batch);
            let shares = level.boxes.chunks_exact_mut(boxes).zip(level.classes.chunks_exact_mut(classes));
            for (image, (boxes, classes)) in images.iter_mut().zip(shares) {
                image.boxes.push(boxes);
                image.classes.push(classes);
            }
        }
        images
    }
}

/// One image's maps, by level.
pub(super) struct ImageMaps<'a, T> {
    pub(super) points: &'a [Point],
    areas: Vec<usize>,
    boxes: Vec<&'a [T]>,
    pub(super) classes: Vec<&'a [T]>,
}

/// One image's share of the gradient, by level.
pub(super) struct ImageGradient<'a, T> {
    boxes: Vec<&'a mut [T]>,
    pub(super) classes: Vec<&'a mut [T]>,
}

/// The distribution over the distance to one side.
pub(super) struct BoxSide {
    /// Softmax of the bins.
    pub(super) probabilities: [f64; REG_MAX],
    /// Its expectation, in anchor points of the level.
    pub(super) distance: f64,
    logits: [f64; REG_MAX],
    log_sum: f64,
}

impl BoxSide {
    fn new(logits: [f64; REG_MAX]) -> Self {
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        let probabilities = logits.map(|logit| (logit - largest).exp() / sum);
        let distance = probabilities.iter().enumerate().map(|(bin, probability)| bin as f64 * probability).sum();
        Self { probabilities, distance, logits, log_sum: largest + sum.ln() }
    }

    /// Of a bin and the one after it.
    pub(super) fn log_probabilities(&self, bin: usize) -> [f64; 2] {
        [bin, bin + 1].map(|bin| self.logits[bin] - self.log_sum)
    }
}

impl<T: Real> ImageMaps<'_, T> {
    /// Level and place within it of a point.
    fn place(&self, mut point: usize) -> (usize, usize) {
        for (level, area) in self.areas.iter().enumerate() {
            if point < *area {
                return (level, point);
            }
            point -= area;
        }
        panic!("an anchor point of another head");
    }

    /// Level and place of a class logit.
    pub(super) fn class_at(&self, point: usize, class: usize) -> (usize, usize) {
        let (level, at) = self.place(point);
        (level, class * self.areas[level] + at)
    }

    /// Left, top, right, bottom.
    pub(super) fn sides(&self, point: usize) -> [BoxSide; 4] {
        let (level, at) = self.place(point);
        let (area, boxes) = (self.areas[level], self.boxes[level]);
        [0, 1, 2, 3]
            .map(|side| BoxSide::new(std::array::from_fn(|bin| boxes[(side * REG_MAX + bin) * area + at].wide())))
    }

    /// Probability of a class at a point, 0 to 1.
    pub(super) fn score(&self, point: usize, class: usize) -> f64 {
        let (level, at) = self.class_at(point, class);
        1.0 / (1.0 + (-self.classes[level][at].wide()).exp())
    }

    /// Corners of the box at a point, in pixels.
    pub(super) fn corners(&self, point: usize) -> [f64; 4] {
        let [left, top, right, bottom] = self.sides(point).map(|side| side.distance);
        let Point { centre: [x, y], stride } = self.points[point];
        [x - left * stride, y - top * stride, x + right * stride, y + bottom * stride]
    }
}

impl<T: Real> ImageGradient<'_, T> {
    /// Adds to the gradient of a bin.
    pub(super) fn add_box(&mut self, maps: &ImageMaps<'_, T>, (point, channel): (usize, usize), slope: f64) {
        let (level, at) = maps.place(point);
        let value = &mut self.boxes[level][channel * maps.areas[level] + at];
        *value = *value + T::of(slope);
    }
}

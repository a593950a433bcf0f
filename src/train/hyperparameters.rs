//! What a training run can be told about optimiser, loss and augmentation, under the names of the official `hyp` files.

use thiserror::Error;

use super::loss::Gains;
use crate::config::nearest_name;

/// Values that people tune. The defaults are those of the released recipe for training from random weights.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Hyperparameters {
    /// Learning rate at the start.
    pub lr0: f64,
    /// Learning rate at the end, as a share of the first.
    pub lrf: f64,
    /// Momentum of SGD, or β₁ of AdamW.
    pub momentum: f64,
    /// Decay of the weights of convolutions for a batch of 64.
    pub weight_decay: f64,
    /// Epochs of warm-up.
    pub warmup_epochs: f64,
    /// Momentum at its start.
    pub warmup_momentum: f64,
    /// Learning rate of biases at its start.
    pub warmup_bias_lr: f64,
    /// Gain of the box term of the loss.
    pub bbox: f64,
    /// Gain of the class term.
    pub cls: f64,
    /// Gain of the distribution focal loss.
    pub dfl: f64,
    /// Largest change of hue, as a share of the circle.
    pub hsv_h: f64,
    /// Largest relative change of saturation.
    pub hsv_s: f64,
    /// Largest relative change of value.
    pub hsv_v: f64,
    /// Largest rotation, in degrees.
    pub degrees: f64,
    /// Largest shift, as a share of the image.
    pub translate: f64,
    /// Largest relative change of size.
    pub scale: f64,
    /// Largest shear, in degrees.
    pub shear: f64,
    /// Probability of turning an image upside down.
    pub flipud: f64,
    /// Probability of mirroring an image.
    pub fliplr: f64,
    /// Probability of a mosaic of four images.
    pub mosaic: f64,
    /// Probability of mixing a mosaic with another one.
    pub mixup: f64,
}

/// A key of the file, the range of its values, and its field.
struct Key {
    name: &'static str,
    range: [f64; 2],
    field: fn(&mut Hyperparameters) -> &mut f64,
}

macro_rules! key {
    ($name:literal, $field:ident, $low:literal, $high:literal) => {
        Key { name: $name, range: [$low, $high], field: |hyp| &mut hyp.$field }
    };
}

const KEYS: &[Key] = &[
    key!("lr0", lr0, 0.0, 10.0),
    key!("lrf", lrf, 0.0, 10.0),
    key!("momentum", momentum, 0.0, 0.9999),
    key!("weight_decay", weight_decay, 0.0, 1.0),
    key!("warmup_epochs", warmup_epochs, 0.0, 1000.0),
    key!("warmup_momentum", warmup_momentum, 0.0, 0.9999),
    key!("warmup_bias_lr", warmup_bias_lr, 0.0, 10.0),
    key!("box", bbox, 0.0, 1000.0),
    key!("cls", cls, 0.0, 1000.0),
    key!("dfl", dfl, 0.0, 1000.0),
    key!("hsv_h", hsv_h, 0.0, 1.0),
    key!("hsv_s", hsv_s, 0.0, 1.0),
    key!("hsv_v", hsv_v, 0.0, 1.0),
    key!("degrees", degrees, 0.0, 180.0),
    key!("translate", translate, 0.0, 1.0),
    key!("scale", scale, 0.0, 0.99),
    key!("shear", shear, 0.0, 80.0),
    key!("flipud", flipud, 0.0, 1.0),
    key!("fliplr", fliplr, 0.0, 1.0),
    key!("mosaic", mosaic, 0.0, 1.0),
    key!("mixup", mixup, 0.0, 1.0),
];

/// Keys of official files that change nothing here unless they have another value than this.
const WITHOUT_EFFECT: &[(&str, f64)] =
    &[("cls_pw", 1.0), ("fl_gamma", 0.0), ("perspective", 0.0), ("label_smoothing", 0.0)];

/// Keys of official files that the loss of YOLOv9 does not use, or, `copy_paste`, that need outlines of objects.
const UNUSED: &[&str] = &["obj", "obj_pw", "iou_t", "anchor_t", "anchors", "copy_paste"];

/// Why a value cannot be taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HyperparameterError {
    /// No such key.
    #[error("{key}: no such hyperparameter{hint}")]
    Unknown {
        /// The key.
        key: String,
        /// What may have been meant.
        hint: String,
    },
    /// Out of range.
    #[error("{key}: {value} is not between {} and {}", range[0], range[1])]
    Range {
        /// The key.
        key: String,
        /// The value.
        value: f64,
        /// What is possible.
        range: [f64; 2],
    },
    /// Something that is not built here.
    #[error("{key}: {value} is not supported; only {only} is")]
    Unsupported {
        /// The key.
        key: String,
        /// The value.
        value: f64,
        /// The value that is.
        only: f64,
    },
}

impl Default for Hyperparameters {
    fn default() -> Self {
        Self {
            lr0: 0.01,
            lrf: 0.01,
            momentum: 0.937,
            weight_decay: 5e-4,
            warmup_epochs: 3.0,
            warmup_momentum: 0.8,
            warmup_bias_lr: 0.1,
            bbox: 7.5,
            cls: 0.5,
            dfl: 1.5,
            hsv_h: 0.015,
            hsv_s: 0.7,
            hsv_v: 0.4,
            degrees: 0.0,
            translate: 0.1,
            scale: 0.9,
            shear: 0.0,
            flipud: 0.0,
            fliplr: 0.5,
            mosaic: 1.0,
            mixup: 0.15,
        }
    }
}

impl Hyperparameters {
    /// Defaults for AdamW from trained weights: its steps have the length of the learning rate whatever the gradient is, so
    /// 0.01 would throw good weights away, and 0.1 in the warm-up of biases all the more. From random values that 0.1 helps.
    #[must_use]
    pub fn for_adam_w() -> Self {
        Self { lr0: 0.002, momentum: 0.9, warmup_bias_lr: 0.0, ..Self::default() }
    }

    /// Sets the value of a key of the official files. False if the key is known and changes nothing here.
    ///
    /// # Errors
    /// [`HyperparameterError`].
    pub fn set(&mut self, key: &str, value: f64) -> Result<bool, HyperparameterError> {
        if UNUSED.contains(&key) {
            return Ok(false);
        }
        if let Some((_, only)) = WITHOUT_EFFECT.iter().find(|(name, _)| *name == key) {
            return if value == *only {
                Ok(false)
            } else {
                Err(HyperparameterError::Unsupported { key: key.into(), value, only: *only })
            };
        }
        let Some(known) = KEYS.iter().find(|known| known.name == key) else {
            let nearest = nearest_name(key, KEYS.iter().map(|key| key.name));
            let hint = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            return Err(HyperparameterError::Unknown { key: key.into(), hint });
        };
        if !(known.range[0]..=known.range[1]).contains(&value) {
            return Err(HyperparameterError::Range { key: key.into(), value, range: known.range });
        }
        *(known.field)(self) = value;
        Ok(true)
    }

    /// All values by key.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, f64)> {
        let mut copy = self.clone();
        KEYS.iter().map(|key| (key.name, *(key.field)(&mut copy))).collect()
    }

    /// How much each term of the loss counts.
    #[must_use]
    pub fn gains(&self) -> Gains {
        Gains { bbox: self.bbox, class: self.cls, dfl: self.dfl }
    }

    /// Without anything random: each image as `detect` would see it.
    #[must_use]
    pub fn without_augmentation(mut self) -> Self {
        let random = [
            "hsv_h",
            "hsv_s",
            "hsv_v",
            "degrees",
            "translate",
            "scale",
            "shear",
            "flipud",
            "fliplr",
            "mosaic",
            "mixup",
        ];
        KEYS.iter().filter(|key| random.contains(&key.name)).for_each(|key| *(key.field)(&mut self) = 0.0);
        self
    }

    /// Whether an image looks the same in each epoch.
    #[must_use]
    pub fn is_without_augmentation(&self) -> bool {
        *self == self.clone().without_augmentation()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_official_files() {
        let mut hyp = Hyperparameters::default();
        assert!(hyp.set("lr0", 0.002).unwrap() && hyp.set("box", 5.0).unwrap());
        assert_eq!((hyp.lr0, hyp.bbox), (0.002, 5.0));
        for key in ["obj", "anchor_t", "copy_paste"] {
            assert!(!hyp.set(key, 0.3).unwrap(), "{key}");
        }
        assert!(!hyp.set("perspective", 0.0).unwrap());
        let says = |key: &str, value: f64| hyp.clone().set(key, value).unwrap_err().to_string();
        assert_eq!(says("perspective", 0.1), "perspective: 0.1 is not supported; only 0 is");
        assert_eq!(says("mosiac", 0.1), "mosiac: no such hyperparameter; did you mean `mosaic`?");
        assert_eq!(says("mixup", 1.5), "mixup: 1.5 is not between 0 and 1");
        assert!(says("lr0", f64::NAN).contains("NaN is not between"));
        assert!(!hyp.is_without_augmentation() && hyp.without_augmentation().is_without_augmentation());
    }
}

//! What a training run can be told about optimiser, loss and augmentation, under the names of the official `hyp` files.

use thiserror::Error;

use crate::config::{did_you_mean, nearest_name};

/// A key of the file, the range of its values, and its field.
struct Key {
    name: &'static str,
    range: [f64; 2],
    field: fn(&mut Hyperparameters) -> &mut f64,
}

/// Makes of each line a field, its default and its key.
macro_rules! hyperparameters {
    ($($(#[$doc:meta])* $field:ident $name:literal = $default:literal in $low:literal..=$high:literal,)*) => {
        /// Values that people tune. The defaults are those of the released recipe for training from random weights.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub struct Hyperparameters {
            $($(#[$doc])* pub $field: f64,)*
        }

        impl Default for Hyperparameters {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        const KEYS: &[Key] = &[$(Key { name: $name, range: [$low, $high], field: |hyp| &mut hyp.$field },)*];
    };
}

hyperparameters! {
    /// Learning rate at the start.
    lr0 "lr0" = 0.01 in 0.0..=10.0,
    /// Learning rate at the end, as a share of the first.
    lrf "lrf" = 0.01 in 0.0..=10.0,
    /// Momentum of SGD, or β₁ of AdamW.
    momentum "momentum" = 0.937 in 0.0..=0.9999,
    /// Decay of the weights of convolutions for a batch of 64.
    weight_decay "weight_decay" = 5e-4 in 0.0..=1.0,
    /// Epochs of warm-up.
    warmup_epochs "warmup_epochs" = 3.0 in 0.0..=1000.0,
    /// Momentum at its start.
    warmup_momentum "warmup_momentum" = 0.8 in 0.0..=0.9999,
    /// Learning rate of biases at its start.
    warmup_bias_lr "warmup_bias_lr" = 0.1 in 0.0..=10.0,
    /// Gain of the box term of the loss.
    bbox "box" = 7.5 in 0.0..=1000.0,
    /// Gain of the class term.
    cls "cls" = 0.5 in 0.0..=1000.0,
    /// Gain of the distribution focal loss.
    dfl "dfl" = 1.5 in 0.0..=1000.0,
    /// Largest change of hue, as a share of the circle.
    hsv_h "hsv_h" = 0.015 in 0.0..=1.0,
    /// Largest relative change of saturation.
    hsv_s "hsv_s" = 0.7 in 0.0..=1.0,
    /// Largest relative change of value.
    hsv_v "hsv_v" = 0.4 in 0.0..=1.0,
    /// Largest rotation, in degrees.
    degrees "degrees" = 0.0 in 0.0..=180.0,
    /// Largest shift, as a share of the image.
    translate "translate" = 0.1 in 0.0..=1.0,
    /// Largest relative change of size.
    scale "scale" = 0.9 in 0.0..=0.99,
    /// Largest shear, in degrees.
    shear "shear" = 0.0 in 0.0..=80.0,
    /// Probability of turning an image upside down.
    flipud "flipud" = 0.0 in 0.0..=1.0,
    /// Probability of mirroring an image.
    fliplr "fliplr" = 0.5 in 0.0..=1.0,
    /// Probability of a mosaic of four images.
    mosaic "mosaic" = 1.0 in 0.0..=1.0,
    /// Probability of mixing a mosaic with another one.
    mixup "mixup" = 0.15 in 0.0..=1.0,
}

/// From this key on they are about augmentation.
const FIRST_RANDOM: &str = "hsv_h";

/// Keys of official files that change nothing here unless they have another value than this.
const WITHOUT_EFFECT: &[(&str, f64)] =
    &[("cls_pw", 1.0), ("fl_gamma", 0.0), ("perspective", 0.0), ("label_smoothing", 0.0)];

/// Keys of official files that the loss of YOLOv9 does not use, or, `copy_paste`, that need outlines of objects.
const UNUSED: &[&str] = &["obj", "obj_pw", "iou_t", "anchor_t", "anchors", "copy_paste"];

/// Why a value cannot be taken, in words: no such key, out of range, or something that is not built here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct HyperparameterError(String);

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
        let refused = |reason: String| Err(HyperparameterError(format!("{key}: {reason}")));
        if UNUSED.contains(&key) {
            return Ok(false);
        }
        if let Some((_, only)) = WITHOUT_EFFECT.iter().find(|(name, _)| *name == key) {
            return if value == *only {
                Ok(false)
            } else {
                refused(format!("{value} is not supported; only {only} is"))
            };
        }
        let Some(known) = KEYS.iter().find(|known| known.name == key) else {
            let hint = did_you_mean(nearest_name(key, KEYS.iter().map(|key| key.name)));
            return refused(format!("no such hyperparameter{hint}"));
        };
        let [low, high] = known.range;
        if !(low..=high).contains(&value) {
            return refused(format!("{value} is not between {low} and {high}"));
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

    /// Without anything random: each image as `detect` would see it.
    #[must_use]
    pub fn without_augmentation(mut self) -> Self {
        let random = KEYS.iter().skip_while(|key| key.name != FIRST_RANDOM);
        random.for_each(|key| *(key.field)(&mut self) = 0.0);
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

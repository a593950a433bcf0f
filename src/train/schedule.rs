//! Learning rates, momentum and accumulation over the batches of a run, as the official code sets them.

use super::hyperparameters::Hyperparameters;
use super::optimiser::{Rule, StepSettings};

/// Shortest warm-up, in batches.
const SHORTEST_WARM_UP: f64 = 100.0;

/// How learning rates fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decay {
    /// In a straight line.
    Linear,
    /// Along half a cosine.
    Cosine,
}

/// The plan of a run.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Images in a batch.
    pub batch: usize,
    /// Gradients are summed until they are of that many images; 64 in the official code.
    pub nominal_batch: usize,
    /// Batches in an epoch.
    pub batches: usize,
    /// Epochs.
    pub epochs: usize,
    /// How learning rates fall.
    pub decay: Decay,
    /// The optimiser's rule: AdamW has no warm-up of its β₁.
    pub rule: Rule,
    /// Its values.
    pub hyperparameters: Hyperparameters,
}

impl Schedule {
    /// Batches of warm-up.
    fn warm_up(&self) -> f64 {
        let asked = (self.hyperparameters.warmup_epochs * self.batches as f64).round();
        if self.hyperparameters.warmup_epochs > 0.0 { asked.max(SHORTEST_WARM_UP) } else { 0.0 }
    }

    /// Batches to a step after the warm-up.
    #[must_use]
    pub fn batches_to_a_step(&self) -> f64 {
        (self.nominal_batch as f64 / self.batch as f64).round().max(1.0)
    }

    /// Share of the first learning rate in an epoch.
    fn factor(&self, epoch: usize) -> f64 {
        let (share, last) = (epoch as f64 / self.epochs as f64, self.hyperparameters.lrf);
        match self.decay {
            Decay::Linear => (1.0 - share) * (1.0 - last) + last,
            Decay::Cosine => (1.0 - (share * std::f64::consts::PI).cos()) / 2.0 * (last - 1.0) + 1.0,
        }
    }

    /// Batches whose gradients are summed for a step, at a batch counted from the beginning of the run.
    #[must_use]
    pub fn accumulate(&self, batch: usize) -> usize {
        let usual = self.batches_to_a_step();
        let warm_up = self.warm_up();
        if batch as f64 > warm_up || warm_up == 0.0 {
            return usual as usize;
        }
        (1.0 + (usual - 1.0) * batch as f64 / warm_up).round().max(1.0) as usize
    }

    /// Settings of a step at a batch counted from the beginning of the run.
    #[must_use]
    pub fn settings(&self, batch: usize) -> StepSettings {
        let hyp = &self.hyperparameters;
        let usual = self.batches_to_a_step();
        let learning_rate = hyp.lr0 * self.factor(batch / self.batches.max(1));
        let mut settings = StepSettings {
            learning_rate,
            bias_learning_rate: learning_rate,
            momentum: hyp.momentum,
            weight_decay: hyp.weight_decay * self.batch as f64 * usual / self.nominal_batch as f64,
        };
        let warm_up = self.warm_up();
        if warm_up > 0.0 && batch as f64 <= warm_up {
            let share = batch as f64 / warm_up;
            let between = |from: f64, to: f64| from + (to - from) * share;
            settings.learning_rate = between(0.0, learning_rate);
            settings.bias_learning_rate = between(hyp.warmup_bias_lr, learning_rate);
            if self.rule == Rule::Sgd {
                settings.momentum = between(hyp.warmup_momentum, hyp.momentum);
            }
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(batch: usize) -> Schedule {
        let hyperparameters = Hyperparameters::default();
        Schedule {
            batch,
            nominal_batch: 64,
            batches: 100,
            epochs: 10,
            decay: Decay::Linear,
            rule: Rule::Sgd,
            hyperparameters,
        }
    }

    #[test]
    fn warm_up_goes_from_nothing_to_the_plan() {
        let schedule = schedule(16);
        let first = schedule.settings(0);
        assert_eq!((first.learning_rate, first.bias_learning_rate, first.momentum), (0.0, 0.1, 0.8));
        assert_eq!((schedule.accumulate(0), schedule.accumulate(150), schedule.accumulate(301)), (1, 3, 4));
        let middle = schedule.settings(150);
        // In the second epoch: 0.01 · (0.9 · 0.99 + 0.01), of which half.
        assert!((middle.learning_rate - 0.00901 / 2.0).abs() < 1e-12, "{middle:?}");
        let after = schedule.settings(301);
        assert_eq!((after.learning_rate, after.momentum), (after.bias_learning_rate, 0.937));
        assert!((schedule.settings(999).learning_rate - 0.01 * (0.1 * 0.99 + 0.01)).abs() < 1e-12);
    }

    #[test]
    fn weight_decay_is_for_the_nominal_batch() {
        assert_eq!(schedule(16).settings(400).weight_decay, 5e-4);
        assert_eq!(schedule(128).settings(400).weight_decay, 1e-3);
    }

    #[test]
    fn a_cosine_ends_where_the_line_does() {
        let cosine = Schedule { decay: Decay::Cosine, ..schedule(16) };
        assert_eq!(cosine.factor(0), 1.0);
        assert!((cosine.factor(10) - 0.01).abs() < 1e-12 && (cosine.factor(5) - 0.505).abs() < 1e-12);
        let adam = Schedule { rule: Rule::AdamW, ..schedule(16) };
        assert_eq!(adam.settings(0).momentum, 0.937);
    }
}

//! What a run was started with: from the command line, or from its state when it goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use yolo9::dysample::Lift;
use yolo9::runtime::SessionOptions;
use yolo9::train::{Hyperparameters, Rule};
use yolo9::untrusted::{FileKind, read_text};

use super::digest::DataDigest;
use crate::cli::{OptimizerArg, TrainArgs};

/// Everything that decides about the weights, besides the data itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TrainSettings {
    /// What relative paths are relative to.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub(super) started_in: PathBuf,
    pub(super) data: PathBuf,
    pub(super) val_data: Option<PathBuf>,
    pub(super) images: Option<PathBuf>,
    pub(super) val_images: Option<PathBuf>,
    pub(super) weights: Option<String>,
    pub(super) config: Option<String>,
    pub(super) lift: Option<Lift>,
    pub(super) freeze: Option<String>,
    pub(super) train_only: Option<String>,
    pub(super) epochs: usize,
    pub(super) batch: usize,
    pub(super) nominal_batch: usize,
    pub(super) imgsz: usize,
    pub(super) optimizer: Rule,
    pub(super) cosine: bool,
    pub(super) close_mosaic: usize,
    pub(super) seed: u64,
    pub(super) device: String,
    /// The order of sums in burn may depend on it.
    pub(super) threads: usize,
    /// Of the images, once they have been read.
    pub(super) dataset: Option<DataDigest>,
    pub(super) hyp: BTreeMap<String, f64>,
}

impl TrainSettings {
    pub(super) fn of(args: &TrainArgs) -> anyhow::Result<Self> {
        let data = args.data.clone().context("--data is missing")?;
        anyhow::ensure!(
            args.weights.is_some() || args.config.is_some(),
            "nothing to train: name weights to start from with --weights, or a config to train from random values with --config"
        );
        let epochs = args.epochs as usize;
        let (optimizer, mut defaults) = match args.optimizer {
            OptimizerArg::Sgd => (Rule::Sgd, Hyperparameters::default()),
            OptimizerArg::AdamW => (Rule::AdamW, Hyperparameters::for_adam_w()),
        };
        // Random biases have to go far, and there is nothing to throw away.
        if args.weights.is_none() {
            defaults.warmup_bias_lr = Hyperparameters::default().warmup_bias_lr;
        }
        let mut hyp = hyperparameters(defaults, &args.hyp)?;
        if args.no_augmentation {
            hyp = hyp.without_augmentation();
        }
        Ok(Self {
            started_in: std::env::current_dir().unwrap_or_default(),
            data,
            val_data: args.val_data.clone(),
            images: args.images.clone(),
            val_images: args.val_images.clone(),
            weights: args.weights.clone(),
            config: args.config.clone(),
            lift: args.lift,
            freeze: args.freeze.clone(),
            train_only: args.train_only.clone(),
            epochs,
            batch: usize::from(args.batch),
            nominal_batch: usize::from(args.nominal_batch),
            imgsz: args.imgsz,
            optimizer,
            cosine: args.cosine,
            close_mosaic: args.close_mosaic.map_or(15.min(epochs / 5), |epochs| epochs as usize),
            seed: args.seed,
            device: args.device.clone(),
            threads: args.threads.map_or(SessionOptions::default().threads, usize::from),
            dataset: None,
            hyp: hyp.pairs().into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        })
    }

    pub(super) fn hyperparameters(&self) -> anyhow::Result<Hyperparameters> {
        let mut hyp = Hyperparameters::default();
        for (key, value) in &self.hyp {
            hyp.set(key, *value)?;
        }
        Ok(hyp)
    }

    /// From what a state holds: a file that somebody may have changed.
    pub(super) fn from_state(state: &Path, text: &str) -> anyhow::Result<Self> {
        let shown = state.display();
        let mut settings: Self =
            serde_json::from_str(text).with_context(|| format!("{shown}: its settings are damaged"))?;
        let in_range = (1..=100_000).contains(&settings.epochs)
            && (1..=1024).contains(&settings.batch)
            && (1..=1024).contains(&settings.nominal_batch)
            && (32..=4096).contains(&settings.imgsz)
            && (1..=1024).contains(&settings.threads);
        anyhow::ensure!(
            in_range,
            "{shown}: its settings are damaged: epochs, batch, imgsz or threads are out of range"
        );
        settings.hyperparameters().with_context(|| format!("{shown}: its settings are damaged"))?;
        if std::env::current_dir().is_ok_and(|here| here != settings.started_in) {
            let Self { started_in, data, val_data, images, val_images, .. } = &mut settings;
            let paths = [Some(data), val_data.as_mut(), images.as_mut(), val_images.as_mut()];
            paths.into_iter().flatten().for_each(|path| *path = started_in.join(&*path));
        }
        Ok(settings)
    }
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

/// Values of files and of single keys over the defaults, the later ones over the earlier.
fn hyperparameters(defaults: Hyperparameters, given: &[String]) -> anyhow::Result<Hyperparameters> {
    let mut hyp = defaults;
    for text in given {
        match text.split_once('=').filter(|_| !Path::new(text).exists()) {
            Some((key, value)) => {
                let value: f64 = value.parse().with_context(|| format!("--hyp {text}: `{value}` is not a number"))?;
                let used = hyp.set(key.trim(), value).with_context(|| format!("--hyp {text}"))?;
                if !used {
                    log::warn!("--hyp {text}: changes nothing here");
                }
            }
            None => from_file(&mut hyp, Path::new(text))?,
        }
    }
    Ok(hyp)
}

fn from_file(hyp: &mut Hyperparameters, path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let text = read_text(path, FileKind::Config).with_context(|| format!("--hyp {shown}: cannot be read"))?;
    let entries =
        yolo9::config::numbers_of_yaml(&text).map_err(|message| anyhow::anyhow!("--hyp {shown}: {message}"))?;
    let mut unused = Vec::new();
    for (key, value) in entries {
        if !hyp.set(&key, value).with_context(|| format!("--hyp {shown}"))? && value != 0.0 {
            unused.push(key);
        }
    }
    if !unused.is_empty() {
        log::info!("{shown}: {} change nothing here", unused.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_keys_are_taken_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hyp.yaml");
        std::fs::write(&file, "lr0: 0.02  # first\nmosaic: 0.5\ncopy_paste: 0.3\nanchor_t: 5.0\n").unwrap();
        let file = file.to_str().unwrap().to_owned();
        let hyperparameters = |given: &[String]| hyperparameters(Hyperparameters::default(), given);
        let hyp = hyperparameters(&[file.clone(), "lr0=0.001".into()]).unwrap();
        assert_eq!((hyp.lr0, hyp.mosaic), (0.001, 0.5));
        assert_eq!(hyperparameters(&["lr0=0.001".into(), file]).unwrap().lr0, 0.02);
        for (wrong, message) in
            [("lr0=x", "is not a number"), ("lr=1", "did you mean `lr"), ("none.yaml", "cannot be read")]
        {
            let error = format!("{:#}", hyperparameters(&[wrong.to_owned()]).unwrap_err());
            assert!(error.contains(message), "{wrong}: {error}");
        }
    }
}

//! The command: what is checked before a run, and what is said after it.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use yolo9::output::write_atomically;
use yolo9::runtime::Runtime;
use yolo9::runtime::library::LibraryOptions;
use yolo9::train::{Decay, Schedule, State, Trainer, TrainingSet, open_device};
use yolo9::untrusted::{FileKind, read};
use yolo9::{Model, Size};

use super::data::Data;
use super::digest::DataDigest;
use super::folder::{BEST, Folder, LAST, STATE};
use super::run::TrainingRun;
use super::settings::TrainSettings;
use super::{report, start};
use crate::cli::{Globals, TrainArgs};
use crate::console::say;
use crate::exit::ExitStatus;
use crate::interrupt::Interrupt;
use crate::overwrite::refuse_all;
use crate::report::counted;
use crate::run::places::RunFolder;

pub(crate) fn run(args: &TrainArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    // Before the state is read: another run may be writing it.
    let resumable = args.resume.clone().filter(|folder| folder.join(STATE).is_file());
    let resumed_folder = resumable.map(Folder::lock).transpose()?;
    let state = args.resume.as_deref().map(read_state).transpose()?;
    let mut settings = match (&state, &args.resume) {
        (Some(state), Some(folder)) => TrainSettings::from_state(&folder.join(STATE), &state.settings)?,
        _ => TrainSettings::of(args)?,
    };
    rayon::ThreadPoolBuilder::new().num_threads(settings.threads).build_global().context("threads for the network")?;
    let device = open_device(&settings.device).with_context(|| format!("--device {}", settings.device))?;
    let data = Data::open(&settings)?;
    data.check_validation()?;
    // Before the work: fetching may fail.
    let library = LibraryOptions::default().path(args.onnxruntime.clone()).offline(globals.offline);
    let runtime = Runtime::load(&library)?;
    let interrupt = Interrupt::install()?;
    let start = match &state {
        Some(_) => None,
        None => Some(start::open(&settings, &data.training.class_names, &device, globals)?),
    };
    let folder = resumed_folder.map_or_else(|| new_folder(args, &settings, &data), Ok)?;
    if let Some(state) = &state {
        check_resumable(&folder, state, &settings)?;
    }
    let cache = usize::try_from(args.cache.saturating_mul(1_000_000)).unwrap_or(usize::MAX);
    settings.imgsz = input_size(&settings, start.as_ref().map(|start| start.architecture.stride()));
    let Some(set) = data.training_set(settings.imgsz, cache, &interrupt, globals)? else {
        say!("Interrupted before the first batch");
        return Ok(ExitStatus::Interrupted);
    };
    let found = DataDigest::of(&set);
    found.compare(settings.dataset.as_ref());
    settings.dataset = Some(found);
    let schedule = schedule(&settings, &set)?;
    let trainer = match (state, start) {
        (Some(state), _) => resumed(state, schedule, &device, &data)?,
        (None, Some(start)) => Trainer::new(start, data.training.class_names.clone(), schedule),
        (None, None) => unreachable!("a run starts or goes on"),
    };
    let mut run = TrainingRun {
        settings: &settings,
        trainer,
        set,
        validation: data.validation,
        folder,
        runtime,
        interrupt,
        workers: usize::from(args.workers),
        save_every: Duration::from_secs(60 * u64::from(args.save_every)),
        globals,
        has_warned: false,
    };
    keep_features(&mut run, cache)?;
    if args.resume.is_none() {
        run.folder.clear()?;
        write_atomically(&run.folder.file("train.toml"), toml::to_string(&settings)?.as_bytes())?;
    }
    let status = run.train()?;
    if status == ExitStatus::Done {
        finish(&run)?;
    }
    Ok(status)
}

/// What frozen first layers make of the images is kept in what these leave of the cache.
fn keep_features(run: &mut TrainingRun<'_>, cache: usize) -> anyhow::Result<()> {
    let is_random = run.plan(run.settings.epochs - 1)?.augmentation.is_random();
    let layers = run.trainer.keep_features(cache.saturating_sub(run.set.cached_bytes()));
    let (layers, their) = match layers {
        0 => return Ok(()),
        1 => ("first layer is".to_owned(), "its"),
        layers => (format!("first {layers} layers are"), "their"),
    };
    if is_random {
        log::info!("The {layers} frozen; with --no-augmentation {their} feature maps would be computed once per image");
    } else {
        log::info!("The {layers} frozen: {their} feature maps are computed once per image, as far as --cache goes");
    }
    Ok(())
}

fn read_state(folder: &Path) -> anyhow::Result<State> {
    let path = folder.join(STATE);
    let bytes = read(&path, FileKind::Model).with_context(|| {
        format!(
            "--resume {}: {} cannot be read; a run that ended before it had saved anything is started again, with \
             --exist-ok",
            folder.display(),
            path.display()
        )
    })?;
    Ok(State::read(&path.display().to_string(), &bytes)?)
}

fn new_folder(args: &TrainArgs, settings: &TrainSettings, data: &Data) -> anyhow::Result<Folder> {
    let mut inputs = data.files();
    inputs.extend([Some(&settings.data), settings.val_data.as_ref()].into_iter().flatten().cloned());
    inputs.extend([&settings.weights, &settings.config].into_iter().flatten().map(Into::into));
    let out = args.out.as_deref().context("--out: expected the folder of the run")?;
    refuse_all(&inputs, &[], Some(out), args.exist_ok)?;
    let folder = RunFolder::create(out, args.exist_ok)?;
    Folder::lock(folder.path().to_path_buf())
}

/// What a resumed run will need at its end.
fn check_resumable(folder: &Folder, state: &State, settings: &TrainSettings) -> anyhow::Result<()> {
    let (best, progress) = (folder.file(BEST), state.progress());
    anyhow::ensure!(
        progress.best().is_none() || best.is_file(),
        "{}: it is missing, and no later epoch may be better; put it back, or start again",
        best.display()
    );
    if progress.epoch >= settings.epochs {
        log::info!("The run is complete after {}: only its report is made again", counted(settings.epochs, "epoch"));
    }
    Ok(())
}

/// The side of the input, a multiple of the stride.
fn input_size(settings: &TrainSettings, stride: Option<usize>) -> usize {
    let stride = stride.unwrap_or(32).max(1);
    let size = settings.imgsz.next_multiple_of(stride);
    if size != settings.imgsz {
        log::warn!("--imgsz {} is rounded up to {size}, a multiple of the stride {stride}", settings.imgsz);
    }
    size
}

fn schedule(settings: &TrainSettings, set: &TrainingSet) -> anyhow::Result<Schedule> {
    let batches = set.len().div_ceil(settings.batch);
    let schedule = Schedule {
        batch: settings.batch,
        nominal_batch: settings.nominal_batch,
        batches,
        epochs: settings.epochs,
        decay: if settings.cosine { Decay::Cosine } else { Decay::Linear },
        rule: settings.optimizer,
        hyperparameters: settings.hyperparameters()?,
    };
    let to_a_step = schedule.batches_to_a_step();
    if ((batches * settings.epochs) as f64) < 2.0 * to_a_step {
        log::warn!(
            "{} of {} make few steps of the optimiser: gradients are summed over {to_a_step} batches (--nominal-batch)",
            counted(batches * settings.epochs, "batch"),
            counted(settings.batch, "image"),
        );
    }
    Ok(schedule)
}

fn resumed(state: State, schedule: Schedule, device: &yolo9::train::Device, data: &Data) -> anyhow::Result<Trainer> {
    anyhow::ensure!(
        state.class_names() == data.training.class_names,
        "the dataset has other classes than when the run began: {} instead of {}",
        data.training.class_names.join(", "),
        state.class_names().join(", ")
    );
    let batches = schedule.batches;
    let progress = state.progress();
    anyhow::ensure!(
        progress.batch <= batches,
        "the dataset has fewer images than when the run began: an epoch has {batches} batches, {} are done",
        progress.batch
    );
    if progress.epoch < schedule.epochs {
        log::info!("Going on in epoch {}, after {} of it", progress.epoch + 1, counted(progress.batch, "batch"));
    }
    Ok(state.resume(schedule, device)?)
}

/// The report, and where everything is.
fn finish(run: &TrainingRun<'_>) -> anyhow::Result<()> {
    let best = run.folder.file(BEST);
    let model = Model::open(&best)?;
    let Some(evaluated) = run.evaluate(model)? else { return Ok(()) };
    report::write(run, &evaluated)?;
    if let Some(record) = run.trainer.progress().best()
        && let Some(scores) = record.scores
    {
        say!(
            "Best: epoch {}, mAP50 {:.3}, mAP50-95 {:.3}, at {}: {} ({}: {LAST})",
            record.epoch,
            scores.map50,
            scores.map,
            Size::square(run.settings.imgsz),
            best.display(),
            "of the last epoch"
        );
    }
    Ok(())
}

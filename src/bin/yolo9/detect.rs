//! `yolo9 detect`.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use yolo9::detect::{DetectorOptions, PostprocessOptions};
use yolo9::image::{ImageLimits, is_image_name};
use yolo9::output::{Header, Shard};
use yolo9::runtime::{OrtBackend, SessionOptions};
use yolo9::untrusted::printable;

use crate::cli::{DetectArgs, Globals};
use crate::console::{event, logs_json, say};
use crate::exit::ExitStatus;
use crate::interrupt::Interrupt;
use crate::report::{Report, counted};
use crate::run::feed::Feed;
use crate::run::guard;
use crate::run::images::{ImageStages, session};
use crate::run::journal::{Journal, Replay};
use crate::run::pipeline::{Flow, Limits, Pipeline};
use crate::run::places::{RUNS, RunFolder, sweep_below};
use crate::run::plan::{RunPlan, made_with};
use crate::run::recorder::{Recorder, begin};
use crate::run::sink::{Opening, Sinks, check_files};
use crate::run::sources::{self, Source};
use crate::weights::embedded_model;
use crate::{devices, model, objects, options};

pub(crate) fn run(args: &mut DetectArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    args.inputs.append(&mut args.source);
    if let Some(out) = args.output.out.as_deref().filter(|out| objects::address(out).is_some()) {
        anyhow::bail!(
            "--out {}: is in an object store; give a local folder, and write what goes there with --jsonl, --json, --csv or \
             --coco s3://…",
            out.display()
        );
    }
    let out = args.output.out.as_deref().unwrap_or(Path::new(RUNS));
    // A run that can be resumed or divided has no videos, whose frames are not counted before they come.
    let videos = !args.resume && args.shard == Shard::WHOLE;
    let options =
        sources::Options { recursive: args.recursive, videos, listings: true, out, offline: globals.is_offline() };
    let mut sources = sources::expand(&args.inputs, options);
    if args.inputs.is_empty() {
        sources.images.push(Source::sample());
    }
    if sources.images.is_empty() {
        return Ok(no_input(args, &sources.failed));
    }
    let plan = RunPlan::new(sources, args.output.has_named_files(), args.shard);
    refuse_uncounted(args, &plan)?;
    let ready = Ready::new(args, globals, &plan)?;
    let header = plan.header(args, globals, (&ready.detector, ready.limits, &ready.session), &ready.class_names)?;
    // Places for results before the first image, so that a wrong path costs no work; and after everything else that can go
    // wrong, so that a run that cannot start leaves no folder.
    check_files(&args.output.formats, args.output.out.as_deref(), args.output.exist_ok || args.resume)?;
    guard::check(args, &plan)?;
    let mut report = Report::new(plan.images.len() + plan.unusable.len(), globals.quiet);
    let mut outputs = Outputs::create(args, &plan)?;
    // Until here Ctrl-C ends the program at once: there is nothing to finish.
    let interrupt = Interrupt::install()?;
    plan.unusable.iter().for_each(|(input, reason)| report.failure(input, reason));
    let replay = outputs.begin(header.as_ref(), &plan, args)?;
    let PostprocessOptions { confidence_threshold, nms, .. } = &ready.detector.postprocess;
    let model = header.as_ref().map_or(&args.model.weights, |header| &header.model);
    let rows = report.leaves_stdout() && !args.output.formats.on_stdout();
    let opening = Opening {
        folder: outputs.folder.as_ref(),
        class_names: &ready.class_names,
        made_with: made_with(model, *confidence_threshold, nms.iou_threshold),
        interrupt: Some(&interrupt),
        rows,
        journal: outputs.journal.take(),
        owns_folder: outputs.owned,
        unusable: &plan.unusable,
    };
    let sinks = Sinks::open(&args.output, opening).inspect_err(|_| {
        outputs.leave();
    })?;
    let class_names = Arc::clone(&ready.class_names);
    let mut recorder = Recorder { sinks, report, replay, class_names, interrupt };
    let ended = process(&mut recorder, ready, plan, args);
    complete(recorder, ended, &outputs, args, globals)
}

/// Everything that a run needs besides its inputs and outputs.
struct Ready {
    backends: Vec<OrtBackend>,
    /// Of which each session is a share.
    session: SessionOptions,
    detector: DetectorOptions,
    class_names: Arc<[String]>,
    workers: usize,
    limits: ImageLimits,
}

impl Ready {
    fn new(args: &DetectArgs, globals: &Globals, plan: &RunPlan) -> anyhow::Result<Self> {
        let model = model::load(&args.model, globals)?;
        model::introduce(&args.model.weights);
        let letterbox = options::letterbox(&args.input, &model)?;
        devices::warn_of_shapes(&args.runtime, &letterbox);
        if let Some(fixed) = model.fixed_batch().filter(|fixed| args.batch > 1 && *fixed != usize::from(args.batch)) {
            log::warn!(
                "--batch {}: {} was exported for {} in a run, and is run so; export it with --dynamic batch",
                args.batch,
                args.model.weights,
                counted(fixed, "image")
            );
        }
        let postprocess = options::postprocess(&args.thresholds, options::preset(&args.input).postprocess(), &model)?;
        let class_names = model.class_names().into();
        let runtime = devices::runtime(&args.runtime, globals)?;
        log::debug!("ONNX Runtime: {}", runtime.library().path.display());
        let all = options::session(&args.runtime);
        let threads = all.threads;
        let count = args.sessions.map_or_else(|| options::session_count(&all), usize::from).min(plan.at_least());
        // Beside a single image there is nothing else to do.
        let spinning = all.spinning && plan.at_least() == 1;
        let each = options::shared_session(all.clone(), count).spinning(spinning);
        let backends = model.into_sessions(&runtime, &each, count)?;
        let workers = args.workers.map_or(threads, usize::from);
        let limits = options::image_limits(&args.input, workers);
        let detector = DetectorOptions::new(letterbox, postprocess);
        // As it ran, for the journal: a device may have been replaced by the CPU.
        let session = all.device(backends[0].device()).precision(Some(backends[0].precision()));
        Ok(Self { backends, session, detector, class_names, workers, limits })
    }
}

/// Takes all images through the network and into the outputs. Gives whether the run was interrupted.
fn process(recorder: &mut Recorder, ready: Ready, plan: RunPlan, args: &DetectArgs) -> anyhow::Result<bool> {
    let Ready { backends, detector, class_names, workers, limits, .. } = ready;
    let stages = ImageStages { limits, letterbox: detector.letterbox, class_names, writers: recorder.sinks.writers() };
    let sessions = backends.into_iter().map(|backend| session(backend, detector.clone())).collect();
    let bounds = Limits { workers, batch: args.batch.into(), memory: limits.max_bytes };
    let mut pipeline = Pipeline::new(stages, sessions, bounds)?;
    let done = recorder.replay.as_ref().map(Replay::indices).unwrap_or_default();
    let missing = plan.images.iter().find(|planned| done.binary_search(&planned.index).is_err());
    recorder.replay_before(missing.map(|planned| planned.index))?;
    recorder.report.begin();
    let interrupt = recorder.interrupt.clone();
    let feed = Feed::new(plan.images, done, limits, args.vid_stride, interrupt.clone());
    pipeline.run(
        feed,
        || interrupt.requested(),
        args.fail_fast,
        |flow| {
            match flow {
                Flow::Image(done) => recorder.image(done)?,
                Flow::Event(event) => recorder.video(&event)?,
            }
            let stop = args.fail_fast && recorder.report.failed() > 0;
            Ok(if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        },
    )
}

/// Also after an error: what was detected so far stays readable.
fn complete(
    mut recorder: Recorder,
    ended: anyhow::Result<bool>,
    outputs: &Outputs,
    args: &DetectArgs,
    globals: &Globals,
) -> anyhow::Result<ExitStatus> {
    let replayed = recorder.replay_before(None);
    let Recorder { sinks, report, .. } = recorder;
    report.finish(ended.as_ref().is_ok_and(|interrupted| *interrupted));
    if let (true, left @ 1..) = (args.fail_fast && report.failed() > 0, report.left()) {
        say!("Stopped at the first failure (--fail-fast): {} not processed", counted(left, "input"));
    }
    let finished = sinks.finish();
    let interrupted = ended?;
    if let Some(folder) = outputs.folder.as_ref().filter(|_| interrupted && outputs.resumable && !logs_json()) {
        say!("Continue with --resume --out {}", printable(&folder.path().display().to_string()));
    }
    replayed?;
    let lines = finished?;
    let succeeded = report.succeeded();
    let without_result = succeeded == 0 && !interrupted && args.shard == Shard::WHOLE;
    // What was listed meanwhile had no images.
    let without_input = without_result && report.failed() == 0 && !args.resume;
    if let Some(folder) = &outputs.folder {
        if (without_input || without_result && report.failed() > 0) && outputs.leave() {
            log::debug!("{}: nothing to keep", folder.path().display());
        } else if !globals.quiet {
            say!("Results saved to {}", folder.path().display());
            lines.iter().for_each(|line| say!("{line}"));
        }
    }
    if succeeded > 0 && report.detections == 0 && !globals.quiet && !logs_json() {
        say!("Nothing was detected.{}", hint(args));
    }
    if without_input {
        return Ok(no_input(args, &[]));
    }
    Ok(match (interrupted, report.failed()) {
        (true, _) => ExitStatus::Interrupted,
        (false, 0) => ExitStatus::Done,
        (false, _) => ExitStatus::SomeFailed,
    })
}

/// What to try when nothing was detected.
fn hint(args: &DetectArgs) -> String {
    let threshold = match args.thresholds.classes {
        Some(_) => " A lower --conf, or other --classes, may find more.",
        None => " A lower --conf may find more.",
    };
    match embedded_model(&args.model.weights) {
        Some(model) => format!(
            "{threshold} The embedded model {} detects {} only: for other objects give --weights FILE or a name of `yolo9 models`.",
            model.name, model.detects
        ),
        None => threshold.into(),
    }
}

/// The folder of a run and its journal.
struct Outputs {
    folder: Option<RunFolder>,
    journal: Option<Journal>,
    /// Whether a journal is kept.
    resumable: bool,
    /// Whether no other run writes into the folder.
    owned: bool,
    /// Whether the folder is this run's alone: there was nothing in it.
    fresh: bool,
}

impl Outputs {
    fn create(args: &DetectArgs, plan: &RunPlan) -> anyhow::Result<Self> {
        let output = &args.output;
        let exist_ok = output.exist_ok || args.resume;
        let is_mp4 = |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mp4"));
        let is_file_name = |out: &&Path| !out.is_dir() && (is_image_name(out) || is_mp4(out));
        if let Some(out) = output.out.as_deref().filter(is_file_name) {
            log::warn!("--out {}: is taken for a folder, in which the results get their own names", out.display());
        }
        let create = || match &output.out {
            Some(out) => RunFolder::create(out, exist_ok),
            None => {
                // Only a folder that was asked for may be written into again.
                let exist_ok = exist_ok && (output.project.is_some() || output.name.is_some());
                let project = output.project.as_deref().unwrap_or(Path::new(RUNS));
                RunFolder::numbered(project, output.name.as_deref().unwrap_or(Path::new("exp")), exist_ok)
            }
        };
        let folder = (output.needs_folder() || output.name.is_some()).then(create).transpose()?;
        let keeps_journal = folder.as_ref().filter(|_| plan.uncounted().is_none());
        let journal = keeps_journal.map(|folder| Journal::lock(folder.path())).transpose()?.flatten();
        if let (Some(folder), None) = (keeps_journal, &journal) {
            let folder = folder.path().display();
            anyhow::ensure!(!args.resume, "{folder}: another run is writing into this folder");
            // Several runs with --exist-ok may share a folder; one journal cannot tell of all of them.
            log::warn!("{folder}: another run is writing into this folder; this one cannot be continued by --resume");
        }
        // Before files of this run's own are begun.
        if let Some(folder) = folder.as_ref().filter(|_| args.resume) {
            sweep_below(folder.path(), usize::MAX);
        }
        let resumable = journal.is_some();
        let owned = resumable || plan.uncounted().is_some();
        Ok(Self { folder, journal, resumable, owned, fresh: !exist_ok })
    }

    /// Begins the journal, or resumes it.
    fn begin(&mut self, header: Option<&Header>, plan: &RunPlan, args: &DetectArgs) -> anyhow::Result<Option<Replay>> {
        let folder = self.folder.as_ref().map(|folder| folder.path().to_path_buf()).unwrap_or_default();
        match (&mut self.journal, header) {
            (Some(journal), Some(header)) => begin(journal, header, plan, args, &folder),
            _ => Ok(None),
        }
    }

    /// Deletes a folder in which nothing is worth keeping, since it would stop the next run. Gives whether it is gone.
    fn leave(&self) -> bool {
        self.fresh && self.folder.as_ref().is_some_and(RunFolder::remove_if_empty)
    }
}

fn refuse_uncounted(args: &DetectArgs, plan: &RunPlan) -> anyhow::Result<()> {
    let Some(uncounted) = plan.uncounted() else { return Ok(()) };
    let option = if args.resume { "--resume" } else { "--shard" };
    let (name, is_listing) = (uncounted.source.name(), uncounted.source.listing().is_some());
    anyhow::ensure!(
        !args.resume && args.shard == Shard::WHOLE,
        "{option}: {name} is {}",
        if is_listing {
            "listed while the run goes on; write the addresses of its objects into a .txt list and give that"
        } else {
            "a video, which is processed as a whole; give it to a run of its own"
        }
    );
    if plan.images.len() > 1 || is_listing {
        log::debug!("{name}: its images are not counted before they come, so this run cannot be continued by --resume");
    }
    Ok(())
}

fn no_input(args: &DetectArgs, failed: &[(String, String)]) -> ExitStatus {
    for (image, reason) in failed {
        if logs_json() {
            event("error", "failure", json!({ "image": image, "message": reason }));
        } else {
            say!("error: {}: {reason}", printable(image));
        }
    }
    if !failed.is_empty() {
        return ExitStatus::NoInput;
    }
    let inputs: Vec<_> = args.inputs.iter().map(|input| input.display().to_string()).collect();
    let has_folder = args.inputs.iter().any(|input| input.is_dir());
    let hint = if has_folder && !args.recursive { "; --recursive descends into subfolders" } else { "" };
    say!("error: no image found in {}{hint}", inputs.join(", "));
    ExitStatus::NoInput
}

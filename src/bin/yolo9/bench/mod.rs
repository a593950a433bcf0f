//! `yolo9 bench`: how long each stage of a detection takes, and how much longer or shorter other networks and devices take.

mod layers;
mod table;

use std::time::{Duration, Instant};

use anyhow::Context;
use layers::Profile;
use serde_json::{Map, Value, json};
use yolo9::detect::{DetectorOptions, Engine, Prepared};
use yolo9::embedded;
use yolo9::image::{Image, Letterbox};
use yolo9::output::{AnnotateOptions, ImageResult, annotate, encode_image};
use yolo9::runtime::{OrtBackend, Runtime, RuntimeError, SessionOptions};
use yolo9::untrusted::{FileKind, read};
use yolo9::{Model, Size};

use crate::cli::{BenchArgs, Globals, ModelArgs};
use crate::console::print_line;
use crate::devices::Execution;
use crate::exit::ExitStatus;
use crate::logging::quietly;
use crate::model::{is_config, load_or_random};
use crate::report::counted;
use crate::statistics::Spread;
use crate::weights::file_bytes;
use crate::{devices, options};

/// The stages of a detection, in order.
const STAGES: [&str; 6] = ["decode", "letterbox", "inference", "decode boxes, NMS", "draw", "encode"];

/// Least length of a round of throughput: a single run says little.
const LEAST_ROUND: Duration = Duration::from_millis(400);

pub(crate) fn run(args: &BenchArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    let bytes = match &args.image {
        Some(path) => read(path, FileKind::Image).with_context(|| format!("{} cannot be read", path.display()))?,
        None => embedded::SAMPLE_IMAGE.to_vec(),
    };
    let image = Image::decode(&bytes, &options::image_limits(&args.input, 1)).context("the image cannot be used")?;
    let runtimes = args.runtimes();
    let is_table = runtimes.len() > 1 || args.vs.len() > 1;
    let one_only = [("--layers", args.layers), ("--sweep", !args.sweep.is_empty()), ("--batch", args.batch.is_some())];
    if let Some((option, _)) = one_only.into_iter().find(|(_, given)| *given && is_table) {
        anyhow::bail!("{option}: measures one model on one device; leave it out of a table");
    }
    // What one of several devices cannot do is a row.
    let usable = runtimes.iter().filter(|options| runtimes.len() == 1 || table::unusable(options).is_none());
    let used: Vec<_> = usable.map(devices::computed).collect();
    let runtime = devices::runtime_for(&runtimes[0], globals, &used)?;
    // All of them first, so that a wrong name costs no work.
    let open = |name: &String| Contender::open(name, args, (&image, &runtime), globals);
    let networks = std::iter::once(&args.model).chain(&args.vs).map(open).collect::<anyhow::Result<Vec<_>>>()?;
    networks.iter().try_for_each(|network| refuse_unlike(args, [networks[0].input(), network.input()]))?;
    refuse_batch(args, &networks[0])?;
    let table = || table::report(args, &networks, &runtimes, globals);
    let report = if is_table {
        table()?
    } else {
        let mut report =
            Bench { args, network: &networks[0], session: options::session(&runtimes[0]) }.report(&bytes)?;
        if !args.vs.is_empty() {
            if !args.json {
                print_line!("");
            }
            report["vs"] = table()?;
        }
        report
    };
    if args.json {
        print_line!("{report:#}");
    }
    Ok(ExitStatus::Done)
}

/// A file of a fixed batch runs so whatever it is given: what would be measured is not what was asked for.
fn refuse_batch(args: &BenchArgs, network: &Contender<'_>) -> anyhow::Result<()> {
    if let (Some(asked), Some(fixed)) = (args.batch, network.model.fixed_batch()) {
        anyhow::ensure!(
            fixed == usize::from(asked),
            "--batch {asked}: {} was exported for {} in a run; export it with --dynamic batch, or with --batch {asked}",
            args.model,
            counted(fixed, "image")
        );
    }
    Ok(())
}

/// A ratio of times of unlike inputs says nothing about networks.
fn refuse_unlike(args: &BenchArgs, [(a, batch_a), (b, batch_b)]: [(Size, usize); 2]) -> anyhow::Result<()> {
    anyhow::ensure!(
        a == b || args.different_sizes,
        "--vs: the inputs differ, A reads {a} and B {b} (width x height): a ratio of their times says nothing about the networks; \
         give both one size (--imgsz, and --square beside an export of fixed size), or ask for it with --different-sizes"
    );
    anyhow::ensure!(
        batch_a == batch_b,
        "--vs: A computes {} in a run and B {}, whatever they are given: export the file with --batch 1",
        counted(batch_a, "image"),
        counted(batch_b, "image")
    );
    Ok(())
}

fn print_stages(
    args: &BenchArgs,
    (threads, execution): (usize, &Execution),
    input: Size,
    stages: &[(&str, Spread)],
) -> anyhow::Result<()> {
    let threads = counted(threads, "thread");
    print_line!("{}: input {}x{}, {threads}, {} runs, {execution}", args.model, input.height, input.width, args.runs);
    print_line!("{:<18} {:>12}   interquartile range", "stage", "median");
    for (stage, spread) in stages {
        print_line!("{stage:<18} {:>9.2} ms   {}", spread.median, spread.range());
    }
    let total: f64 = stages.iter().map(|(_, spread)| spread.median).sum();
    print_line!("{:<18} {total:>9.2} ms", "one after the other");
    Ok(())
}

/// A network that is measured, and on what.
struct Contender<'a> {
    name: ModelArgs,
    model: Model,
    /// Of its file; nothing for a config.
    file_bytes: Option<u64>,
    detector: DetectorOptions,
    image: &'a Image,
    runtime: &'a Runtime,
}

impl<'a> Contender<'a> {
    /// With its weights, or random ones for a config.
    fn open(
        name: &str,
        args: &BenchArgs,
        (image, runtime): (&'a Image, &'a Runtime),
        globals: &Globals,
    ) -> anyhow::Result<Self> {
        let name = ModelArgs::of(name);
        let model = load_or_random(&name, globals)?;
        let file_bytes = (!is_config(&name.weights)).then(|| file_bytes(&name.weights, globals)).transpose()?;
        let letterbox = options::letterbox(&args.input, &model)?;
        let detector = DetectorOptions::new(letterbox, options::preset(&args.input).postprocess());
        Ok(Self { name, model, file_bytes, detector, image, runtime })
    }

    /// What it reads, and images of a run.
    fn input(&self) -> (Size, usize) {
        let letterbox = Letterbox::new(self.image.size(), &self.detector.letterbox);
        (letterbox.input, self.model.fixed_batch().unwrap_or(1))
    }

    /// The same network that many times.
    fn runners(&self, session: &SessionOptions, count: usize) -> Result<Vec<Runner>, RuntimeError> {
        let runner = |backend| Runner {
            engine: Engine::new(backend, self.detector.clone()),
            prepared: Prepared::new(&self.image.pixels, &self.detector.letterbox),
        };
        Ok(self.model.clone().into_sessions(self.runtime, session, count)?.into_iter().map(runner).collect())
    }
}

/// A session with its input.
struct Runner {
    engine: Engine<OrtBackend>,
    prepared: Prepared,
}

impl Runner {
    fn inference(&mut self) -> anyhow::Result<Duration> {
        Ok(self.engine.detect_prepared(&self.prepared)?.timing.inference)
    }
}

/// Images per second of sessions that run at the same time, for that many runs of a batch of the image at least.
fn rate(runners: &mut [Runner], runs: usize, batch: usize) -> anyhow::Result<f64> {
    let start = Instant::now();
    let images = std::thread::scope(|scope| {
        let repeat = |Runner { engine, prepared }: &mut Runner| -> anyhow::Result<usize> {
            let images = vec![&*prepared; batch];
            let mut done = 0;
            while done < runs || start.elapsed() < LEAST_ROUND {
                engine.detect_batch(&images)?;
                done += 1;
            }
            Ok(done * batch)
        };
        let threads: Vec<_> = runners.iter_mut().map(|runner| scope.spawn(move || repeat(runner))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("inference does not panic"))
            .sum::<anyhow::Result<usize>>()
    })?;
    Ok(images as f64 / start.elapsed().as_secs_f64())
}

/// All about one network on one device.
struct Bench<'a> {
    args: &'a BenchArgs,
    network: &'a Contender<'a>,
    session: SessionOptions,
}

impl Bench<'_> {
    /// What is measured of it, which is printed on the way unless it is for programs.
    fn report(&self, bytes: &[u8]) -> anyhow::Result<Value> {
        let Self { args, network, session } = self;
        let Runner { mut engine, prepared } = network.runners(session, 1)?.remove(0);
        let stages = self.stages(&mut engine, bytes)?;
        let execution = Execution::of(engine.backend(), network.runtime);
        // Threads that spin would take the cores from what is measured next.
        drop(engine);
        let mut report = json!({
            "model": args.model,
            "threads": session.threads,
            "execution": execution.json(),
            "runs": args.runs,
            "input": [prepared.size().height, prepared.size().width],
            "stages": stages.iter().map(|(stage, spread)| ((*stage).to_owned(), json!(spread))).collect::<Map<_, _>>(),
        });
        if !args.json {
            print_stages(args, (session.threads, &execution), prepared.size(), &stages)?;
        }
        report["throughput"] = quietly(|| self.throughput())?;
        if args.layers {
            let model = network.model.clone();
            let profile = Profile::measure(model, network.runtime, session, prepared.tensor(), args.runs)?;
            if !args.json {
                profile.print()?;
            }
            report["profile"] = profile.json();
        }
        if !args.sweep.is_empty() {
            report["sweep"] = quietly(|| self.sweep())?;
        }
        Ok(report)
    }

    /// Images per second of inference alone: in one session with all threads, in as many sessions as `yolo9 detect` has by
    /// default, and, if asked for, the latter with batches.
    fn throughput(&self) -> anyhow::Result<Value> {
        let count = options::session_count(&self.session);
        let mut variants = vec![(1, 1), (count, 1)];
        variants.dedup();
        variants.extend(self.args.batch.map(|batch| (count, usize::from(batch))));
        variants.iter().map(|(count, batch)| self.rate(*count, *batch)).collect()
    }

    fn rate(&self, count: usize, batch: usize) -> anyhow::Result<Value> {
        let runs = self.args.runs as usize;
        let each = options::shared_session(self.session.clone(), count);
        let mut runners = self.network.runners(&each, count)?;
        // To warm up.
        rate(&mut runners, runs / 5, batch)?;
        let rate = rate(&mut runners, runs, batch)?;
        let threads = each.threads;
        if !self.args.json {
            let batches = if batch > 1 { format!(", batch {batch}") } else { String::new() };
            let what = format!("inference alone, {} with --threads {threads}{batches}", counted(count, "session"));
            print_line!("{what}: {rate:.1} images per second");
        }
        let shape = runners[0].engine.backend().last_input_shape();
        Ok(json!({ "sessions": count, "threads": threads, "input": shape, "images_per_second": rate }))
    }

    fn sweep(&self) -> anyhow::Result<Value> {
        let args = self.args;
        if !args.json {
            print_line!("\n{:>8} {:>12}   interquartile range of inference", "threads", "median");
        }
        let mut spreads = Map::new();
        for threads in &args.sweep {
            let session = self.session.clone().threads(usize::from(*threads));
            let mut runner = self.network.runners(&session, 1)?.remove(0);
            let spread = Spread::of_times(&warmed_up(args.runs, || runner.inference())?);
            if !args.json {
                print_line!("{threads:>8} {:>9.2} ms   {}", spread.median, spread.range());
            }
            spreads.insert(threads.to_string(), json!(spread));
        }
        Ok(spreads.into())
    }

    /// Times of all stages over a number of runs, after some that do not count.
    fn stages(&self, engine: &mut Engine<OrtBackend>, bytes: &[u8]) -> anyhow::Result<Vec<(&'static str, Spread)>> {
        let limits = options::image_limits(&self.args.input, 1);
        let mut times: [Vec<Duration>; STAGES.len()] = Default::default();
        let measured = warmed_up(self.args.runs, || {
            let start = Instant::now();
            let image = Image::decode(bytes, &limits)?;
            let decoded = start.elapsed();
            let prepared = Prepared::new(&image.pixels, &self.network.detector.letterbox);
            let found = engine.detect_prepared(&prepared)?;
            let result = ImageResult::new("", &found, self.network.model.class_names());
            let mut pixels = image.pixels.clone();
            let start = Instant::now();
            annotate(&mut pixels, &result, &AnnotateOptions::default());
            let drawn = start.elapsed();
            encode_image(&pixels, image.format)?;
            let encoded = start.elapsed() - drawn;
            let timing = found.timing;
            Ok([decoded, timing.preprocess, timing.inference, timing.postprocess, drawn, encoded])
        })?;
        for run in measured {
            times.iter_mut().zip(run).for_each(|(times, time)| times.push(time));
        }
        Ok(STAGES.into_iter().zip(times.iter().map(|times| Spread::of_times(times))).collect())
    }
}

/// What `measure` gives in each of `runs` runs, after a fifth as many that do not count.
fn warmed_up<T>(runs: u32, mut measure: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
    for _ in 0..runs / 5 {
        measure()?;
    }
    (0..runs).map(|_| measure()).collect()
}

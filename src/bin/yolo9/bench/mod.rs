//! `yolo9 bench`: how long each stage of a detection takes, and how much longer or shorter another network takes.

mod layers;
mod table;

use std::time::{Duration, Instant};

use anyhow::Context;
use layers::Profile;
use serde_json::{Map, Value, json};
use yolo9::detect::{DetectorOptions, Engine, Prepared};
use yolo9::embedded;
use yolo9::image::{Image, ImageLimits, Letterbox};
use yolo9::output::{AnnotateOptions, ImageResult, annotate, encode_image};
use yolo9::runtime::{OrtBackend, Runtime, SessionOptions};
use yolo9::untrusted::{FileKind, read};
use yolo9::{Model, Size};

use crate::cli::{BenchArgs, Globals, ModelArgs, RuntimeArgs};
use crate::console::print_line;
use crate::devices::Execution;
use crate::exit::ExitStatus;
use crate::logging::quietly;
use crate::model::load_or_random;
use crate::report::counted;
use crate::statistics::{Interleaved, Spread, interleaved, is_first, run_interleaved};
use crate::{devices, options};

/// The stages of a detection, in order.
const STAGES: [&str; 6] = ["decode", "letterbox", "inference", "decode boxes, NMS", "draw", "encode"];

/// What a bench has in common.
struct Bench<'a> {
    args: &'a BenchArgs,
    /// Its one device and precision.
    options: &'a RuntimeArgs,
    globals: &'a Globals,
    runtime: Runtime,
}

pub(crate) fn run(args: &BenchArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    let bytes = match &args.image {
        Some(path) => read(path, FileKind::Image).with_context(|| format!("{} cannot be read", path.display()))?,
        None => embedded::SAMPLE_IMAGE.to_vec(),
    };
    let image = Image::decode(&bytes, &options::image_limits(&args.input, 1)).context("the image cannot be used")?;
    let runtimes = args.runtimes();
    let options = &runtimes[0];
    if runtimes.len() > 1 || args.vs.len() > 1 {
        return table::run(args, &runtimes, &image, globals);
    }
    let runtime = devices::runtime(options, globals)?;
    let bench = Bench { args, options, globals, runtime };
    let session = bench.session();
    let mut subject = bench.subject(&args.model, &session)?;
    // Opened early, so that a wrong name costs no work.
    let opened = |name: &String| bench.subject(name, &options::compared_session(options));
    let opponent = args.vs.first().map(opened).transpose()?;
    let prepared = Prepared::new(&image.pixels, &subject.engine.options().letterbox);
    if let Some(opponent) = &opponent {
        let theirs = Letterbox::new(image.size(), &opponent.engine.options().letterbox).input;
        let of = |engine: &Engine<OrtBackend>| engine.backend().fixed_batch().unwrap_or(1);
        let inputs = [(prepared.size(), of(&subject.engine)), (theirs, of(&opponent.engine))];
        refuse_unlike(args, inputs)?;
    }
    refuse_batch(args, subject.engine.backend())?;
    let stages = subject.stages(&bytes, args.runs)?;
    let execution = Execution::of(subject.engine.backend(), &bench.runtime);
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
    report["throughput"] = quietly(|| bench.throughput(&prepared))?;
    if let (Some(other), Some(opponent)) = (args.vs.first(), opponent) {
        let first = quietly(|| opened(&args.model))?;
        report["vs"] = bench.versus([first, opponent], &image, other)?;
    }
    if args.layers {
        let model = quietly(|| bench.load(&args.model))?;
        let profile = Profile::measure(model, &bench.runtime, &session, prepared.tensor(), args.runs)?;
        if !args.json {
            profile.print()?;
        }
        report["profile"] = profile.json();
    }
    if !args.sweep.is_empty() {
        report["sweep"] = quietly(|| bench.sweep(&prepared))?;
    }
    if args.json {
        print_line!("{report:#}");
    }
    Ok(ExitStatus::Done)
}

/// A file of a fixed batch runs so whatever it is given: what would be measured is not what was asked for.
fn refuse_batch(args: &BenchArgs, backend: &OrtBackend) -> anyhow::Result<()> {
    if let (Some(asked), Some(fixed)) = (args.batch, backend.fixed_batch()) {
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

/// A network that is measured.
struct Subject {
    engine: Engine<OrtBackend>,
    class_names: Vec<String>,
}

impl Bench<'_> {
    /// Threads of one network that spin would take the cores from the other.
    fn session(&self) -> SessionOptions {
        let session = options::session(self.options);
        let spinning = session.spinning && self.args.vs.is_empty();
        session.spinning(spinning)
    }

    /// Weights, or random ones for a config.
    fn load(&self, name: &str) -> anyhow::Result<Model> {
        load_or_random(&ModelArgs::of(name), self.globals)
    }

    fn subject(&self, name: &str, session: &SessionOptions) -> anyhow::Result<Subject> {
        Ok(self.subjects(name, session, 1)?.remove(0))
    }

    /// The same network that many times.
    fn subjects(&self, name: &str, session: &SessionOptions, count: usize) -> anyhow::Result<Vec<Subject>> {
        let model = self.load(name)?;
        let letterbox = options::letterbox(&self.args.input, &model)?;
        let detector = DetectorOptions::new(letterbox, options::preset(&self.args.input).postprocess());
        let class_names = model.class_names().to_vec();
        let subject =
            |backend| Subject { engine: Engine::new(backend, detector.clone()), class_names: class_names.clone() };
        Ok(model.into_sessions(&self.runtime, session, count)?.into_iter().map(subject).collect())
    }

    /// Both networks interleaved, so that whatever else the machine does hits both.
    fn versus(&self, [mut subject, mut opponent]: [Subject; 2], image: &Image, other: &str) -> anyhow::Result<Value> {
        let args = self.args;
        let prepared = |subject: &Subject| Prepared::new(&image.pixels, &subject.engine.options().letterbox);
        let (ours, theirs) = (prepared(&subject), prepared(&opponent));
        let mut sides = [(&mut subject, &ours), (&mut opponent, &theirs)];
        let mut numbers = 0..;
        let pairs = warmed_up(args.runs, || {
            let number = numbers.next().unwrap_or_default();
            let inference = |side: usize| sides[side].0.inference(sides[side].1);
            run_interleaved(number, 2, inference).into_iter().collect::<anyhow::Result<Vec<_>>>()
        })?;
        let [a, b] = [0, 1].map(|side| pairs.iter().map(|pair| pair[side]).collect::<Vec<_>>());
        let Interleaved { spreads: [a, b], ratio, interval: [low, high] } =
            interleaved(&a, &b, |number| is_first(number + (args.runs / 5) as usize, 2, [0, 1]));
        let threads = options::compared_session(self.options).threads;
        if !args.json {
            print_line!("\ninference, interleaved, {}:", counted(threads, "thread"));
            for (side, name, spread) in [("A", args.model.as_str(), a), ("B", other, b)] {
                print_line!("  {side} {name:<28} {:>9.2} ms", spread.median);
            }
            print_line!("  B takes {ratio:.3} of the time of A (95 % interval {low:.3} to {high:.3})");
        }
        let input = |prepared: &Prepared| [prepared.size().height, prepared.size().width];
        Ok(json!({
            "model": other,
            "threads": threads,
            "inputs": [input(&ours), input(&theirs)],
            "a": a,
            "b": b,
            "ratio": ratio,
            "interval": [low, high],
        }))
    }

    /// Images per second of inference alone: in one session with all threads, in as many sessions as `yolo9 detect` has by
    /// default, and, if asked for, the latter with batches.
    fn throughput(&self, prepared: &Prepared) -> anyhow::Result<Value> {
        let count = options::session_count(&self.session());
        let mut variants = vec![(1, 1), (count, 1)];
        variants.dedup();
        variants.extend(self.args.batch.map(|batch| (count, usize::from(batch))));
        variants.iter().map(|(count, batch)| self.rate(prepared, *count, *batch)).collect()
    }

    fn rate(&self, prepared: &Prepared, count: usize, batch: usize) -> anyhow::Result<Value> {
        let args = self.args;
        let each = options::shared_session(self.session(), count);
        let threads = each.threads;
        let mut subjects = self.subjects(&args.model, &each, count)?;
        let images = vec![prepared; batch];
        let times = std::thread::scope(|scope| {
            let run = |subject: &mut Subject| {
                warmed_up(args.runs, || {
                    let start = Instant::now();
                    subject.engine.detect_batch(&images)?;
                    Ok((start, Instant::now()))
                })
            };
            let threads: Vec<_> = subjects.iter_mut().map(|subject| scope.spawn(move || run(subject))).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("inference does not panic");
            threads.into_iter().map(join).collect::<anyhow::Result<Vec<_>>>()
        })?;
        let shape = subjects[0].engine.backend().last_input_shape().to_vec();
        let begun = times.iter().flatten().map(|(start, _)| *start).min();
        let ended = times.iter().flatten().map(|(_, end)| *end).max();
        let seconds = ended.zip(begun).map_or(f64::NAN, |(ended, begun)| (ended - begun).as_secs_f64());
        let rate = f64::from(args.runs) * (count * batch) as f64 / seconds;
        if !args.json {
            let batches = if batch > 1 { format!(", batch {batch}") } else { String::new() };
            let what = format!("inference alone, {} with --threads {threads}{batches}", counted(count, "session"));
            print_line!("{what}: {rate:.1} images per second");
        }
        Ok(json!({ "sessions": count, "threads": threads, "input": shape, "images_per_second": rate }))
    }

    fn sweep(&self, prepared: &Prepared) -> anyhow::Result<Value> {
        let args = self.args;
        if !args.json {
            print_line!("\n{:>8} {:>12}   interquartile range of inference", "threads", "median");
        }
        let mut spreads = Map::new();
        for threads in &args.sweep {
            let session = options::session(self.options).threads(usize::from(*threads));
            let mut subject = self.subject(&args.model, &session)?;
            let spread = Spread::of_times(&warmed_up(args.runs, || subject.inference(prepared))?);
            if !args.json {
                print_line!("{threads:>8} {:>9.2} ms   {}", spread.median, spread.range());
            }
            spreads.insert(threads.to_string(), json!(spread));
        }
        Ok(spreads.into())
    }
}

impl Subject {
    /// Times of all stages over a number of runs, after some that do not count.
    fn stages(&mut self, bytes: &[u8], runs: u32) -> anyhow::Result<Vec<(&'static str, Spread)>> {
        let mut times: [Vec<Duration>; STAGES.len()] = Default::default();
        let measured = warmed_up(runs, || {
            let start = Instant::now();
            let image = Image::decode(bytes, &ImageLimits::default())?;
            let decoded = start.elapsed();
            let prepared = Prepared::new(&image.pixels, &self.engine.options().letterbox);
            let found = self.engine.detect_prepared(&prepared)?;
            let result = ImageResult::new("", &found, &self.class_names);
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

    fn inference(&mut self, prepared: &Prepared) -> anyhow::Result<Duration> {
        Ok(self.engine.detect_prepared(prepared)?.timing.inference)
    }
}

/// What `measure` gives in each of `runs` runs, after a fifth as many that do not count.
fn warmed_up<T>(runs: u32, mut measure: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
    for _ in 0..runs / 5 {
        measure()?;
    }
    (0..runs).map(|_| measure()).collect()
}

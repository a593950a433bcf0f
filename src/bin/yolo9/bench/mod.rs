//! `yolo9 bench`: how long each stage of a detection takes, and how much longer or shorter another network takes.

mod layers;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use layers::Profile;
use serde_json::{Value, json};
use yolo9::detect::{Detector, Prepared, Preset, Settings};
use yolo9::output::{PictureResult, Style, annotate, encode_picture};
use yolo9::picture::{Fit, ImageLimits, InputShape, Picture};
use yolo9::runtime::{Runtime, SessionOptions};
use yolo9::untrusted::{FileKind, read};
use yolo9::{Size, embedded};

use crate::Outcome;
use crate::args::{Globals, ModelArgs, RuntimeArgs, parse_size};
use crate::console::print_line;
use crate::engine::{AnyDetector, streams};
use crate::logging::quietly;
use crate::model::{Loaded, load_or_random};
use crate::statistics::{Spread, ratio};

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Model file, embedded model or released file; or a config (a YAML file or a built-in name), which gets random
    /// weights: time does not depend on them.
    #[arg(value_name = "MODEL|CONFIG", default_value = embedded::models()[0].name)]
    model: String,

    /// Another one, run in turn with the first: prints the ratio of their times, on one thread unless --threads says
    /// otherwise. With several, two sessions of one network can differ by a fifth for as long as they live.
    #[arg(long, value_name = "MODEL|CONFIG")]
    vs: Option<String>,

    /// The picture to search; by default the embedded sample picture.
    #[arg(long, value_name = "PICTURE")]
    picture: Option<PathBuf>,

    /// Size of the network's input: one side, or height and width [default: 640; that of the export for an ONNX file].
    #[arg(long, alias = "img", value_name = "SIZE", value_parser = parse_size)]
    imgsz: Option<Size>,

    /// Runs that are measured; a fifth as many go before.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(3..=100_000))]
    runs: u32,

    /// Also with each of these numbers of threads, one after the other.
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    sweep: Vec<u16>,

    /// Also how long each layer takes, by ONNX Runtime's profiler.
    #[arg(long)]
    layers: bool,

    #[command(flatten)]
    runtime: RuntimeArgs,

    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    /// Spinning threads of one network would take the cores from the other.
    fn session(&self) -> SessionOptions {
        let session = self.runtime.session();
        SessionOptions { spinning: session.spinning && self.vs.is_none(), ..session }
    }

    /// For two networks in turn: where the threads of a session run decides about its times, more than networks do.
    fn versus_session(&self) -> SessionOptions {
        SessionOptions { threads: self.runtime.threads.map_or(1, usize::from), ..self.session() }
    }
}

/// The stages of a detection, in order.
const STAGES: [&str; 6] = ["decode", "letterbox", "inference", "decode boxes, NMS", "draw", "encode"];

pub(crate) fn run(args: &BenchArgs, globals: &Globals) -> anyhow::Result<Outcome> {
    let bytes = match &args.picture {
        Some(path) => read(path, FileKind::Image).with_context(|| format!("{} cannot be read", path.display()))?,
        None => embedded::SAMPLE_PICTURE.to_vec(),
    };
    let picture = Picture::decode(&bytes, &ImageLimits::default()).context("the picture cannot be used")?;
    let runtime = Runtime::load(&args.runtime.library(globals))?;
    let session = args.session();
    let mut subject = Subject::open(&args.model, args, globals, &runtime, &session)?;
    // Opened early, so that a wrong name costs no work.
    let opened = |name: &String| Subject::open(name, args, globals, &runtime, &args.versus_session());
    let opponent = args.vs.as_ref().map(opened).transpose()?;
    let prepared = Prepared::new(&picture.pixels, &subject.detector.settings().fit);
    let stages = subject.stages(&bytes, args.runs)?;
    let mut report = json!({
        "model": args.model,
        "threads": session.threads,
        "runs": args.runs,
        "input": [prepared.size().height, prepared.size().width],
        "stages": stages.iter().map(|(stage, spread)| ((*stage).to_owned(), spread.json())).collect::<serde_json::Map<_, _>>(),
    });
    if !args.json {
        print_stages(args, session.threads, prepared.size(), &stages)?;
    }
    report["throughput"] = quietly(|| throughput(args, globals, &runtime, &prepared))?;
    if let (Some(other), Some(opponent)) = (&args.vs, opponent) {
        let first = quietly(|| opened(&args.model))?;
        let versus = versus(args, [first, opponent], &picture, other)?;
        if !args.json {
            print_versus(args, other, &versus)?;
        }
        report["vs"] = versus;
    }
    if args.layers {
        let loaded = quietly(|| load(&args.model, globals))?;
        let profile = Profile::measure(loaded, &runtime, &session, prepared.tensor(), args.runs)?;
        if !args.json {
            profile.print()?;
        }
        report["profile"] = profile.json();
    }
    if !args.sweep.is_empty() {
        report["sweep"] = quietly(|| sweep(args, globals, &runtime, &prepared))?;
    }
    if args.json {
        print_line!("{report:#}");
    }
    Ok(Outcome::Done)
}

fn print_stages(args: &BenchArgs, threads: usize, input: Size, stages: &[(&str, Spread)]) -> anyhow::Result<()> {
    let plural = if threads == 1 { "" } else { "s" };
    print_line!("{}: input {}x{}, {threads} thread{plural}, {} runs", args.model, input.height, input.width, args.runs);
    print_line!("{:<18} {:>12}   middle half", "stage", "median");
    for (stage, spread) in stages {
        print_line!("{stage:<18} {:>9.2} ms   {}", spread.median, spread.range());
    }
    let total: f64 = stages.iter().map(|(_, spread)| spread.median).sum();
    print_line!("{:<18} {total:>9.2} ms", "one after the other");
    Ok(())
}

fn print_versus(args: &BenchArgs, other: &str, versus: &Value) -> anyhow::Result<()> {
    let number = |path: &str| versus.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let threads = args.versus_session().threads;
    print_line!("\ninference, in turn, {threads} thread{}:", if threads == 1 { "" } else { "s" });
    for (side, name, key) in [("A", args.model.as_str(), "/a/median"), ("B", other, "/b/median")] {
        print_line!("  {side} {name:<28} {:>9.2} ms", number(key));
    }
    print_line!(
        "  B takes {:.3} of the time of A (95 % interval {:.3} to {:.3})",
        number("/ratio"),
        number("/interval/0"),
        number("/interval/1")
    );
    Ok(())
}

/// Weights, or random ones for a config.
fn load(name: &str, globals: &Globals) -> anyhow::Result<Loaded> {
    load_or_random(&ModelArgs { weights: name.into(), config: None, names: None }, globals)
}

/// A network that is measured.
struct Subject {
    detector: AnyDetector,
    class_names: Vec<String>,
}

impl Subject {
    fn open(
        name: &str,
        args: &BenchArgs,
        globals: &Globals,
        runtime: &Runtime,
        session: &SessionOptions,
    ) -> anyhow::Result<Self> {
        Ok(Self::several(name, args, runtime, (globals, session), 1)?.remove(0))
    }

    /// The same network that many times.
    fn several(
        name: &str,
        args: &BenchArgs,
        runtime: &Runtime,
        (globals, session): (&Globals, &SessionOptions),
        count: usize,
    ) -> anyhow::Result<Vec<Self>> {
        let loaded = load(name, globals)?;
        let preset = Preset::default();
        let (shape, scale_back) = (InputShape::Rectangular, preset.scale_back());
        let fit = match loaded.fixed_size() {
            Some(target) => {
                if let Some(asked) = args.imgsz.filter(|asked| *asked != target) {
                    anyhow::bail!("--imgsz {asked}: {name} was exported for inputs of {target} only");
                }
                Fit { target, stride: loaded.stride(), shape: InputShape::Full, scale_back }
            }
            None => Fit::new(args.imgsz.unwrap_or(Size::square(640)), loaded.stride(), shape, scale_back),
        };
        let class_names = loaded.class_names().to_vec();
        let subject = |model| {
            let detector = Detector::new(model, Settings { fit, thresholds: preset.thresholds() });
            Self { detector, class_names: class_names.clone() }
        };
        Ok(loaded.into_models(runtime, session, count)?.into_iter().map(subject).collect())
    }

    /// Times of all stages over a number of runs, after some that do not count.
    fn stages(&mut self, bytes: &[u8], runs: u32) -> anyhow::Result<Vec<(&'static str, Spread)>> {
        let mut times: [Vec<Duration>; STAGES.len()] = Default::default();
        let measured = warmed_up(runs, || {
            let start = Instant::now();
            let picture = Picture::decode(bytes, &ImageLimits::default())?;
            let decoded = start.elapsed();
            let prepared = Prepared::new(&picture.pixels, &self.detector.settings().fit);
            let found = self.detector.detect_prepared(&prepared)?;
            let result = PictureResult {
                source: "",
                size: picture.size(),
                input: found.input,
                detections: &found.detections,
                class_names: &self.class_names,
            };
            let mut pixels = picture.pixels.clone();
            let start = Instant::now();
            annotate(&mut pixels, &result, &Style::default());
            let drawn = start.elapsed();
            encode_picture(&pixels, picture.format)?;
            let encoded = start.elapsed() - drawn;
            let timing = found.timing;
            Ok([decoded, timing.preprocess, timing.inference, timing.postprocess, drawn, encoded])
        })?;
        for run in measured {
            times.iter_mut().zip(run).for_each(|(times, time)| times.push(time));
        }
        Ok(STAGES.into_iter().zip(times.iter().map(|times| Spread::of(times))).collect())
    }

    fn inference(&mut self, prepared: &Prepared) -> anyhow::Result<Duration> {
        Ok(self.detector.detect_prepared(prepared)?.timing.inference)
    }
}

/// What `measure` gives in each of `runs` runs, after a fifth as many that do not count.
fn warmed_up<T>(runs: u32, mut measure: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
    for _ in 0..runs / 5 {
        measure()?;
    }
    (0..runs).map(|_| measure()).collect()
}

/// Both networks in turn, so that whatever else the machine does hits both.
fn versus(
    args: &BenchArgs,
    [mut subject, mut opponent]: [Subject; 2],
    picture: &Picture,
    other: &str,
) -> anyhow::Result<Value> {
    let prepared = |subject: &Subject| Prepared::new(&picture.pixels, &subject.detector.settings().fit);
    let (ours, theirs) = (prepared(&subject), prepared(&opponent));
    if ours.size() != theirs.size() {
        log::warn!("the inputs differ: A reads {}, B {} (width x height)", ours.size(), theirs.size());
    }
    let input = |prepared: &Prepared| [prepared.size().height, prepared.size().width];
    let pairs = warmed_up(args.runs, || Ok((subject.inference(&ours)?, opponent.inference(&theirs)?)))?;
    let (a, b): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let (ratio, interval) = ratio(&a, &b);
    Ok(json!({
        "model": other,
        "threads": args.versus_session().threads,
        "inputs": [input(&ours), input(&theirs)],
        "a": Spread::of(&a).json(),
        "b": Spread::of(&b).json(),
        "ratio": ratio,
        "interval": interval,
    }))
}

fn threads_of(args: &BenchArgs, streams: usize) -> usize {
    (args.session().threads / streams).max(1)
}

/// Pictures per second of the network alone, one after the other in one stream with all threads, and in as many streams
/// as `yolo9 detect` has by default.
fn throughput(args: &BenchArgs, globals: &Globals, runtime: &Runtime, prepared: &Prepared) -> anyhow::Result<Value> {
    let mut counts = vec![1, streams(args.session().threads)];
    counts.dedup();
    let mut rates = serde_json::Map::new();
    for count in counts {
        let session = args.session();
        let spinning = session.spinning && count == 1;
        let session = SessionOptions { threads: threads_of(args, count), spinning, ..session };
        let mut subjects = Subject::several(&args.model, args, runtime, (globals, &session), count)?;
        let times = std::thread::scope(|scope| {
            let run =
                |subject: &mut Subject| warmed_up(args.runs, || Ok((Instant::now(), subject.inference(prepared)?)));
            let threads: Vec<_> = subjects.iter_mut().map(|subject| scope.spawn(move || run(subject))).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("inference does not panic");
            threads.into_iter().map(join).collect::<anyhow::Result<Vec<_>>>()
        })?;
        let begun = times.iter().flatten().map(|(start, _)| *start).min();
        let ended = times.iter().flatten().map(|(start, time)| *start + *time).max();
        let seconds = ended.zip(begun).map_or(f64::NAN, |(ended, begun)| (ended - begun).as_secs_f64());
        let rate = f64::from(args.runs) * count as f64 / seconds;
        if !args.json {
            let (plural, threads) = (if count == 1 { "" } else { "s" }, threads_of(args, count));
            let what = format!("inference alone, {count} stream{plural} with --threads {threads}");
            print_line!("{what}: {rate:.1} pictures per second");
        }
        rates.insert(count.to_string(), json!(rate));
    }
    Ok(rates.into())
}

fn sweep(args: &BenchArgs, globals: &Globals, runtime: &Runtime, prepared: &Prepared) -> anyhow::Result<Value> {
    if !args.json {
        print_line!("\n{:>8} {:>12}   middle half of inference", "threads", "median");
    }
    let mut spreads = serde_json::Map::new();
    for threads in &args.sweep {
        let session = SessionOptions { threads: usize::from(*threads), ..args.runtime.session() };
        let mut subject = Subject::open(&args.model, args, globals, runtime, &session)?;
        let times = warmed_up(args.runs, || subject.inference(prepared))?;
        let spread = Spread::of(&times);
        if !args.json {
            print_line!("{threads:>8} {:>9.2} ms   {}", spread.median, spread.range());
        }
        spreads.insert(threads.to_string(), spread.json());
    }
    Ok(spreads.into())
}

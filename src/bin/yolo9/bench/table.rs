//! Several models, devices and precisions beside each other.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use yolo9::detect::{DetectorOptions, Engine, Prepared};
use yolo9::image::Image;
use yolo9::runtime::{OrtBackend, Runtime, RuntimeError, processor};
use yolo9::{Model, Size};

use super::refuse_unlike;
use crate::cli::{BenchArgs, Globals, ModelArgs, RuntimeArgs};
use crate::console::print_line;
use crate::devices::{self, Execution};
use crate::exit::ExitStatus;
use crate::logging::quietly;
use crate::model::{is_config, load_or_random};
use crate::report::{counted, progress_bar};
use crate::statistics::{Interleaved, Spread, interleaved, is_first, rotated};
use crate::weights::file_bytes;
use crate::{memory, options, remedy};

/// Rounds of throughput, of which the median counts.
const ROUNDS: usize = 5;

/// Least length of a round: a single run says little.
const LEAST_ROUND: Duration = Duration::from_millis(400);

/// A model on a device in a precision.
struct Row {
    /// Which of the models.
    number: usize,
    model: ModelArgs,
    /// As it was asked for.
    title: String,
    /// Of the model; nothing for a config.
    file_bytes: Option<u64>,
    /// The sessions, or why there are none.
    state: Result<Running, String>,
}

struct Running {
    execution: Execution,
    /// With the threads of a comparison of times.
    latency: Subject,
    /// Sessions that share all threads, one, two, four of them.
    shared: Vec<Vec<Subject>>,
    /// From the model to its first detections, in milliseconds.
    first: f64,
    memory: Option<u64>,
    times: Vec<Duration>,
    /// Images per second by number of sessions.
    rates: Vec<(usize, Vec<f64>)>,
}

/// A session with its input.
struct Subject {
    engine: Engine<OrtBackend>,
    prepared: Prepared,
}

impl Subject {
    fn run(&mut self) -> anyhow::Result<Duration> {
        Ok(self.engine.detect_prepared(&self.prepared)?.timing.inference)
    }
}

pub(super) fn run(
    args: &BenchArgs,
    runtimes: &[RuntimeArgs],
    image: &Image,
    globals: &Globals,
) -> anyhow::Result<ExitStatus> {
    let one_only = [("--layers", args.layers), ("--sweep", !args.sweep.is_empty()), ("--batch", args.batch.is_some())];
    if let Some((option, _)) = one_only.into_iter().find(|(_, given)| *given) {
        anyhow::bail!("{option}: measures one model on one device; leave it out of a table");
    }
    let usable = runtimes.iter().filter(|options| unusable(options).is_none());
    let used: Vec<_> = usable.map(devices::computed).collect();
    let runtime = devices::runtime_for(&runtimes[0], globals, &used)?;
    let mut rows: Vec<Row> = Vec::new();
    for (number, name) in std::iter::once(&args.model).chain(&args.vs).enumerate() {
        // A wrong name ends the command, what a device cannot do is a row.
        let model = ModelArgs::of(name);
        let loaded = load_or_random(&model, globals)?;
        for options in runtimes {
            let row = quietly(|| Row::open(number, (&model, &loaded), options, (args, globals), (image, &runtime)))?;
            // `auto` is one of the others.
            if !rows.iter().any(|other| other.number == number && other.title == row.title) {
                rows.push(row);
            }
        }
    }
    let running = rows.iter().filter(|row| row.state.is_ok()).count();
    if running == 0 {
        let reasons = rows.iter().filter_map(|row| Some(format!("{}: {}", row.title, row.state.as_ref().err()?)));
        anyhow::bail!("nothing of this can be run: {}", reasons.collect::<Vec<_>>().join("; "));
    }
    let inputs: Vec<(Size, usize)> = rows.iter().filter_map(Row::input).collect();
    inputs.iter().try_for_each(|input| refuse_unlike(args, [inputs[0], *input]))?;
    measure(&mut rows, args, globals)?;
    let threads = options::session(&runtimes[0]).threads;
    let one = options::compared_session(&runtimes[0]).threads;
    if args.json {
        let rows: Vec<Value> = rows.iter().map(|row| row.json(&rows)).collect();
        print_line!(
            "{:#}",
            json!({ "runs": args.runs, "threads": { "latency": one, "throughput": threads }, "rows": rows })
        );
        return Ok(ExitStatus::Done);
    }
    print_line!(
        "{} runs of each, interleaved; latency with {}, throughput with {}; {}, ONNX Runtime {}",
        args.runs,
        counted(one, "thread"),
        counted(threads, "thread"),
        processor::name().unwrap_or_else(|| "a processor without a name".into()),
        runtime.version()
    );
    print(&rows)?;
    Ok(ExitStatus::Done)
}

/// Why a device and precision cannot be had here, if they cannot.
fn unusable(options: &RuntimeArgs) -> Option<String> {
    let (device, precision) = devices::computed(options);
    devices::check(device, precision, devices::library(options).is_named()).err().map(|problem| problem.to_string())
}

/// Latency of all, run by run, then throughput of all, round by round.
fn measure(rows: &mut [Row], args: &BenchArgs, globals: &Globals) -> anyhow::Result<()> {
    let mut running: Vec<&mut Running> = rows.iter_mut().filter_map(|row| row.state.as_mut().ok()).collect();
    let count = running.len();
    let bar = progress_bar(args.runs as usize + ROUNDS, globals.quiet);
    for number in 0..(args.runs / 5 + args.runs) as usize {
        for place in rotated(number, count) {
            let time = running[place].latency.run()?;
            if number >= (args.runs / 5) as usize {
                running[place].times.push(time);
            }
        }
        bar.inc(u64::from(number >= (args.runs / 5) as usize));
    }
    let of_round = (args.runs as usize).div_ceil(ROUNDS);
    for number in 0..ROUNDS {
        for place in rotated(number, count) {
            let Running { shared, rates, .. } = &mut *running[place];
            for (subjects, (_, rates)) in shared.iter_mut().zip(rates) {
                rates.push(rate(subjects, of_round)?);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Images per second of sessions that run at the same time, for that many runs at least.
fn rate(subjects: &mut [Subject], runs: usize) -> anyhow::Result<f64> {
    let start = Instant::now();
    let images = std::thread::scope(|scope| {
        let repeat = |subject: &mut Subject| -> anyhow::Result<usize> {
            let mut done = 0;
            while done < runs || start.elapsed() < LEAST_ROUND {
                subject.run()?;
                done += 1;
            }
            Ok(done)
        };
        let threads: Vec<_> = subjects.iter_mut().map(|subject| scope.spawn(move || repeat(subject))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("inference does not panic"))
            .sum::<anyhow::Result<usize>>()
    })?;
    Ok(images as f64 / start.elapsed().as_secs_f64())
}

impl Row {
    fn open(
        number: usize,
        (model, loaded): (&ModelArgs, &Model),
        options: &RuntimeArgs,
        (args, globals): (&BenchArgs, &Globals),
        (image, runtime): (&Image, &Runtime),
    ) -> anyhow::Result<Self> {
        let title = match devices::precision(options) {
            Some(precision) => format!("{} {precision}", devices::device(options)),
            None => devices::device(options).to_string(),
        };
        let has_file = !is_config(&model.weights);
        let file_bytes = has_file.then(|| file_bytes(&model.weights, globals)).transpose()?;
        let row = |state| Self { number, model: model.clone(), title: title.clone(), file_bytes, state };
        if let Some(reason) = unusable(options) {
            return Ok(row(Err(reason)));
        }
        let letterbox = options::letterbox(&args.input, loaded)?;
        let detector = DetectorOptions::new(letterbox, options::preset(&args.input).postprocess());
        let subjects = |loaded: Model, session, count| -> Result<Vec<Subject>, RuntimeError> {
            let backends = loaded.into_sessions(runtime, &session, count)?;
            let subject = |backend| Subject {
                engine: Engine::new(backend, detector.clone()),
                prepared: Prepared::new(&image.pixels, &letterbox),
            };
            Ok(backends.into_iter().map(subject).collect())
        };
        let all = options::session(options).spinning(false);
        let counts = [1, 2, 4].into_iter().filter(|count| *count <= options::session_count(&all));
        let start = Instant::now();
        let opened = subjects(loaded.clone(), options::compared_session(options), 1);
        let mut latency = match opened {
            Ok(mut opened) => opened.remove(0),
            Err(error @ RuntimeError::Device { .. }) => {
                let error = anyhow::Error::from(error);
                return Ok(row(Err(format!("{error}{}", remedy::of(&error)))));
            }
            Err(error) => return Ok(row(Err(error.to_string()))),
        };
        latency.run()?;
        let first = start.elapsed().as_secs_f64() * 1e3;
        let shared: Vec<Vec<Subject>> = counts
            .map(|count| subjects(loaded.clone(), options::shared_session(all.clone(), count), count))
            .collect::<Result<_, _>>()?;
        Ok(row(Ok(Running {
            execution: Execution::of(latency.engine.backend(), runtime),
            rates: shared.iter().map(|subjects| (subjects.len(), Vec::new())).collect(),
            memory: memory::of_model(model, options, &args.input, globals),
            latency,
            shared,
            first,
            times: Vec::new(),
        })))
    }

    /// What it reads, and images of a run.
    fn input(&self) -> Option<(Size, usize)> {
        let Running { latency, .. } = self.state.as_ref().ok()?;
        Some((latency.prepared.size(), latency.engine.backend().fixed_batch().unwrap_or(1)))
    }

    fn numbers(&self, rows: &[Self]) -> Option<Figures<'_>> {
        let running = self.state.as_ref().ok()?;
        let ran: Vec<&Running> = rows.iter().filter_map(|row| row.state.as_ref().ok()).collect();
        let place = ran.iter().position(|other| std::ptr::eq(*other, running))?;
        // After as many runs to warm up.
        let is_first = |number| is_first(number + running.times.len() / 5, ran.len(), [0, place]);
        let Interleaved { spreads: [_, latency], ratio, interval } =
            interleaved(&ran[0].times, &running.times, is_first);
        let rates = running.rates.iter().map(|(count, rates)| (*count, Spread::of(rates.iter().copied()).median));
        let (sessions, rate) = rates.max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(Figures { running, latency, ratio, interval, sessions, rate })
    }

    fn json(&self, rows: &[Self]) -> Value {
        let mut value = json!({ "model": self.model.weights, "asked": self.title, "file_bytes": self.file_bytes });
        match (self.numbers(rows), &self.state) {
            (Some(numbers), Ok(running)) => {
                let size = running.latency.prepared.size();
                value["input"] = json!([size.height, size.width]);
                value["execution"] = running.execution.json();
                value["latency"] = json!(numbers.latency);
                value["ratio"] = json!({ "value": numbers.ratio, "interval": numbers.interval });
                value["throughput"] = json!({ "images_per_second": numbers.rate, "sessions": numbers.sessions });
                value["first_ms"] = json!(running.first);
                value["memory_bytes"] = json!(running.memory);
            }
            (_, Err(reason)) => value["unusable"] = json!(reason),
            _ => {}
        }
        value
    }
}

/// What a row shows.
struct Figures<'a> {
    running: &'a Running,
    latency: Spread,
    /// Of its latency to that of the first row.
    ratio: f64,
    interval: [f64; 2],
    /// With the best number of sessions.
    rate: f64,
    sessions: usize,
}

fn print(rows: &[Row]) -> anyhow::Result<()> {
    let mut number = None;
    for row in rows {
        if number != Some(row.number) {
            number = Some(row.number);
            let input = rows.iter().filter(|other| other.number == row.number).find_map(Row::input);
            let input = input.map(|(size, _)| format!("input {}x{}", size.height, size.width));
            let about: Vec<String> = input.into_iter().chain(row.file_bytes.map(megabytes)).collect();
            print_line!("\n{}: {}", row.model.weights, about.join(", "));
            print_line!(
                "  {:<16} {:>11} {:>7} {:<16} {:>9} {:<13} {:>9} {:>9}",
                "device",
                "latency",
                "ratio",
                "95 % interval",
                "images/s",
                "sessions",
                "first",
                "memory"
            );
        }
        match (row.numbers(rows), &row.state) {
            (Some(numbers), _) => {
                let Figures { running, latency, ratio, interval: [low, high], rate, sessions } = numbers;
                print_line!(
                    "  {:<16} {:>8.2} ms {ratio:>7.3} {:<16} {rate:>9.1} {:<13} {:>6.0} ms {:>9}",
                    format!("{} {}", running.execution.device, running.execution.precision),
                    latency.median,
                    format!("{low:.3} to {high:.3}"),
                    format!("with {}", counted(sessions, "session")),
                    running.first,
                    running.memory.map(megabytes).unwrap_or_default()
                );
            }
            (None, Err(reason)) => print_line!("  {:<16} {reason}", row.title),
            (None, Ok(_)) => {}
        }
    }
    print_line!(
        "\nratio: of latency to that of the first row that ran, the median of pairs that were measured one after the other. first: from the model in memory to its first detections. memory: the most \
         that a process took to open the model and run it once."
    );
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

//! Several models, devices and precisions beside each other.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use yolo9::runtime::{RuntimeError, processor};

use super::{Contender, Runner, rate};
use crate::cli::{BenchArgs, Globals, RuntimeArgs};
use crate::console::print_line;
use crate::devices::{self, Execution};
use crate::logging::quietly;
use crate::report::{counted, progress_bar};
use crate::statistics::{Interleaved, Spread, interleaved, is_first, rotated};
use crate::{memory, options, remedy};

/// Rounds of throughput, of which the median counts.
const ROUNDS: usize = 5;

/// A model on a device in a precision.
struct Row<'a> {
    network: &'a Contender<'a>,
    /// As it was asked for.
    title: String,
    /// The sessions, or why there are none.
    state: Result<Running, String>,
}

struct Running {
    execution: Execution,
    /// With the threads of a comparison of times.
    latency: Runner,
    /// Sessions that share all threads, one, two, four of them.
    shared: Vec<Vec<Runner>>,
    /// From the model to its first detections, in milliseconds.
    first: f64,
    memory: Option<u64>,
    times: Vec<Duration>,
    /// Images per second by number of sessions.
    rates: Vec<(usize, Vec<f64>)>,
}

/// All networks on all devices, printed unless they are wanted for programs.
pub(super) fn report(
    args: &BenchArgs,
    networks: &[Contender<'_>],
    runtimes: &[RuntimeArgs],
    globals: &Globals,
) -> anyhow::Result<Value> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for network in networks {
        for options in runtimes {
            let row = quietly(|| Row::open(network, options, args, globals))?;
            // `auto` is one of the others.
            if !rows.iter().any(|other| other.is_of(network) && other.title == row.title) {
                rows.push(row);
            }
        }
    }
    let running = rows.iter().filter(|row| row.state.is_ok()).count();
    if running == 0 {
        let reasons = rows.iter().filter_map(|row| Some(format!("{}: {}", row.title, row.state.as_ref().err()?)));
        anyhow::bail!("nothing of this can be run: {}", reasons.collect::<Vec<_>>().join("; "));
    }
    measure(&mut rows, args, globals)?;
    let rows: Vec<_> = rows.iter().map(|row| (row, row.figures(&rows))).collect();
    let threads = options::session(&runtimes[0]).threads;
    let one = options::compared_session(&runtimes[0]).threads;
    if !args.json {
        print_line!(
            "{} runs of each, interleaved; latency with {}, throughput with {}; {}, ONNX Runtime {}",
            args.runs,
            counted(one, "thread"),
            counted(threads, "thread"),
            processor::name().unwrap_or_else(|| "a processor without a name".into()),
            networks[0].runtime.version()
        );
        print(networks, &rows)?;
    }
    let shown: Vec<Value> = rows.iter().map(|(row, figures)| row.json(figures)).collect();
    Ok(json!({ "runs": args.runs, "threads": { "latency": one, "throughput": threads }, "rows": shown }))
}

/// Why a device and precision cannot be had here, if they cannot.
pub(super) fn unusable(options: &RuntimeArgs) -> Option<String> {
    let (device, precision) = devices::computed(options);
    devices::check(device, precision, devices::library(options).is_named()).err().map(|problem| problem.to_string())
}

/// Latency of all, run by run, then throughput of all, round by round.
fn measure(rows: &mut [Row<'_>], args: &BenchArgs, globals: &Globals) -> anyhow::Result<()> {
    let mut running: Vec<&mut Running> = rows.iter_mut().filter_map(|row| row.state.as_mut().ok()).collect();
    let count = running.len();
    let bar = progress_bar(args.runs as usize + ROUNDS, globals.quiet);
    for number in 0..(args.runs / 5 + args.runs) as usize {
        for place in rotated(number, count) {
            let time = running[place].latency.inference()?;
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
            for (runners, (_, rates)) in shared.iter_mut().zip(rates) {
                rates.push(rate(runners, of_round, 1)?);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

impl<'a> Row<'a> {
    fn open(
        network: &'a Contender<'a>,
        options: &RuntimeArgs,
        args: &BenchArgs,
        globals: &Globals,
    ) -> anyhow::Result<Self> {
        let title = match devices::precision(options) {
            Some(precision) => format!("{} {precision}", devices::device(options)),
            None => devices::device(options).to_string(),
        };
        let row = |state| Self { network, title: title.clone(), state };
        if let Some(reason) = unusable(options) {
            return Ok(row(Err(reason)));
        }
        let all = options::session(options).spinning(false);
        let counts = [1, 2, 4].into_iter().filter(|count| *count <= options::session_count(&all));
        let start = Instant::now();
        let mut latency = match network.runners(&options::compared_session(options), 1) {
            Ok(mut opened) => opened.remove(0),
            Err(error @ RuntimeError::Device { .. }) => {
                let error = anyhow::Error::from(error);
                return Ok(row(Err(format!("{error}{}", remedy::of(&error)))));
            }
            Err(error) => return Ok(row(Err(error.to_string()))),
        };
        latency.inference()?;
        let first = start.elapsed().as_secs_f64() * 1e3;
        let shared: Vec<Vec<Runner>> = counts
            .map(|count| network.runners(&options::shared_session(all.clone(), count), count))
            .collect::<Result<_, _>>()?;
        Ok(row(Ok(Running {
            execution: Execution::of(latency.engine.backend(), network.runtime),
            rates: shared.iter().map(|runners| (runners.len(), Vec::new())).collect(),
            memory: memory::of_model(&network.name, options, &args.input, globals),
            latency,
            shared,
            first,
            times: Vec::new(),
        })))
    }

    fn is_of(&self, network: &Contender<'_>) -> bool {
        std::ptr::eq(self.network, network)
    }

    /// Or why there is no session.
    fn figures(&self, rows: &[Self]) -> Result<Figures<'_>, &str> {
        let running = self.state.as_ref().map_err(String::as_str)?;
        let ran: Vec<&Running> = rows.iter().filter_map(|row| row.state.as_ref().ok()).collect();
        let place = ran.iter().position(|other| std::ptr::eq(*other, running)).expect("one of those that ran");
        // After as many runs to warm up.
        let is_first = |number| is_first(number + running.times.len() / 5, ran.len(), [0, place]);
        let Interleaved { spreads: [_, latency], ratio, interval } =
            interleaved(&ran[0].times, &running.times, is_first);
        let rates = running.rates.iter().map(|(count, rates)| (*count, Spread::of(rates.iter().copied()).median));
        let (sessions, rate) = rates.max_by(|a, b| a.1.total_cmp(&b.1)).expect("at least one session");
        Ok(Figures { running, latency, ratio, interval, sessions, rate })
    }

    fn json(&self, figures: &Result<Figures<'_>, &str>) -> Value {
        let Contender { name, file_bytes, .. } = self.network;
        let mut value = json!({ "model": name.weights, "asked": self.title, "file_bytes": file_bytes });
        match figures {
            Ok(figures) => {
                let running = figures.running;
                let size = running.latency.prepared.size();
                value["input"] = json!([size.height, size.width]);
                value["execution"] = running.execution.json();
                value["latency"] = json!(figures.latency);
                value["ratio"] = json!({ "value": figures.ratio, "interval": figures.interval });
                value["throughput"] = json!({ "images_per_second": figures.rate, "sessions": figures.sessions });
                value["first_ms"] = json!(running.first);
                value["memory_bytes"] = json!(running.memory);
            }
            Err(reason) => value["unusable"] = json!(reason),
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

fn print(networks: &[Contender<'_>], rows: &[(&Row<'_>, Result<Figures<'_>, &str>)]) -> anyhow::Result<()> {
    for network in networks {
        let (size, _) = network.input();
        let file = network.file_bytes.map(|bytes| format!(", {}", megabytes(bytes))).unwrap_or_default();
        print_line!("\n{}: input {}x{}{file}", network.name.weights, size.height, size.width);
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
        for (row, figures) in rows.iter().filter(|(row, _)| row.is_of(network)) {
            match figures {
                Ok(figures) => {
                    let Figures { running, latency, ratio, interval: [low, high], rate, sessions } = figures;
                    print_line!(
                        "  {:<16} {:>8.2} ms {ratio:>7.3} {:<16} {rate:>9.1} {:<13} {:>6.0} ms {:>9}",
                        format!("{} {}", running.execution.device, running.execution.precision),
                        latency.median,
                        format!("{low:.3} to {high:.3}"),
                        format!("with {}", counted(*sessions, "session")),
                        running.first,
                        running.memory.map(megabytes).unwrap_or_default()
                    );
                }
                Err(reason) => print_line!("  {:<16} {reason}", row.title),
            }
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

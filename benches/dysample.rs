//! What DySample costs beside nearest upsampling: `cargo bench -p yolo9-benches --bench dysample`.
//!
//! Machines are shared and noisy, so the variants take turns within one run and only ratios are meant to be compared.
//! Before each timed run comes an untimed one of the same variant, so that its threads are awake and its memory is in the
//! caches that it fits in. `-- --cold` leaves it out, `-- --samples N` sets the number of turns
//! (default 60), `-- --networks` also times whole networks, and `-- --write FOLDER` only writes the models, for other
//! runtimes (tests/reference/dysample_body.py).

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may")]

#[path = "../tests/common/node_model.rs"]
mod node_model;

use std::path::Path;
use std::time::{Duration, Instant};

use ndarray::Array4;
use prost::Message;
use yolo9::Size;
use yolo9::architecture::Architecture;
use yolo9::config::ModelConfig;
use yolo9::detect::Backend;
use yolo9::dysample::{Geometry, Kernel, ScratchPool, Tensors, Upsampling, reference};
use yolo9::graph;
use yolo9::onnx::{ModelProto, Opset};
use yolo9::runtime::library::LibraryOptions;
use yolo9::runtime::{DySampleBackend, OrtBackend, OrtSession, Runtime, SessionOptions};
use yolo9::weights;

const SCALE: usize = 2;
const GROUPS: usize = 4;
const SHAPES: [[usize; 4]; 4] = [[1, 512, 40, 40], [1, 256, 80, 80], [1, 96, 40, 40], [1, 64, 80, 80]];
/// Between two measurements, so that a pool's threads fall asleep and do not compete with the next variant's.
const PAUSE: Duration = Duration::from_millis(15);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let value = |flag: &str| arguments.iter().position(|argument| argument == flag).map(|at| &arguments[at + 1]);
    if let Some(folder) = value("--write") {
        return write_models(Path::new(folder));
    }
    let samples = value("--samples").map_or(60, |samples| samples.parse().unwrap());
    let runtime = Runtime::load(&LibraryOptions::default()).unwrap();
    println!("{}", runtime.build_info());
    println!("scale {SCALE}, {GROUPS} groups, offsets uniform in -1 to 1; {samples} interleaved samples, ms\n");
    for shape in SHAPES {
        let mut case = Case::new(shape);
        let mut variants = variants(&runtime);
        let times = measure(&mut variants, &mut case, samples, !has("--cold"));
        table(&format!("{shape:?}"), &variants, &times);
    }
    if has("--networks") {
        networks(&runtime, samples.min(15));
    }
}

/// The models of one node in every opset.
fn write_models(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for opset in Opset::SUPPORTED.map(|number| Opset::new(number).unwrap()) {
        let number = opset.number();
        let mut inlined = operator(opset, true);
        graph::inline_dysample(&mut inlined);
        for (name, model) in [
            ("nearest", node_model::resize_nearest(opset, SCALE)),
            ("clamped", operator(opset, true)),
            ("inlined", inlined),
            ("border", operator(opset, false)),
        ] {
            std::fs::write(folder.join(format!("{name}-opset{number}.onnx")), model.encode_to_vec()).unwrap();
        }
    }
}

/// Random input of one shape, and room for the result.
struct Case {
    x: Array4<f32>,
    offset: Array4<f32>,
    y: Array4<f32>,
    scratch: ScratchPool,
}

impl Case {
    fn new([n, c, h, w]: [usize; 4]) -> Self {
        let mut random = fastrand::Rng::with_seed(1);
        let mut tensor = |shape| Array4::from_shape_simple_fn(shape, || 2.0 * random.f32() - 1.0);
        Self {
            x: tensor([n, c, h, w]),
            offset: tensor([n, 2 * GROUPS * SCALE * SCALE, h, w]),
            y: Array4::zeros([n, c, h * SCALE, w * SCALE]),
            scratch: ScratchPool::default(),
        }
    }

    fn geometry(&self) -> Geometry {
        Geometry::new(self.x.shape(), self.offset.shape(), SCALE, GROUPS).unwrap()
    }
}

struct Variant {
    name: String,
    threads: usize,
    run: Box<dyn FnMut(&mut Case)>,
}

fn variants(runtime: &Runtime) -> Vec<Variant> {
    let mut variants = Vec::new();
    for threads in [1, 2] {
        let mut session = |name: &str, model: ModelProto, dysample| {
            let options = SessionOptions::default().threads(threads).dysample(dysample);
            let mut session = OrtSession::new(runtime, name, &model.encode_to_vec(), &options).unwrap();
            let run = Box::new(move |case: &mut Case| {
                let inputs = [case.x.view().into_dyn(), case.offset.view().into_dyn()];
                let outputs = session.run(&inputs).unwrap();
                assert_eq!(outputs.get("y").unwrap().len(), case.y.len());
            });
            variants.push(Variant { name: name.into(), threads, run });
        };
        session("ORT Resize nearest", node_model::resize_nearest(Opset::default(), SCALE), DySampleBackend::Onnx);
        session("ORT yolo9:DySample, native", operator(Opset::default(), true), DySampleBackend::Native);
        session("ORT body, GridSample clamped", operator(Opset::default(), true), DySampleBackend::Onnx);
        session("ORT body, GridSample border", operator(Opset::default(), false), DySampleBackend::Onnx);
        for kernel in Kernel::available() {
            let run = Box::new(move |case: &mut Case| parallel(case, kernel, threads));
            variants.push(Variant { name: format!("kernel {kernel}"), threads, run });
        }
    }
    let run = Box::new(|case: &mut Case| {
        case.y = reference::upsample(case.x.view(), case.offset.view(), SCALE, GROUPS).unwrap();
    });
    variants.push(Variant { name: "scalar reference".into(), threads: 1, run });
    variants
}

fn parallel(case: &mut Case, kernel: Kernel, threads: usize) {
    let geometry = case.geometry();
    let Case { x, offset, y, scratch } = case;
    let tensors =
        Tensors { x: x.as_slice().unwrap(), offset: offset.as_slice().unwrap(), y: y.as_slice_mut().unwrap() };
    let upsampling = Upsampling::new(kernel, geometry, tensors, scratch, threads);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        loop {
            let part = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if part >= upsampling.parts() {
                break;
            }
            upsampling.run(part);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
}

fn measure(variants: &mut [Variant], case: &mut Case, samples: usize, warm: bool) -> Vec<Vec<f64>> {
    let mut times = vec![Vec::with_capacity(samples); variants.len()];
    for sample in 0..samples + 3 {
        for (variant, times) in variants.iter_mut().zip(&mut times) {
            // So slow that a few samples are enough to see it.
            if variant.name.starts_with("scalar") && sample > 8 {
                continue;
            }
            std::thread::sleep(PAUSE);
            if warm {
                (variant.run)(case);
            }
            let start = Instant::now();
            (variant.run)(case);
            if sample >= 3 {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    times
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

fn table(title: &str, variants: &[Variant], times: &[Vec<f64>]) {
    let of = |name: &str, threads: usize| {
        let at = variants.iter().position(|v| v.name.contains(name) && v.threads == threads);
        median(&times[at.unwrap()])
    };
    println!("{title}\n{:<30} {:>7} {:>9} {:>9} {:>9}", "", "threads", "median", "quartiles", "x nearest");
    for (variant, times) in variants.iter().zip(times) {
        let (low, high) = (times[times.len() / 4], times[times.len() * 3 / 4]);
        let nearest = of("Resize nearest", variant.threads);
        let Variant { name, threads, .. } = variant;
        let middle = median(times);
        println!("{name:<30} {threads:>7} {middle:>9.3} {low:>5.2}-{high:<5.2} {:>7.2}", middle / nearest);
    }
    let native = "DySample, native";
    println!(
        "native: {:.1}x faster than GridSample border, {:.1}x than clamped (1 thread); 2 threads {:.2}x faster than 1\n",
        of("border", 1) / of(native, 1),
        of("clamped", 1) / of(native, 1),
        of(native, 1) / of(native, 2)
    );
}

/// DySample with its body; unclamped, the body leaves the edges to `GridSample`, as PyTorch's exporter does.
fn operator(opset: Opset, clamped: bool) -> ModelProto {
    let mut model = node_model::dysample(opset, SCALE, GROUPS);
    if !clamped {
        let body = &mut model.functions[0];
        body.node.retain(|node| !node.output.iter().any(|output| output == "not_before" || output == "position"));
        for node in &mut body.node {
            node.input.iter_mut().filter(|input| *input == "position").for_each(|input| *input = "wanted".into());
            for attribute in &mut node.attribute {
                if attribute.name.as_deref() == Some("padding_mode") {
                    attribute.s = Some("border".into());
                }
            }
        }
    }
    model
}

/// Whole forward passes at 640x640: what the choice of the upsampler changes.
fn networks(runtime: &Runtime, samples: usize) {
    println!("forward pass at 640x640, random weights, {samples} interleaved samples, median and quartiles in ms");
    for (name, threads) in [("yolov9-t", 1), ("yolov9-t", 2), ("yolov9-c", 1), ("yolov9-c", 2)] {
        let load = |config: &str, dysample| {
            let architecture = Architecture::new(&ModelConfig::builtin(config).unwrap()).unwrap();
            let model = graph::build(&architecture, weights::random(&architecture, 1), Opset::default());
            OrtBackend::new(runtime, model, &SessionOptions::default().threads(threads).dysample(dysample)).unwrap()
        };
        let twin = format!("{name}-dysample");
        let mut models = [
            ("nearest", load(name, DySampleBackend::Native)),
            ("DySample, native", load(&twin, DySampleBackend::Native)),
            ("DySample, ONNX body", load(&twin, DySampleBackend::Onnx)),
        ];
        let size = Size::square(640);
        let image = Array4::from_shape_fn((1, 3, size.height, size.width), |(_, c, y, x)| {
            ((c * 7 + y * 5 + x * 3) % 255) as f32 / 255.0
        });
        let mut times = vec![Vec::new(); models.len()];
        for sample in 0..samples + 1 {
            for ((_, model), times) in models.iter_mut().zip(&mut times) {
                std::thread::sleep(PAUSE);
                let start = Instant::now();
                model.run(image.view()).unwrap();
                if sample > 0 {
                    times.push(start.elapsed().as_secs_f64() * 1e3);
                }
            }
        }
        times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
        let nearest = median(&times[0]);
        for ((upsampler, _), times) in models.iter().zip(&times) {
            let (middle, low, high) = (median(times), times[times.len() / 4], times[times.len() * 3 / 4]);
            println!(
                "{name:<9} {threads} threads  {upsampler:<20} {middle:>8.2} {low:>8.2}-{high:<8.2} {:>+6.2} %",
                (middle / nearest - 1.0) * 100.0
            );
        }
    }
}

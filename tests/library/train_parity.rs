//! Training against the original PyTorch code: raw maps, assignment, loss, every gradient, running statistics, parameters and
//! averages after three steps.
//!
//! The reference run was made in float64. In f64 the first step must agree with it to the digits that its files hold: that
//! finds mistakes which rounding hides in f32. Later steps multiply whatever differs (a change of the initial values by 1e-9
//! moves parameters after three steps as far as this program is from the reference), so these are held to the noise of
//! PyTorch's own float32 run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::common;
use burn_tensor::{DType, Device, Tensor, TensorData};
use ndarray::{Array2, Array4};
use ndarray_npy::ReadNpyExt;
use yolo9::architecture::Architecture;
use yolo9::checkpoint::Checkpoint;
use yolo9::config::ModelConfig;
use yolo9::dysample::{Definition, DySampleStyle};
use yolo9::train::{
    Average, Hyperparameters, Loss, OffsetTensors, Optimiser, ParameterGradients, Parameters, RawMaps, Rule,
    StepSettings, Target, clipped, dysample, forward, gradient_norm, images_tensor, loss,
};

/// Tensors of a file of the collection, by name, with their shapes.
struct Expected(HashMap<String, (Vec<usize>, Vec<f64>)>);

impl Expected {
    fn open(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let wide = |bytes: &[u8]| f64::from(f32::from_le_bytes(bytes.try_into().unwrap()));
        let numbers = |view: &safetensors::tensor::TensorView<'_>| -> Vec<f64> {
            match view.dtype() {
                safetensors::Dtype::F32 => view.data().chunks_exact(4).map(wide).collect(),
                safetensors::Dtype::F64 => {
                    view.data().chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect()
                }
                safetensors::Dtype::U8 => view.data().iter().map(|value| f64::from(*value)).collect(),
                other => panic!("{other:?}"),
            }
        };
        let read = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            (name, (view.shape().to_vec(), numbers(&view)))
        };
        Self(file.tensors().into_iter().map(read).collect())
    }

    fn values(&self, name: &str) -> &[f64] {
        &self.0.get(name).unwrap_or_else(|| panic!("no {name} in the reference")).1
    }

    fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let (shape, values) = &self.0[name];
        Tensor::from_data(TensorData::new(values.clone(), shape.clone()), (device, DType::F64))
    }
}

/// What a difference may be.
#[derive(Clone, Copy)]
enum Allowed {
    /// This share of the tensor's largest value, for what the files hold in f32 (their own rounding is 6e-8 of a value).
    Share(f64),
    /// So many times the noise of PyTorch's float32 run, and 2e-4 of the tensor's largest value.
    Noise(f64),
}

/// Collects what differs, so that one run names all of it.
struct Check {
    case: String,
    noise: HashMap<String, f64>,
    /// By how much more than is allowed, and what.
    wrong: Vec<(f64, String)>,
    worst: f64,
}

impl Check {
    fn new(folder: &Path, dtype: DType) -> Self {
        let noise = serde_json::from_slice(&std::fs::read(folder.join("float32_noise.json")).unwrap()).unwrap();
        let case = format!("{} in {dtype:?}", folder.file_name().unwrap().to_string_lossy());
        Self { case, noise, wrong: Vec::new(), worst: 0.0 }
    }

    fn close(&mut self, name: &str, found: &[f64], expected: &Expected, allowed: Allowed) {
        let expected = expected.values(name);
        assert_eq!(found.len(), expected.len(), "{}: length of {name}", self.case);
        let largest = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        let allowed = match allowed {
            // A gradient that is 0 but for rounding has no scale.
            Allowed::Share(share) => share * largest + 1e-12,
            Allowed::Noise(times) => times * self.noise[name] + 2e-4 * largest,
        };
        let difference = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        self.worst = self.worst.max(difference / allowed);
        if difference.is_nan() || difference > allowed {
            let text =
                format!("{name}: differs by {difference:.3e}, allowed are {allowed:.3e} (largest {largest:.3e})");
            self.wrong.push((difference / allowed, text));
        }
    }

    fn finish(self) {
        let Self { case, mut wrong, worst, .. } = self;
        wrong.sort_by(|a, b| b.0.total_cmp(&a.0));
        eprintln!("{case}: largest difference {worst:.3} of what is allowed");
        let shown: Vec<&String> = wrong.iter().map(|(_, text)| text).take(12).collect();
        assert!(wrong.is_empty(), "{case}: {} tensors differ:\n{shown:#?}", wrong.len());
    }
}

fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data_as::<f64>().try_into_vec::<f64>().unwrap()
}

/// A case of the collection, ready to train.
struct Case {
    architecture: Architecture,
    parameters: Parameters,
    images: Tensor<4>,
    targets: Vec<Vec<Target>>,
}

impl Case {
    fn open(folder: &Path, initial: &Path, dtype: DType) -> Self {
        let images = Array4::<u8>::read_npy(std::fs::File::open(folder.join("images_u8.npy")).unwrap()).unwrap();
        let table = Array2::<f32>::read_npy(std::fs::File::open(folder.join("targets.npy")).unwrap()).unwrap();
        let (batch, channels, height, width) = images.dim();
        let checkpoint = Checkpoint::open(initial).unwrap();
        let config = ModelConfig::from_file(&folder.join("model.yaml")).unwrap();
        let architecture = yolo9::weights::reconciled_architecture(&config, &checkpoint, None).unwrap();
        let device = Device::flex().autodiff();
        let parameters = Parameters::new(&architecture, &device, dtype, |p| checkpoint.read_f32(&p.name)).unwrap();
        let bytes: Vec<u8> = images.iter().copied().collect();
        let images = images_tensor(&parameters, &bytes, [batch, channels, height, width]);
        let mut targets = vec![Vec::new(); batch];
        for row in table.rows() {
            // The official code computes corners in f32 whatever the network computes in.
            let (w, h) = (width as f32, height as f32);
            let [x, y, bw, bh] = [row[2] * w, row[3] * h, row[4] * w, row[5] * h];
            let corners = [x - bw / 2.0, y - bh / 2.0, x + bw / 2.0, y + bh / 2.0].map(f64::from);
            targets[row[0] as usize].push(Target { class: row[1] as usize, corners });
        }
        Self { architecture, parameters, images, targets }
    }

    /// One forward and backward pass; running statistics move.
    fn step(&mut self) -> (Vec<Vec<Vec<f64>>>, Loss, ParameterGradients) {
        let mut pass = forward(&self.architecture, &self.parameters, self.images.clone());
        let raw: Vec<RawMaps> = pass.branches.iter().map(|levels| RawMaps::read(levels)).collect();
        let joined = |level: &yolo9::train::LevelMaps| {
            numbers(&Tensor::cat(vec![level.boxes.clone(), level.classes.clone()], 1))
        };
        let maps = pass.branches.iter().map(|levels| levels.iter().map(joined).collect()).collect();
        let mut loss = loss(&raw, &self.targets, &Hyperparameters::default());
        pass.update_statistics(&mut self.parameters);
        let branches = std::mem::take(&mut pass.branches);
        let gradients = std::mem::take(&mut loss.gradients);
        let products = branches.into_iter().zip(gradients).map(|(levels, gradient)| gradient.dot(levels));
        let mut gradients = products.reduce(|a, b| a + b).unwrap().backward();
        let gradients = self.parameters.learned.iter().map(|l| l.value.grad_remove(&mut gradients)).collect();
        (maps, loss, gradients)
    }
}

fn check_case(folder: &Path, initial: &Path, dtype: DType) {
    let expected = Expected::open(&folder.join("expected.safetensors"));
    let mut check = Check::new(folder, dtype);
    let mut case = Case::open(folder, initial, dtype);
    let mut average = Average::new(&case.parameters);
    let mut optimiser = Optimiser::new(Rule::Sgd, &case.parameters);
    let settings = StepSettings { learning_rate: 0.01, bias_learning_rate: 0.01, momentum: 0.937, weight_decay: 5e-4 };
    // In f32 one run's noise is compared with that of another one.
    let steps = if dtype == DType::F64 { 3 } else { 1 };
    for step in 0..steps {
        let (maps, loss, gradients) = case.step();
        let norm = gradient_norm(&gradients);
        if step == 0 {
            let (allowed, of_gradients) = match dtype {
                // Labels are in f32 in the reference: what they lose shows where large terms of a gradient cancel.
                DType::F64 => (Allowed::Share(1e-6), Allowed::Share(1e-5)),
                _ => (Allowed::Noise(16.0), Allowed::Noise(16.0)),
            };
            check_outputs(&mut check, &case, (&maps, &loss), &expected, allowed);
            check_gradients(&mut check, &case, &gradients, &expected, of_gradients);
            check.close("gradient_norm", &[norm], &expected, allowed);
        }
        optimiser.step(&mut case.parameters, clipped(gradients, norm, 10.0), &settings);
        average.update(&case.parameters);
    }
    if steps == 3 {
        for (kind, parameters) in [("after3", &case.parameters), ("ema3", &average.parameters)] {
            // The largest case has no averages in its file.
            let stored = |name: &String| kind == "after3" || expected.0.contains_key(name);
            for learned in &parameters.learned {
                let name = format!("{kind}.{}", learned.name);
                if !stored(&name) {
                    continue;
                }
                check.close(&name, &numbers(&learned.value), &expected, Allowed::Noise(8.0));
            }
        }
    }
    check.finish();
}

fn check_outputs(
    check: &mut Check,
    case: &Case,
    (maps, loss): (&[Vec<Vec<f64>>], &Loss),
    expected: &Expected,
    allowed: Allowed,
) {
    for (branch, levels) in maps.iter().enumerate() {
        let name = if branch + 1 == maps.len() { "main" } else { "aux" };
        for (level, map) in levels.iter().enumerate() {
            check.close(&format!("{name}.{level}"), map, expected, allowed);
        }
        let points = expected.values(&format!("assigned.{name}.foreground")).len();
        let classes = case.architecture.head().classes;
        let (mut foreground, mut scores) = (vec![0.0; points], vec![0.0; points * classes]);
        for (image, positives) in loss.assigned[branch].iter().enumerate() {
            for positive in positives {
                let at = image * (points / case.targets.len()) + positive.point;
                foreground[at] = 1.0;
                scores[at * classes + case.targets[image][positive.target].class] = positive.score;
            }
        }
        // The same positives, not nearly the same.
        check.close(&format!("assigned.{name}.foreground"), &foreground, expected, Allowed::Share(0.0));
        // A score holds the sixth power of a CIoU with a label in f32.
        let of_scores = if let Allowed::Share(share) = allowed { Allowed::Share(5.0 * share) } else { allowed };
        check.close(&format!("assigned.{name}.scores"), &scores, expected, of_scores);
    }
    check.close("items", &[loss.items.bbox, loss.items.class, loss.items.dfl], expected, allowed);
    check.close("loss", &[loss.items.total() * case.targets.len() as f64], expected, allowed);
    for statistics in &case.parameters.statistics {
        let name = |which: &str| format!("statistics.{}.{which}", statistics.path);
        check.close(&name("running_mean"), &numbers(&statistics.mean), expected, allowed);
        check.close(&name("running_var"), &numbers(&statistics.variance), expected, allowed);
    }
}

fn check_gradients(
    check: &mut Check,
    case: &Case,
    gradients: &ParameterGradients,
    expected: &Expected,
    allowed: Allowed,
) {
    for (learned, gradient) in case.parameters.learned.iter().zip(gradients) {
        let gradient = gradient.as_ref().map_or_else(|| vec![0.0; learned.shape.iter().product()], numbers);
        check.close(&format!("gradient.{}", learned.name), &gradient, expected, allowed);
    }
}

/// Cases with their initial values beside them.
fn cases(below: &Path) -> Vec<PathBuf> {
    let folders = common::folders(below).into_iter();
    folders.filter(|folder| folder.join("initial.safetensors").exists()).collect()
}

fn check_cases(folders: &[PathBuf], dtype: DType) {
    for folder in folders {
        check_case(folder, &folder.join("initial.safetensors"), dtype);
    }
}

#[test]
fn two_networks_train_as_in_pytorch() {
    let folders = cases(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/training"));
    assert_eq!(folders.len(), 2);
    check_cases(&folders, DType::F64);
    check_cases(&folders, DType::F32);
}

#[test]
#[ignore = "needs the reference collection (YOLO9_REFERENCE, make parity)"]
fn tiny_networks_train_as_in_pytorch() {
    let folders = cases(&common::reference("training"));
    assert_eq!(folders.len(), 6);
    check_cases(&folders, DType::F64);
    check_cases(&folders, DType::F32);
}

#[test]
#[ignore = "needs the reference collection (YOLO9_REFERENCE, make parity)"]
fn a_trained_network_trains_on_as_in_pytorch() {
    let folder = common::reference("training/codes-dysample");
    let initial = common::reference("../models/codes-dysample.pt");
    for dtype in [DType::F64, DType::F32] {
        check_case(&folder, &initial, dtype);
    }
}

/// `x`, `dy` and the parameters of a module to `dx` and their gradients.
#[test]
#[ignore = "needs the reference collection (YOLO9_REFERENCE, make parity)"]
fn dysample_modules_have_pytorchs_gradients() {
    let folder = common::reference("training/dysample-gradients");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 20);
    for file in files {
        let expected = Expected::open(&file);
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let device = Device::flex().autodiff();
        let leaf = |name: &str| expected.tensor::<4>(name, &device).require_grad();
        let (x, weight) = (leaf("x"), leaf("offset.weight"));
        let bias = expected.tensor::<1>("offset.bias", &device).require_grad();
        let scope = expected.0.contains_key("scope.weight").then(|| leaf("scope.weight"));
        let offsets =
            OffsetTensors { weight: weight.clone(), bias: bias.clone(), scope: scope.clone().map(|w| (w, None)) };
        let y = dysample(x.clone(), &definition(&name, scope.is_some()), offsets);
        let mut gradients = (y * expected.tensor::<4>("dy", &device)).sum().backward();
        let mut found = vec![
            ("dx", numbers(&x.grad_remove(&mut gradients).unwrap())),
            ("d.offset.weight", numbers(&weight.grad_remove(&mut gradients).unwrap())),
            ("d.offset.bias", numbers(&bias.grad_remove(&mut gradients).unwrap())),
        ];
        found.extend(scope.map(|scope| ("d.scope.weight", numbers(&scope.grad_remove(&mut gradients).unwrap()))));
        for (what, found) in found {
            let expected = expected.values(what);
            let largest = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
            let difference = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(difference <= 1e-6 * largest + 1e-9, "{name}: {what} differs by {difference:.3e} of {largest:.3e}");
        }
    }
}

/// From a name such as `lp-scope-s2-g4-c32-6x9-small`.
fn definition(name: &str, dyscope: bool) -> Definition {
    let number = |letter: char| {
        let part = name.split('-').find_map(|part| part.strip_prefix(letter)?.parse::<usize>().ok());
        part.unwrap_or_else(|| panic!("{name} has no {letter}"))
    };
    let style = if name.starts_with("lp") { DySampleStyle::Lp } else { DySampleStyle::Pl };
    Definition { channels: number('c'), scale: number('s'), style, groups: number('g'), dyscope }
}

//! The kernels of DySample: against what PyTorch gave, and against their specification bit for bit. No test in here
//! needs ONNX Runtime, so that the file also runs under valgrind, sanitizers and emulators (docs/performance.md).

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::common;
use ndarray::{Array4, Axis};
use proptest::prelude::*;
use safetensors::SafeTensors;
use yolo9::dysample::{
    Definition, DySampleStyle, Geometry, Kernel, Lift, OffsetKernels, OffsetParameters, ScratchPool, Tensors,
    Upsampling, lift, offset_kernels, reference, upsample,
};

/// Runs every part on a thread of its own.
fn run(kernel: Kernel, x: &Array4<f32>, offset: &Array4<f32>, definition: &Definition, threads: usize) -> Array4<f32> {
    let geometry = Geometry::new(x.shape(), offset.shape(), definition.scale, definition.groups).unwrap();
    // What is not written shows.
    let mut y = Array4::from_elem(geometry.output_shape(), f32::NAN);
    // One for all cases, so that what an earlier one left behind would show.
    static WORKSPACES: LazyLock<ScratchPool> = LazyLock::new(ScratchPool::default);
    let (x, offset) = (x.as_slice().unwrap(), offset.as_slice().unwrap());
    let tensors = Tensors { x, offset, y: y.as_slice_mut().unwrap() };
    let upsampling = Upsampling::new(kernel, geometry, tensors, &WORKSPACES, threads);
    std::thread::scope(|scope| {
        for part in 0..upsampling.parts() {
            let upsampling = &upsampling;
            scope.spawn(move || upsampling.run(part));
        }
    });
    y
}

/// Every NaN counts as the same value: which one of two is passed on is the processor's choice.
fn bits(y: &Array4<f32>) -> Vec<u32> {
    y.iter().map(|value| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }).collect()
}

/// The offsets that the module predicts, computed in f64 from the folded kernels.
fn offsets(x: &Array4<f32>, definition: &Definition, kernels: &OffsetKernels) -> Array4<f32> {
    let (batch, channels, height, width) = x.dim();
    let convolution = |weight: &[f32], bias: &[f32], [n, q, h, w]: [usize; 4]| {
        let row = &weight[q * channels..][..channels];
        let terms = row.iter().enumerate().map(|(c, weight)| f64::from(*weight) * f64::from(x[[n, c, h, w]]));
        f64::from(bias[q]) + terms.sum::<f64>()
    };
    Array4::from_shape_fn((batch, definition.offset_channels(), height, width), |(n, q, h, w)| {
        let at = [n, q, h, w];
        let offset = match kernels {
            OffsetKernels::Static { weight, bias } => convolution(weight, bias, at),
            OffsetKernels::Dynamic { weight, bias, scope_weight, scope_bias, init_pos } => {
                let scope = convolution(scope_weight, scope_bias, at);
                convolution(weight, bias, at) / (1.0 + (-scope).exp()) + f64::from(init_pos[q])
            }
        };
        offset as f32
    })
}

/// A module that PyTorch ran.
struct Case {
    name: String,
    definition: Definition,
    parameters: OffsetParameters,
    x: Array4<f32>,
    y: Array4<f32>,
}

fn case(path: &Path) -> Case {
    let bytes = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let metadata = SafeTensors::read_metadata(&bytes).unwrap().1;
    let fact = |key: &str| metadata.metadata().as_ref().unwrap()[key].clone();
    let values = |name: &str| {
        let values = tensors.tensor(name).ok()?.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        Some(values.collect::<Vec<f32>>())
    };
    let array = |name: &str| {
        let shape: [usize; 4] = tensors.tensor(name).unwrap().shape().try_into().unwrap();
        Array4::from_shape_vec(shape, values(name).unwrap()).unwrap()
    };
    let style = if fact("style") == "lp" { DySampleStyle::Lp } else { DySampleStyle::Pl };
    let dyscope = fact("dyscope") == "true";
    let x = array("x");
    let (scale, groups) = (fact("scale").parse().unwrap(), fact("groups").parse().unwrap());
    let bias = values("offset.bias").unwrap();
    // The official module's scope has no bias.
    let scope = values("scope.weight").map(|weight| (weight, vec![0.0; bias.len()]));
    assert_eq!(scope.is_some(), dyscope);
    Case {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        definition: Definition::new(x.len_of(Axis(1)), scale, style, groups, dyscope).unwrap(),
        parameters: OffsetParameters { weight: values("offset.weight").unwrap(), bias, scope },
        x,
        y: array("y"),
    }
}

fn cases(folder: &Path) -> Vec<Case> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| case(file)).collect()
}

fn assert_equals_pytorch(case: &Case) {
    let Case { name, definition, parameters, x, y } = case;
    let offset = offsets(x, definition, &offset_kernels(definition, parameters));
    let largest = x.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let specified = reference::upsample(x.view(), offset.view(), definition.scale, definition.groups).unwrap();
    let assert_close = |ours: &Array4<f32>, what: &str| {
        assert_eq!(ours.dim(), y.dim(), "{name}, {what}");
        let difference = ours.iter().zip(y).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(difference <= 1e-5 * largest, "{name}, {what}: differs by {difference}, largest input {largest}");
    };
    assert_close(&specified, "reference");
    for kernel in Kernel::available() {
        let ours = run(kernel, x, &offset, definition, 2);
        assert_close(&ours, kernel.name());
        assert_eq!(bits(&ours), bits(&specified), "{name}, {kernel}");
    }
}

#[test]
fn modules_equal_pytorch() {
    let cases = cases(&common::data("dysample"));
    assert_eq!(cases.len(), 16);
    cases.iter().for_each(assert_equals_pytorch);
}

#[test]
#[ignore = "needs the reference collection (YOLO9_REFERENCE, make parity)"]
fn modules_of_the_reference_collection_equal_pytorch() {
    let folder = common::reference("dysample");
    let cases = cases(&folder);
    assert_eq!(cases.len(), 20);
    cases.iter().for_each(assert_equals_pytorch);
}

/// Offsets of a few predictions, and now and then anything else that an f32 can be.
fn offset() -> impl Strategy<Value = f32> {
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e9, -1e9, -0.0, f32::MIN_POSITIVE];
    prop_oneof![
        12 => -3.0f32..3.0,
        2 => (-4i8..4).prop_map(f32::from),
        1 => prop::sample::select(special.to_vec()),
        1 => -500.0f32..500.0,
    ]
}

prop_compose! {
    /// Tensors of any small shape: widths below, at and above a vector's, one position, groups of one channel, batches.
    fn problem()(
        batch in 1usize..3, per_group in 1usize..20, groups in 1usize..5, height in 1usize..7, width in 1usize..20,
        scale in 1usize..=8,
    )(
        x in prop::collection::vec(-4.0f32..4.0, batch * per_group * groups * height * width),
        offset in prop::collection::vec(offset(), batch * 2 * groups * scale * scale * height * width),
        shape in Just([batch, per_group * groups, height, width]),
        definition in Just(Definition::new(per_group * groups, scale, DySampleStyle::Lp, groups, false).unwrap()),
    ) -> (Array4<f32>, Array4<f32>, Definition) {
        let [batch, _, height, width] = shape;
        let offset_shape = [batch, definition.offset_channels(), height, width];
        (Array4::from_shape_vec(shape, x).unwrap(), Array4::from_shape_vec(offset_shape, offset).unwrap(), definition)
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(128),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_kernel_gives_the_bits_of_the_specification((x, offset, definition) in problem(), threads in 1usize..5) {
        let specified = reference::upsample(x.view(), offset.view(), definition.scale, definition.groups).unwrap();
        prop_assert!(specified.iter().all(|value| value.is_finite()));
        for kernel in Kernel::available() {
            let ours = run(kernel, &x, &offset, &definition, threads);
            prop_assert_eq!(bits(&ours), bits(&specified), "{}", kernel);
        }
    }
}

/// Maps that are computed in several bands of rows, with a last band and a last strip of any height.
#[test]
fn large_maps_give_the_bits_of_the_specification() {
    let mut random = fastrand::Rng::with_seed(5);
    for (channels, groups, height, width, scale) in [(18, 2, 61, 90, 2), (9, 1, 3, 1500, 3), (4, 4, 2100, 2, 2)] {
        let definition = Definition::new(channels, scale, DySampleStyle::Lp, groups, false).unwrap();
        let x = Array4::from_shape_simple_fn((1, channels, height, width), || random.f32() - 0.5);
        let offset_shape = (1, definition.offset_channels(), height, width);
        let offset = Array4::from_shape_simple_fn(offset_shape, || 40.0 * random.f32() - 20.0);
        let specified = reference::upsample(x.view(), offset.view(), scale, groups).unwrap();
        for kernel in Kernel::available() {
            assert_eq!(bits(&run(kernel, &x, &offset, &definition, 2)), bits(&specified), "{kernel}");
        }
    }
}

/// Non-finite values of the map follow the arithmetic, in all kernels alike.
#[test]
fn non_finite_maps_give_the_bits_of_the_specification() {
    let definition = Definition::new(40, 2, DySampleStyle::Lp, 2, false).unwrap();
    let mut random = fastrand::Rng::with_seed(6);
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MAX, 1e-40];
    let x = Array4::from_shape_simple_fn((1, 40, 9, 11), || match random.usize(0..10) {
        n @ 0..6 => special[n],
        _ => random.f32(),
    });
    let offset = Array4::from_shape_simple_fn((1, 16, 9, 11), || (random.f32() * 8.0 - 4.0).round() / 2.0);
    let specified = reference::upsample(x.view(), offset.view(), 2, 2).unwrap();
    assert!(specified.iter().any(|value| value.is_nan()));
    for kernel in Kernel::available() {
        assert_eq!(bits(&run(kernel, &x, &offset, &definition, 1)), bits(&specified), "{kernel}");
    }
}

/// A module lifted to nearest copies bits, negative zeros included.
#[test]
fn a_module_lifted_to_nearest_repeats_every_value_bit_for_bit() {
    let mut random = fastrand::Rng::with_seed(7);
    for scale in 1..=8 {
        for dyscope in [false, true] {
            let definition = Definition::new(24, scale, DySampleStyle::Lp, 4, dyscope).unwrap();
            let x = Array4::from_shape_simple_fn((1, 24, 5, 9), || match random.u8(0..4) {
                0 => -0.0,
                _ => f32::from_bits(random.u32(..) & 0xbf7f_ffff),
            });
            let parameters = lift(&definition, Lift::Nearest).unwrap();
            let offset = offsets(&x, &definition, &offset_kernels(&definition, &parameters));
            let (_, _, height, width) = x.dim();
            let nearest = Array4::from_shape_fn((1, 24, height * scale, width * scale), |(n, c, row, column)| {
                x[[n, c, row / scale, column / scale]]
            });
            for kernel in Kernel::available() {
                assert_eq!(bits(&run(kernel, &x, &offset, &definition, 1)), bits(&nearest), "{kernel}, scale {scale}");
            }
        }
    }
}

#[test]
fn views_need_not_be_contiguous_and_empty_maps_are_empty() {
    let mut random = fastrand::Rng::with_seed(8);
    let x = Array4::from_shape_simple_fn((6, 5, 8, 1), || random.f32());
    let offset = Array4::from_shape_simple_fn((1, 16, 5, 6), || random.f32());
    let view = x.view().permuted_axes([3, 2, 1, 0]);
    let expected = upsample(view.to_owned().view(), offset.view(), 2, 2).unwrap();
    assert_eq!(upsample(view, offset.view(), 2, 2).unwrap(), expected);
    let (x, offset) = (Array4::zeros((0, 4, 3, 3)), Array4::zeros((0, 8, 3, 3)));
    assert_eq!(upsample(x.view(), offset.view(), 2, 1).unwrap().shape(), [0, 4, 6, 6]);
    let (x, offset) = (Array4::zeros((1, 4, 3, 0)), Array4::zeros((1, 8, 3, 0)));
    assert_eq!(upsample(x.view(), offset.view(), 2, 1).unwrap().shape(), [1, 4, 6, 0]);
}

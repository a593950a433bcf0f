//! The ONNX body of DySample against its definition, inside networks with several of them and at several input sizes.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may")]

mod common;

use ndarray::{Array4, ArrayView2, s};
use yolo9::architecture::{Operation, Step};
use yolo9::onnx::{Dim, value_info};

/// The definition: output pixel `(s·h + i, s·w + j)` of a channel is its map sampled bilinearly at `(w, h)` plus the
/// offset of the channel's group at `(i, j)`, clamped to the map.
fn sample(x: &Array4<f32>, offset: &Array4<f32>, scale: usize, groups: usize) -> Array4<f32> {
    let (_, channels, height, width) = x.dim();
    Array4::from_shape_fn((1, channels, height * scale, width * scale), |(_, channel, row, column)| {
        let (h, w) = (row / scale, column / scale);
        let group = channel / (channels / groups);
        let q = group * scale * scale + (row % scale) * scale + column % scale;
        let at = |component: usize| offset[[0, component * groups * scale * scale + q, h, w]];
        bilinear(x.slice(s![0, channel, .., ..]), w as f32 + at(0), h as f32 + at(1))
    })
}

fn bilinear(map: ArrayView2<'_, f32>, x: f32, y: f32) -> f32 {
    let (height, width) = map.dim();
    let (x, y) = (x.clamp(0.0, width as f32 - 1.0), y.clamp(0.0, height as f32 - 1.0));
    let (x0, y0) = (x as usize, y as usize);
    let (x1, y1) = ((x0 + 1).min(width - 1), (y0 + 1).min(height - 1));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let row = |y: usize| (1.0 - fx) * map[[y, x0]] + fx * map[[y, x1]];
    (1.0 - fy) * row(y0) + fy * row(y1)
}

#[test]
fn the_body_computes_the_definition_at_any_size() {
    let mut checked = 0;
    for name in ["yolov9-c-dysample-tiny", "gelan-c-dysample-pl-scope-tiny", "gelan-c-dysample-lp-scope-tiny"] {
        let mut network = common::network(&common::data("golden").join(name).join("model.pt"));
        let is_dysample = |step: &&Step| matches!(step.operation, Operation::DySample(_));
        let steps: Vec<Step> = network.architecture.main_steps().filter(is_dysample).cloned().collect();
        let names = |step: &Step| {
            let (x, y) = (step.inputs[0].id, step.outputs[0].id);
            [format!("v{x}"), format!("v{y}.offset"), format!("v{y}")]
        };
        for output in steps.iter().flat_map(names) {
            let axes = ["a", "b", "c", "d"].map(|axis| format!("{axis} of {output}"));
            let dims = axes.each_ref().map(|axis| Dim::Named(axis));
            network.onnx.proto.graph.as_mut().unwrap().output.push(value_info(&output, &dims));
        }
        let mut model = common::session(&network, 2);
        for (height, width) in [(64, 96), (32, 32), (160, 224)] {
            let input = Array4::from_shape_fn((1, 3, height, width), |(_, c, y, x)| {
                ((c * 7 + y * 5 + x * 3) % 11) as f32 / 11.0
            });
            let outputs = model.run_all(input.view()).unwrap();
            for step in &steps {
                let Operation::DySample(layer) = &step.operation else { unreachable!() };
                let [x, offset, y] = names(step).map(|name| outputs[&name].clone());
                let expected = sample(&x, &offset, layer.definition.scale, layer.definition.groups);
                assert_eq!(y.dim(), expected.dim());
                let largest = x.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
                let difference = (&y - &expected).iter().fold(0.0f32, |most, value| most.max(value.abs()));
                // GridSample normalises and unnormalises the position, which rounds it.
                assert!(difference <= 2e-5 * largest, "{name} {height}x{width}: {difference} of {largest}");
                checked += 1;
            }
        }
    }
    // Three sizes; one, two and one DySample.
    assert_eq!(checked, 3 * (1 + 2 + 1));
}

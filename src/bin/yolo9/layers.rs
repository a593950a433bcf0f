//! Layers of networks as text, and those in which two networks differ.

use std::collections::HashMap;

use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices};
use yolo9::Size;
use yolo9::architecture::{LayerSummary, Role};
use yolo9::config::source_layer;
use yolo9::untrusted::shortened;

use crate::report::grouped;

/// A layer of one network or both.
pub(crate) enum Pair<'a> {
    Same(&'a LayerSummary, &'a LayerSummary),
    Changed(&'a LayerSummary, &'a LayerSummary),
    OnlyA(&'a LayerSummary),
    OnlyB(&'a LayerSummary),
}

/// Characters of a cell. Longer lists are for --json.
const LONGEST: usize = 60;

/// A layer as text: index, from, module, args, output, parameters, GFLOPs.
pub(crate) fn cells(layer: &LayerSummary) -> [String; 7] {
    let list = |items: Vec<String>| shortened(&format!("[{}]", items.join(", ")), LONGEST).into_owned();
    let from: Vec<String> = layer.spec.from.iter().map(ToString::to_string).collect();
    [
        layer.spec.index.to_string(),
        if let [one] = from.as_slice() { one.clone() } else { list(from) },
        layer.spec.module.to_string(),
        list(layer.spec.args.iter().map(ToString::to_string).collect()),
        maps(layer),
        grouped(layer.cost.parameters),
        format!("{:.3}", layer.cost.gflops()),
    ]
}

fn maps(layer: &LayerSummary) -> String {
    let map = |(channels, size): &(usize, Size)| format!("{channels}x{}x{}", size.height, size.width);
    let maps: Vec<String> = layer.outputs.iter().map(map).collect();
    match maps.as_slice() {
        [] => "-".into(),
        [one] => one.clone(),
        [first, .., last] => format!("{} maps, {first} to {last}", maps.len()),
    }
}

/// What a layer is besides its number and wires.
fn essence(layer: &LayerSummary) -> String {
    let [_, _, module, args, output, ..] = cells(layer);
    format!("{module} {args} {output}")
}

/// The layers in which two networks differ, a line each, after one that says how many are the same.
pub(crate) fn differences(a: &[LayerSummary], b: &[LayerSummary]) -> Vec<String> {
    let pairs = aligned(a, b);
    let same = pairs.iter().filter(|pair| matches!(pair, Pair::Same(..))).count();
    if same == pairs.len() {
        return vec![format!("all {same} layers are the same")];
    }
    let from = |layer: &LayerSummary, of: [&LayerSummary; 2]| match of.iter().all(|one| sources(one) == sources(layer))
    {
        true => String::new(),
        false => format!(" from {:?}", layer.spec.from),
    };
    let line = |pair: &Pair<'_>| match pair {
        Pair::Same(..) => None,
        Pair::OnlyA(layer) => Some(format!("- {:>3}  {}", layer.spec.index, essence(layer))),
        Pair::OnlyB(layer) => Some(format!("+ {:>3}  {}", layer.spec.index, essence(layer))),
        Pair::Changed(a, b) => {
            let change = change(a.cost.parameters, b.cost.parameters, b.cost.gflops() - a.cost.gflops());
            let place = if a.spec.index == b.spec.index { String::new() } else { format!("{} ", b.spec.index) };
            let (before, after) = (essence(a) + &from(a, [a, b]), essence(b) + &from(b, [a, b]));
            Some(format!("* {:>3}  {before}  =>  {place}{after}{change}", a.spec.index))
        }
    };
    let lines = pairs.iter().filter_map(line);
    std::iter::once(format!("{same} layers are the same; those that differ:")).chain(lines).collect()
}

/// `   +16,416 parameters, +0.046 GFLOPs`, or nothing.
pub(crate) fn change(before: u64, after: u64, gflops: f64) -> String {
    if before == after && gflops == 0.0 {
        return String::new();
    }
    let sign = if after < before { '-' } else { '+' };
    format!("   {sign}{} parameters, {gflops:+.3} GFLOPs", grouped(before.abs_diff(after)))
}

/// Layers paired by the longest common sequence; layers between that stand at the same place are changed ones, and so are
/// layers that read from others than their pair does.
pub(crate) fn aligned<'a>(a: &'a [LayerSummary], b: &'a [LayerSummary]) -> Vec<Pair<'a>> {
    let mut pairs = common_layers(a, b);
    let indices = |pair: &Pair<'_>| match pair {
        Pair::Same(a, b) | Pair::Changed(a, b) => Some((a.spec.index, b.spec.index)),
        Pair::OnlyA(_) | Pair::OnlyB(_) => None,
    };
    let partner: HashMap<usize, usize> = pairs.iter().filter_map(indices).collect();
    for pair in &mut pairs {
        let Pair::Same(a, b) = *pair else { continue };
        let there = |source: Option<usize>| source.map(|source| partner.get(&source).copied());
        let expected = sources(b).into_iter().map(|source| source.map(Some));
        if !sources(a).into_iter().map(there).eq(expected) {
            *pair = Pair::Changed(a, b);
        }
    }
    pairs
}

/// The layers that a layer reads; none for the image.
fn sources(layer: &LayerSummary) -> Vec<Option<usize>> {
    let source = |from: &i64| usize::try_from(source_layer(layer.spec.index, *from)).ok();
    layer.spec.from.iter().map(source).collect()
}

fn common_layers<'a>(a: &'a [LayerSummary], b: &'a [LayerSummary]) -> Vec<Pair<'a>> {
    // An auxiliary layer is not the main one that looks like it, nor is a head the one of other widths.
    let keys = |layers: &[LayerSummary]| {
        layers.iter().map(|layer| (essence(layer), layer.role == Role::Main, layer.cost.parameters)).collect::<Vec<_>>()
    };
    let pairs = |part: DiffOp| -> Vec<Pair<'a>> {
        let (a, b) = (&a[part.old_range()], &b[part.new_range()]);
        match part.tag() {
            DiffTag::Equal => a.iter().zip(b).map(|(a, b)| Pair::Same(a, b)).collect(),
            // As many as there are on both sides are changes.
            _ if a.len() == b.len() => a.iter().zip(b).map(|(a, b)| Pair::Changed(a, b)).collect(),
            _ => a.iter().map(Pair::OnlyA).chain(b.iter().map(Pair::OnlyB)).collect(),
        }
    };
    capture_diff_slices(Algorithm::Myers, &keys(a), &keys(b)).into_iter().flat_map(pairs).collect()
}

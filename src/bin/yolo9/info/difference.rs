//! Two subjects side by side.

use serde_json::{Value, json};
use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices};
use yolo9::Size;
use yolo9::architecture::{LayerSummary, Role};
use yolo9::checkpoint::Checkpoint;
use yolo9::config::source_layer;
use yolo9::untrusted::printable;

use super::subject::{Content, Subject};
use super::text::{essence, headlines, metadata};
use super::{grouped, json as one_json};
use crate::console::print_line;

/// A layer of one network or both.
enum Pair<'a> {
    Same(&'a LayerSummary, &'a LayerSummary),
    Changed(&'a LayerSummary, &'a LayerSummary),
    OnlyA(&'a LayerSummary),
    OnlyB(&'a LayerSummary),
}

pub(super) fn print(a: &Subject, b: &Subject, imgsz: Size) -> anyhow::Result<()> {
    let (lines_a, lines_b) = (lines(a, imgsz)?, lines(b, imgsz)?);
    let width = lines_a.iter().map(|(_, value)| short(value).chars().count()).max().unwrap_or(0);
    print_line!("  {:<14} {:<width$}   {}", "", "A", "B");
    let mut labels: Vec<&str> = Vec::new();
    for (label, _) in lines_a.iter().chain(&lines_b) {
        if !labels.contains(&label.as_str()) {
            labels.push(label);
        }
    }
    let value = |lines: &[(String, String)], label: &str| {
        lines.iter().find(|(known, _)| known == label).map_or_else(|| "-".into(), |(_, value)| value.clone())
    };
    for label in labels {
        let (a, b) = (value(&lines_a, label), value(&lines_b, label));
        let mark = if a == b { ' ' } else { '*' };
        print_line!("{mark} {:<14} {:<width$}   {}", printable(label), short(&a), short(&b));
    }
    if let (Some(network_a), Some(network_b)) = (a.network(), b.network()) {
        for (total_a, total_b) in network_a.totals(imgsz)?.iter().zip(network_b.totals(imgsz)?) {
            let (a, b) = (&total_a.cost, &total_b.cost);
            if a != b {
                let change = change(a.parameters, b.parameters, b.gflops() - a.gflops());
                print_line!("  {:<12} B has{change}", total_a.form);
            }
        }
        print_layers(&network_a.layers(imgsz)?, &network_b.layers(imgsz)?)?;
    }
    if let (Some(a), Some(b)) = (a.checkpoint(), b.checkpoint()) {
        print_tensors(&Tensors::compare(a, b)?)?;
    }
    Ok(())
}

/// What is said of a subject, by label.
fn lines(subject: &Subject, imgsz: Size) -> anyhow::Result<Vec<(String, String)>> {
    let mut lines = vec![("file".to_owned(), subject.name.clone()), ("kind".into(), subject.kind.clone())];
    lines.extend(headlines(subject).into_iter().map(|(label, value)| (label.to_owned(), value)));
    if let Some(names) = &subject.class_names {
        // The headline shows the first names only.
        lines.iter_mut().filter(|(label, _)| label == "classes").for_each(|(_, value)| {
            *value = format!("{}: {}", names.len(), names.join(", "));
        });
    }
    if let Some(network) = subject.network() {
        for total in network.totals(imgsz)? {
            let (parameters, gflops) = (grouped(total.cost.parameters), total.cost.gflops());
            let line = format!("{} layers, {parameters} parameters, {gflops:.1} GFLOPs", total.layers);
            lines.push((total.form.into(), line));
        }
    }
    if let Content::Exported(file) = &subject.content {
        for (n, line) in file.signature.iter().enumerate() {
            lines.push((format!("wire {}", n + 1), line.clone()));
        }
        let operators: Vec<String> = file.operators.iter().map(|(name, count)| format!("{count} {name}")).collect();
        lines.push(("operators".into(), operators.join(", ")));
    }
    lines.extend(metadata(subject).map(|(key, value)| (key.to_owned(), value.to_owned())));
    Ok(lines)
}

fn print_tensors(tensors: &Tensors) -> anyhow::Result<()> {
    let Tensors { equal, differ, only_a, only_b } = tensors;
    print_line!(
        "\ntensors: {equal} equal, {} differ, {} only in A, {} only in B",
        differ.len(),
        only_a.len(),
        only_b.len()
    );
    for (what, names) in [("differ", differ), ("only in A", only_a), ("only in B", only_b)] {
        if !names.is_empty() {
            let more = if names.len() > 6 { ", …" } else { "" };
            let names: Vec<&str> = names.iter().take(6).map(String::as_str).collect();
            print_line!("  {what}: {}{more}", printable(&names.join(", ")));
        }
    }
    Ok(())
}

fn print_layers(a: &[LayerSummary], b: &[LayerSummary]) -> anyhow::Result<()> {
    let pairs = aligned(a, b);
    let same = pairs.iter().filter(|pair| matches!(pair, Pair::Same(..))).count();
    if same == pairs.len() {
        print_line!("\nall {same} layers are the same");
        return Ok(());
    }
    print_line!("\n{same} layers are the same; those that differ:");
    for pair in &pairs {
        match pair {
            Pair::Same(..) => {}
            Pair::OnlyA(layer) => print_line!("- {:>3}  {}", layer.index, essence(layer)),
            Pair::OnlyB(layer) => print_line!("+ {:>3}  {}", layer.index, essence(layer)),
            Pair::Changed(a, b) => {
                let change = change(a.cost.parameters, b.cost.parameters, b.cost.gflops() - a.cost.gflops());
                let from = |layer: &LayerSummary| match sources(layer) == sources(a) && sources(layer) == sources(b) {
                    true => String::new(),
                    false => format!(" from {:?}", layer.from),
                };
                let place = if a.index == b.index { String::new() } else { format!("{} ", b.index) };
                print_line!(
                    "* {:>3}  {}{}  =>  {place}{}{}{change}",
                    a.index,
                    essence(a),
                    from(a),
                    essence(b),
                    from(b)
                );
            }
        }
    }
    Ok(())
}

/// `   +16,416 parameters, +0.046 GFLOPs`, or nothing.
fn change(before: u64, after: u64, gflops: f64) -> String {
    if before == after && gflops == 0.0 {
        return String::new();
    }
    let sign = if after < before { '-' } else { '+' };
    format!("   {sign}{} parameters, {gflops:+.3} GFLOPs", grouped(before.abs_diff(after)))
}

fn short(text: &str) -> String {
    let text = printable(text);
    if text.chars().count() <= 60 { text.into_owned() } else { text.chars().take(59).chain(['…']).collect() }
}

pub(super) fn json(a: &Subject, b: &Subject, imgsz: Size) -> anyhow::Result<Value> {
    let mut value = json!({ "a": one_json::subject(a, imgsz)?, "b": one_json::subject(b, imgsz)? });
    if let (Some(network_a), Some(network_b)) = (a.network(), b.network()) {
        let (a, b) = (network_a.layers(imgsz)?, network_b.layers(imgsz)?);
        let layers = aligned(&a, &b).into_iter().filter_map(|pair| match pair {
            Pair::Same(..) => None,
            Pair::Changed(a, b) => Some(json!({ "a": one_json::layer(a), "b": one_json::layer(b) })),
            Pair::OnlyA(layer) => Some(json!({ "a": one_json::layer(layer), "b": null })),
            Pair::OnlyB(layer) => Some(json!({ "a": null, "b": one_json::layer(layer) })),
        });
        value["layers"] = layers.collect();
    }
    if let (Some(a), Some(b)) = (a.checkpoint(), b.checkpoint()) {
        let Tensors { equal, differ, only_a, only_b } = Tensors::compare(a, b)?;
        value["tensors"] = json!({ "equal": equal, "differ": differ, "only_a": only_a, "only_b": only_b });
    }
    Ok(value)
}

/// Layers paired by the longest common sequence; layers between that stand at the same place are changed ones, and so are
/// layers that read from others than their pair does.
fn aligned<'a>(a: &'a [LayerSummary], b: &'a [LayerSummary]) -> Vec<Pair<'a>> {
    let mut pairs = common_layers(a, b);
    let partner: std::collections::HashMap<usize, usize> = pairs
        .iter()
        .filter_map(|pair| match pair {
            Pair::Same(a, b) | Pair::Changed(a, b) => Some((a.index, b.index)),
            _ => None,
        })
        .collect();
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
    let source = |from: &i64| usize::try_from(source_layer(layer.index, *from)).ok();
    layer.from.iter().map(source).collect()
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

/// Which tensors of two checkpoints hold the same numbers.
struct Tensors {
    equal: usize,
    differ: Vec<String>,
    only_a: Vec<String>,
    only_b: Vec<String>,
}

impl Tensors {
    fn compare(a: &Checkpoint, b: &Checkpoint) -> anyhow::Result<Self> {
        let mut tensors = Self { equal: 0, differ: Vec::new(), only_a: Vec::new(), only_b: Vec::new() };
        for (name, tensor) in a.tensors() {
            let Some(other) = b.tensors().get(name) else {
                tensors.only_a.push(name.clone());
                continue;
            };
            let equal = tensor.shape() == other.shape() && a.same_numbers(b, name)?;
            if equal {
                tensors.equal += 1;
            } else {
                tensors.differ.push(name.clone());
            }
        }
        tensors.only_b = b.tensors().keys().filter(|name| a.shape(name).is_none()).cloned().collect();
        Ok(tensors)
    }
}

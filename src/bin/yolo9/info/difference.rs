//! Two subjects side by side.

use serde::Serialize;
use serde_json::{Value, json};
use yolo9::Size;
use yolo9::checkpoint::Checkpoint;
use yolo9::untrusted::printable;

use super::json as one_json;
use super::subject::{Content, Subject};
use super::text::{headlines, metadata};
use crate::console::print_line;
use crate::layers::{Pair, aligned, change, differences};
use crate::report::grouped;

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
        print_line!("");
        for line in differences(&network_a.architecture.summary(imgsz)?, &network_b.architecture.summary(imgsz)?) {
            print_line!("{line}");
        }
    }
    if let (Some(a), Some(b)) = (a.checkpoint(), b.checkpoint()) {
        print_tensors(&TensorDifference::compare(a, b)?)?;
    }
    Ok(())
}

/// What is said of a subject, by label.
fn lines(subject: &Subject, imgsz: Size) -> anyhow::Result<Vec<(String, String)>> {
    let mut lines = vec![("file".to_owned(), subject.name.clone()), ("kind".into(), subject.kind.clone())];
    lines.extend(headlines(subject, usize::MAX).into_iter().map(|(label, value)| (label.to_owned(), value)));
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
    }
    lines.extend(metadata(subject).map(|(key, value)| (key.to_owned(), value.to_owned())));
    Ok(lines)
}

fn print_tensors(tensors: &TensorDifference) -> anyhow::Result<()> {
    let TensorDifference { equal, differ, only_a, only_b } = tensors;
    let [differing, of_a, of_b] = [differ, only_a, only_b].map(Vec::len);
    print_line!("\ntensors: {equal} equal, {differing} differ, {of_a} only in A, {of_b} only in B");
    for (what, names) in [("differ", differ), ("only in A", only_a), ("only in B", only_b)] {
        if !names.is_empty() {
            let more = if names.len() > 6 { ", …" } else { "" };
            let names: Vec<&str> = names.iter().take(6).map(String::as_str).collect();
            print_line!("  {what}: {}{more}", printable(&names.join(", ")));
        }
    }
    Ok(())
}

fn short(text: &str) -> String {
    let text = printable(text);
    if text.chars().count() <= 60 { text.into_owned() } else { text.chars().take(59).chain(['…']).collect() }
}

pub(super) fn json(a: &Subject, b: &Subject, imgsz: Size) -> anyhow::Result<Value> {
    let mut value = json!({ "a": one_json::subject(a, imgsz)?, "b": one_json::subject(b, imgsz)? });
    if let (Some(network_a), Some(network_b)) = (a.network(), b.network()) {
        let (a, b) = (network_a.architecture.summary(imgsz)?, network_b.architecture.summary(imgsz)?);
        let layers = aligned(&a, &b).into_iter().filter_map(|pair| match pair {
            Pair::Same(..) => None,
            Pair::Changed(a, b) => Some(json!({ "a": one_json::layer(a), "b": one_json::layer(b) })),
            Pair::OnlyA(layer) => Some(json!({ "a": one_json::layer(layer), "b": null })),
            Pair::OnlyB(layer) => Some(json!({ "a": null, "b": one_json::layer(layer) })),
        });
        value["layers"] = layers.collect();
    }
    if let (Some(a), Some(b)) = (a.checkpoint(), b.checkpoint()) {
        value["tensors"] = json!(TensorDifference::compare(a, b)?);
    }
    Ok(value)
}

/// Which tensors of two checkpoints hold the same numbers.
#[derive(Default, Serialize)]
struct TensorDifference {
    equal: usize,
    differ: Vec<String>,
    only_a: Vec<String>,
    only_b: Vec<String>,
}

impl TensorDifference {
    fn compare(a: &Checkpoint, b: &Checkpoint) -> anyhow::Result<Self> {
        let mut tensors = Self::default();
        for (name, tensor) in a.tensors() {
            match b.tensors().get(name) {
                None => tensors.only_a.push(name.clone()),
                Some(other) if tensor.shape() == other.shape() && a.same_numbers(b, name)? => tensors.equal += 1,
                Some(_) => tensors.differ.push(name.clone()),
            }
        }
        tensors.only_b = b.tensors().keys().filter(|name| a.shape(name).is_none()).cloned().collect();
        Ok(tensors)
    }
}

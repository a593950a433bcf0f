//! One subject for people.

use yolo9::Size;
use yolo9::architecture::Role;
use yolo9::checkpoint::Checkpoint;
use yolo9::untrusted::printable;

use super::subject::{Content, ResolvedNetwork, Subject, TensorStatistics};
use crate::console::print_line;
use crate::layers::cells;
use crate::report::grouped;

/// Class names beyond this are not shown.
const SHOWN_NAMES: usize = 12;

pub(super) fn print(subject: &Subject, imgsz: Size) -> anyhow::Result<()> {
    print_line!("{}: {}", printable(&subject.name), printable(&subject.kind));
    for (label, value) in headlines(subject, SHOWN_NAMES) {
        print_line!("  {label:<14} {}", printable(&value));
    }
    for (key, value) in metadata(subject) {
        print_line!("  {:<14} {}", printable(key), printable(value));
    }
    match &subject.content {
        Content::ResolvedNetwork { network, .. } => table(network, imgsz)?,
        Content::Weights { reason, .. } => print_line!("\nno network: {reason}"),
        Content::Exported(file) => {
            for line in &file.signature {
                print_line!("  {line}");
            }
        }
    }
    Ok(())
}

/// What the file says of itself, but for what the headlines say.
pub(super) fn metadata(subject: &Subject) -> impl Iterator<Item = (&str, &str)> {
    let said = |key: &str| key == "stride" && subject.network().is_some();
    subject.metadata.iter().filter(move |(key, _)| !said(key)).map(|(key, value)| (key.as_str(), value.as_str()))
}

/// What is said of a subject before its layers, with at most so many names of classes.
pub(super) fn headlines(subject: &Subject, names: usize) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(format) = subject.format {
        lines.push(("format", format.to_string()));
    }
    if let Some(network) = subject.network() {
        lines.push(("network", network.config.clone()));
    }
    if let Some(classes) = subject.classes() {
        lines.push(("classes", classes_line(classes, subject.class_names.as_deref(), names)));
    }
    if let Some(network) = subject.network() {
        let strides: Vec<String> = network.strides().iter().map(ToString::to_string).collect();
        lines.push(("strides", strides.join(", ")));
        lines.push(("activation", network.activation.to_string()));
    }
    if let Some(checkpoint) = subject.checkpoint() {
        lines.push(("tensors", tensors_line(checkpoint)));
    }
    if let Content::Exported(file) = &subject.content {
        lines.push(("opset", file.opset.map_or_else(|| "?".into(), |opset| opset.to_string())));
        let operators: Vec<String> = file.operators.iter().map(|(name, count)| format!("{count} {name}")).collect();
        lines.push(("operators", operators.join(", ")));
    }
    lines
}

fn classes_line(classes: usize, names: Option<&[String]>, most: usize) -> String {
    let Some(names) = names else { return classes.to_string() };
    let shown = names.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if names.len() > most { ", …" } else { "" };
    format!("{classes}: {shown}{more}")
}

fn tensors_line(checkpoint: &Checkpoint) -> String {
    let TensorStatistics { count, bytes, kinds } = TensorStatistics::of(checkpoint);
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let normalised = checkpoint.tensors().keys().any(|name| name.ends_with(".running_var"));
    let form = if normalised { "" } else { ", normalisation folded" };
    format!("{count} ({}), {} bytes{form}", kinds.join(", "), grouped(bytes as u64))
}

fn table(network: &ResolvedNetwork, imgsz: Size) -> anyhow::Result<()> {
    let rows: Vec<[String; 7]> = network.architecture.summary(imgsz)?.iter().map(cells).collect();
    let heads = ["#", "from", "module", "args", "output CxHxW", "parameters", "GFLOPs"];
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).chain([heads[column].len()]).max().unwrap_or(0)
    };
    let [w0, w1, w2, w3, w4, w5, w6] = [0, 1, 2, 3, 4, 5, 6].map(width);
    let line = |[index, from, module, args, output, parameters, gflops]: [&str; 7]| {
        format!(
            "{index:>w0$}  {from:<w1$}  {module:<w2$}  {args:<w3$}  {output:<w4$}  {parameters:>w5$}  {gflops:>w6$}"
        )
    };
    print_line!("\n{}", line(heads));
    for (row, layer) in rows.iter().zip(network.architecture.layers()) {
        let mark = if layer.role == Role::Auxiliary { "  auxiliary" } else { "" };
        print_line!("{}{mark}", line(row.each_ref().map(String::as_str)));
    }
    print_line!("\nat {}x{} (height x width):", imgsz.height, imgsz.width);
    for total in network.totals(imgsz)? {
        print_line!(
            "  {:<10} {:>3} layers  {:>11} parameters  {:>6.1} GFLOPs",
            total.form,
            total.layers,
            grouped(total.cost.parameters),
            total.cost.gflops()
        );
    }
    Ok(())
}

//! `yolo9 info`: what is in a model file or config, or what two of them differ in.

mod difference;
mod json;
mod pickle;
mod subject;
mod text;

use clap::Args;
use yolo9::Size;

use crate::Outcome;
use crate::args::{Globals, parse_size};
use crate::console::print_line;
use subject::Subject;

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Model files (.pt, .safetensors, .onnx) or configs (a YAML file or a built-in name); two are compared.
    #[arg(required = true, num_args = 1..=2, value_name = "FILE|CONFIG")]
    subjects: Vec<String>,

    /// Architecture of weights that do not carry theirs: a YAML file, or a built-in name.
    #[arg(long, value_name = "FILE|NAME")]
    config: Option<String>,

    /// Size of the input that maps and GFLOPs are given for: one side, or height and width.
    #[arg(long, alias = "img", value_name = "SIZE", value_parser = parse_size, default_value = "640")]
    imgsz: Size,

    /// Number of classes of a config alone, if not its own.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    nc: Option<u32>,

    /// List every class and function, kind of storage and unknown object in the file's pickle, and what was refused.
    #[arg(long)]
    pickle: bool,

    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &InfoArgs, globals: &Globals) -> anyhow::Result<Outcome> {
    if args.pickle {
        return pickle::run(args, globals);
    }
    let subjects = args.subjects.iter().map(|name| Subject::open(name, args, globals));
    let subjects = subjects.collect::<anyhow::Result<Vec<Subject>>>()?;
    match (subjects.as_slice(), args.json) {
        ([one], false) => text::print(one, args.imgsz)?,
        ([one], true) => print_line!("{:#}", json::subject(one, args.imgsz)?),
        ([a, b], false) => difference::print(a, b, args.imgsz)?,
        ([a, b], true) => print_line!("{:#}", difference::json(a, b, args.imgsz)?),
        _ => anyhow::bail!("one or two files or configs"),
    }
    Ok(Outcome::Done)
}

/// `2,407,632`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 2_407_632].map(grouped), ["0", "999", "1,000", "2,407,632"]);
    }
}

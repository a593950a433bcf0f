//! `yolo9 info`: a summary of a model file or config, or the difference of two.

mod difference;
mod json;
mod pickle;
mod subject;
mod text;

use crate::cli::{Globals, InfoArgs};
use crate::console::print_line;
use crate::exit::ExitStatus;
use subject::Subject;

pub(crate) fn run(args: &InfoArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
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
    Ok(ExitStatus::Done)
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

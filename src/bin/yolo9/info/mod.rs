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

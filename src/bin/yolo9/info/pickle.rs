//! `yolo9 info --pickle`.

use serde_json::json;
use yolo9::checkpoint::{PickleReport, Treatment};
use yolo9::untrusted::printable;

use crate::cli::{Globals, InfoArgs};
use crate::console::print_line;
use crate::exit::ExitStatus;
use crate::report::grouped;
use crate::weights::{LocatedWeights, locate};

pub(super) fn run(args: &InfoArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    let [name] = args.subjects.as_slice() else { anyhow::bail!("--pickle looks into one file") };
    let path = match locate(name, globals)? {
        LocatedWeights::File(path) => path,
        LocatedWeights::Embedded(_) => {
            anyhow::bail!("{name} is a model inside the program: safetensors, without a pickle")
        }
        LocatedWeights::Object(..) => {
            anyhow::bail!("{name}: --pickle looks into files of this machine; copy it first")
        }
    };
    let report = PickleReport::open(&path)?;
    if args.json {
        let mut value = json!(report);
        value["name"] = json!(name);
        print_line!("{value:#}");
    } else {
        print(name, &report)?;
    }
    Ok(ExitStatus::Done)
}

fn treatment(treatment: Treatment) -> &'static str {
    match treatment {
        Treatment::Refused => "REFUSED",
        Treatment::Suspicious => "SUSPICIOUS",
        Treatment::Opaque => "opaque",
        Treatment::Interpreted => "interpreted",
    }
}

fn print(name: &str, report: &PickleReport) -> anyhow::Result<()> {
    print_line!(
        "{}: {}, {} values; nothing was executed",
        printable(name),
        report.container,
        grouped(report.values as u64)
    );
    print_line!("\n{:<12} {:>8} {:>8}  class or function", "", "objects", "calls");
    for global in &report.globals {
        print_line!(
            "{:<12} {:>8} {:>8}  {}",
            treatment(global.treatment),
            global.objects,
            global.calls,
            printable(&global.name)
        );
        for arguments in &global.arguments {
            print_line!("{:<31} called with {}", "", printable(arguments));
        }
    }
    print_line!("\n{:<24} {:>8} {:>14} {:>14}  saved from", "storages", "count", "elements", "bytes");
    for storages in &report.storages {
        print_line!(
            "{:<24} {:>8} {:>14} {:>14}  {}",
            printable(&storages.kind),
            storages.count,
            grouped(storages.elements as u64),
            grouped(storages.bytes as u64),
            printable(&storages.locations.join(", "))
        );
    }
    let count = |wanted: Treatment| report.globals.iter().filter(|global| global.treatment == wanted).count();
    match (count(Treatment::Refused), count(Treatment::Suspicious)) {
        (0, 0) => print_line!(
            "\nit calls only functions that make data; the classes that are opaque here run their own code in PyTorch"
        ),
        (refused, suspicious) => print_line!(
            "\nof the functions above, PyTorch runs {refused} refused and {suspicious} suspicious when it loads the file: do not \
             load it with torch.load unless you know what they are for"
        ),
    }
    Ok(())
}

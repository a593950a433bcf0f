//! `yolo9 configs`.

use yolo9::Size;
use yolo9::architecture::{Architecture, Form};
use yolo9::config::{BUILTIN_CONFIGS, ModelConfig, ModuleKind};

use crate::cli::ConfigsArgs;
use crate::console::print_line;
use crate::exit::ExitStatus;

pub(crate) fn run(args: &ConfigsArgs) -> anyhow::Result<ExitStatus> {
    if let Some(name) = &args.name {
        print_line!("{}", ModelConfig::builtin(name)?.source.trim_end());
        return Ok(ExitStatus::Done);
    }
    if args.modules {
        for (name, _, arguments) in ModuleKind::names() {
            print_line!("{name:<15} {arguments}");
        }
        return Ok(ExitStatus::Done);
    }
    print_line!("{:<22} {:>7} {:>12} {:>8}   at 640x640, 80 classes", "config", "layers", "parameters", "GFLOPs");
    for config in BUILTIN_CONFIGS {
        let architecture = Architecture::new(&ModelConfig::builtin(config.name)?)?;
        let cost = architecture.cost(Size::square(640), Form::Deployed)?;
        let layers = architecture.layers().len() - architecture.auxiliary_layers();
        print_line!("{:<22} {layers:>7} {:>12} {:>8.1}", config.name, cost.parameters, cost.gflops());
    }
    Ok(ExitStatus::Done)
}

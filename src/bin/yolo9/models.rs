//! `yolo9 models`.

use yolo9::config::did_you_mean;
use yolo9::embedded;
use yolo9::hub::{Hub, RELEASES, Release, find_release, nearest_release};

use crate::cli::{Globals, ModelsAction, ModelsArgs};
use crate::console::print_line;
use crate::exit::ExitStatus;
use crate::weights::fetch;

pub(crate) fn run(args: &ModelsArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    match args.action.as_ref().unwrap_or(&ModelsAction::List) {
        ModelsAction::List => list(globals)?,
        ModelsAction::Pull { names } => {
            // All names before the first of them.
            let wanted = names.iter().map(|name| named(name)).collect::<anyhow::Result<Vec<_>>>()?;
            for release in wanted {
                print_line!("{}\t{}", release.name, fetch(release, globals)?.display());
            }
        }
        ModelsAction::Remove { names, forget } => {
            let hub = Hub::new(globals.offline)?;
            let wanted = names.iter().map(|name| named(name)).collect::<anyhow::Result<Vec<_>>>()?;
            for release in wanted {
                let found = hub.remove(release, *forget)?;
                log::info!("{}: {}", release.name, if found { "removed" } else { "was not in the cache" });
            }
        }
    }
    Ok(ExitStatus::Done)
}

fn named(name: &str) -> anyhow::Result<&'static Release> {
    find_release(name).ok_or_else(|| {
        let hint = did_you_mean(nearest_release(name));
        anyhow::anyhow!("{name} is not a released file{hint} (`yolo9 models` lists them)")
    })
}

fn list(globals: &Globals) -> anyhow::Result<()> {
    let hub = Hub::new(globals.offline)?;
    for model in embedded::MODELS {
        print_line!("{:<20} {:>10}  {}, {}", model.name, "embedded", model.detects, model.about);
    }
    for release in RELEASES {
        let length = std::fs::metadata(hub.path(release)).map(|metadata| metadata.len());
        let state = length.map_or_else(|_| "-".to_owned(), |length| format!("{:.1} MB", length as f64 / 1e6));
        print_line!("{:<20} {state:>10}  {}", release.name, release.about);
    }
    Ok(())
}

//! `yolo9 models`.

use clap::{Args, Subcommand};
use yolo9::embedded;
use yolo9::hub::{Hub, Release, find_release, nearest_release, releases};

use crate::Outcome;
use crate::args::Globals;
use crate::console::print_line;
use crate::weights::fetch;

#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List all names that --weights takes, and which files are in the cache (the default).
    List,
    /// Fetch released files into the cache.
    Pull {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Delete released files from the cache, and what was fetched of them.
    Remove {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,

        /// Forget the hash of the first use too, so that a file that its publishers replaced is accepted.
        #[arg(long)]
        forget: bool,
    },
}

pub(crate) fn run(args: &ModelsArgs, globals: &Globals) -> anyhow::Result<Outcome> {
    match args.action.as_ref().unwrap_or(&Action::List) {
        Action::List => list(globals)?,
        Action::Pull { names } => {
            // All names before the first of them.
            let wanted = names.iter().map(|name| named(name)).collect::<anyhow::Result<Vec<_>>>()?;
            for release in wanted {
                print_line!("{}\t{}", release.name, fetch(release, globals)?.display());
            }
        }
        Action::Remove { names, forget } => {
            let hub = Hub::new(globals.offline)?;
            let wanted = names.iter().map(|name| named(name)).collect::<anyhow::Result<Vec<_>>>()?;
            for release in wanted {
                let found = hub.remove(release, *forget)?;
                log::info!("{}: {}", release.name, if found { "removed" } else { "was not in the cache" });
            }
        }
    }
    Ok(Outcome::Done)
}

fn named(name: &str) -> anyhow::Result<&'static Release> {
    find_release(name).ok_or_else(|| {
        let hint = nearest_release(name).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        anyhow::anyhow!("{name} is not a released file{hint} (`yolo9 models` lists them)")
    })
}

fn list(globals: &Globals) -> anyhow::Result<()> {
    let hub = Hub::new(globals.offline)?;
    for model in embedded::models() {
        print_line!("{:<20} {:>10}  {}", model.name, "embedded", model.about);
    }
    for release in releases() {
        let length = std::fs::metadata(hub.path(release)).map(|metadata| metadata.len());
        let state = length.map_or_else(|_| "-".to_owned(), |length| format!("{:.1} MB", length as f64 / 1e6));
        print_line!("{:<20} {state:>10}  {}", release.name, release.about);
    }
    Ok(())
}

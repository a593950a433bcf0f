//! What a run writes must be none of what it reads, and no two results may go to one place.

use std::cell::LazyCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use yolo9::output::folder_of;

use super::places::{JOURNAL, is_reserved};
use super::plan::{Planned, RunPlan};
use crate::cli::DetectArgs;
use crate::overwrite::{FileId, refuse};
use crate::settings_file;

/// Before anything is written.
pub(crate) fn check(args: &DetectArgs, plan: &RunPlan) -> anyhow::Result<()> {
    let out = args.output.out.as_deref().map(resolved);
    let files: Vec<(&str, &Path)> = args.output.formats.files().collect();
    // Of drawn images, which only some need to know.
    let places = LazyCell::new(|| match args.output.no_draw {
        true => HashSet::new(),
        false => plan.images.iter().map(Planned::place).collect(),
    });
    let is_taken = |place: &Path| is_reserved(place) || in_folder(args, place) || places.contains(place);
    for (option, file) in &files {
        let inside = out.as_ref().and_then(|out| Some(resolved(file).strip_prefix(out).ok()?.to_path_buf()));
        anyhow::ensure!(
            !inside.is_some_and(|place| is_taken(&place)),
            "{option} {}: another result of this run goes there; choose another place",
            file.display()
        );
    }
    if !(args.output.exist_ok || args.resume) {
        // Then nothing is replaced.
        return Ok(());
    }
    let others = others(args, plan);
    let images = || plan.images.iter().filter_map(|planned| planned.source.path());
    refuse(others.iter().map(PathBuf::as_path).chain(images()), &files)?;
    match &out {
        Some(out) if out.is_dir() => inside(plan, out, &others, is_taken),
        _ => Ok(()),
    }
}

/// Refuses inputs in the output folder that a result would replace.
fn inside(plan: &RunPlan, out: &Path, others: &[PathBuf], is_taken: impl Fn(&Path) -> bool) -> anyhow::Result<()> {
    let images = plan.images.iter().filter_map(|planned| planned.source.path());
    // The only file that is written in place, so also under another name.
    let journal = FileId::number(&out.join(JOURNAL));
    for input in images.chain(others.iter().map(PathBuf::as_path)) {
        let Ok(path) = input.canonicalize() else { continue };
        let is_journal = journal.is_some() && FileId::number(input) == journal;
        let Ok(relative) = path.strip_prefix(out) else {
            anyhow::ensure!(!is_journal, "{}: is the journal of this run", input.display());
            continue;
        };
        anyhow::ensure!(
            !is_journal && !is_taken(relative),
            "{}: a result of this run would replace it, which is one of its inputs; choose another --out",
            input.display()
        );
    }
    Ok(())
}

/// What the run reads besides images.
fn others(args: &DetectArgs, plan: &RunPlan) -> Vec<PathBuf> {
    let model = args.model.files().into_iter().chain(args.runtime.engine.onnxruntime.clone());
    let all = model.chain(plan.lists.iter().cloned()).chain(settings_file::candidates());
    all.filter(|path| path.exists()).collect()
}

/// Whether a place lies in the folder of an output of this run.
fn in_folder(args: &DetectArgs, place: &Path) -> bool {
    let first = place.components().next().map(|first| first.as_os_str());
    args.output.image_files().any(|files| files.folder.is_some_and(|folder| first == Some(folder.as_ref())))
}

/// A path with all links followed, as far as there is something.
fn resolved(path: &Path) -> PathBuf {
    if let Ok(found) = path.canonicalize() {
        return found;
    }
    match path.file_name() {
        Some(name) => resolved(folder_of(path)).join(name),
        None => std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()),
    }
}

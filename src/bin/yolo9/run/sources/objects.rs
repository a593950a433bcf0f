//! Images of object stores: a folder or pattern there becomes its objects one after the other.

use std::path::{Component, Path, PathBuf};

use globset::GlobBuilder;
use yolo9::image::is_image_name;

use super::Source;
use crate::objects::{below, list, plain, split};

/// The objects below an address that are images, or images that match its pattern. What ends it is why it cannot be listed.
///
/// # Errors
/// When the address or its pattern is none.
pub(crate) fn objects(address: &str) -> Result<impl Iterator<Item = Result<Source, String>> + use<>, String> {
    let (listed, pattern) = split(address);
    let listed = plain(listed)?;
    let glob = |pattern| GlobBuilder::new(pattern).literal_separator(true).build();
    let matcher = (!pattern.is_empty()).then(|| glob(pattern)).transpose();
    let matcher =
        matcher.map_err(|error| format!("not a pattern: {}", error.kind()))?.map(|glob| glob.compile_matcher());
    let failed = |reason| format!("cannot be listed: {reason}");
    Ok(list(&listed).map_err(failed)?.filter_map(move |address| match address {
        Ok(address) => {
            let below = below(&address, &listed);
            let matches = matcher.as_ref().is_none_or(|matcher| matcher.is_match(below));
            (matches && is_image_name(Path::new(&address))).then(|| Ok(Source::object(&address, &place(below))))
        }
        Err(reason) => Some(Err(failed(reason))),
    }))
}

/// The place of an object's results: its key, as far as that stays below the output folder.
pub(super) fn place(key: &str) -> PathBuf {
    let plain: PathBuf = Path::new(key).components().filter(|part| matches!(part, Component::Normal(_))).collect();
    if plain.as_os_str().is_empty() { "image".into() } else { plain }
}

//! What lies below an address, as it is listed: never all of it in memory.

use futures_util::StreamExt;
use object_store::path::Path as Key;

use super::store::{Place, Store, reason, wait};
use super::web_folder;

/// The addresses of all objects below an address; after an error there is nothing more to ask for.
pub(crate) fn list(address: &str) -> Result<impl Iterator<Item = Result<String, String>> + use<>, String> {
    let Place { store, base, key } = Place::of(address)?;
    let keys: Box<dyn Iterator<Item = Result<Key, String>>> = if web_folder(address.as_ref()).is_some() {
        Box::new(in_folders(store, key))
    } else {
        // By their keys; a page of them is in memory.
        let mut pages = store.list(Some(&key));
        Box::new(std::iter::from_fn(move || match wait(pages.next()) {
            Ok(next) => next.map(|found| found.map(|found| found.location).map_err(|error| reason(&error))),
            Err(reason) => Some(Err(reason)),
        }))
    };
    Ok(keys.map(move |key| key.map(|key| format!("{base}/{key}"))))
}

/// Files below a folder of a web server that speaks WebDAV (RFC 4918), by the names in each folder, deepest last. The names
/// in one are in memory.
///
/// Folders are asked for one by one (`Depth: 1`): many servers refuse to list a whole tree, and it would come in one answer.
fn in_folders(store: Store, root: Key) -> impl Iterator<Item = Result<Key, String>> {
    // Still to be listed; the last one is next.
    let mut open = vec![root];
    let mut found = Vec::new().into_iter();
    std::iter::from_fn(move || {
        loop {
            if let Some(file) = found.next() {
                return Some(Ok(file));
            }
            let folder = open.pop()?;
            let inside = match wait(store.list_with_delimiter(Some(&folder))) {
                Ok(Ok(inside)) => inside,
                Ok(Err(error)) => {
                    let reason = reason(&error);
                    return Some(Err(format!("/{folder}: folders of web servers are listed by WebDAV: {reason}")));
                }
                Err(reason) => return Some(Err(reason)),
            };
            // What a server says is in a folder is taken only if it is: it could send a reader round in circles.
            let is_inside = |key: &Key| key.prefix_matches(&folder) && *key != folder;
            let mut folders: Vec<Key> = inside.common_prefixes.into_iter().filter(is_inside).collect();
            folders.sort_by(|a, b| b.cmp(a));
            open.extend(folders);
            let files = inside.objects.into_iter().map(|object| object.location).filter(is_inside);
            let mut files: Vec<Key> = files.collect();
            files.sort();
            found = files.into_iter();
        }
    })
}

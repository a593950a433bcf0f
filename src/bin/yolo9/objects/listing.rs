//! What lies below an address, as it is listed: never all of it in memory.

use std::vec;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::ObjectMeta;
use object_store::path::Path as Key;

use super::store::{Place, Store, reason, wait};
use super::web_folder;

/// Objects below an address, by their addresses.
pub(crate) struct Listing(Result<Listed, Option<String>>);

struct Listed {
    base: String,
    order: Order,
}

enum Order {
    /// By their keys; a page of them is in memory.
    Keys(BoxStream<'static, object_store::Result<ObjectMeta>>),
    /// Folder by folder; the names in one are in memory.
    Folders(Folders),
}

/// All objects below an address.
pub(crate) fn list(address: &str) -> Listing {
    Listing(Place::of(address).map_err(Some).map(|Place { store, base, key }| {
        let order = if web_folder(address.as_ref()).is_some() {
            Order::Folders(Folders { store, open: vec![key], found: Vec::new().into_iter() })
        } else {
            Order::Keys(store.list(Some(&key)))
        };
        Listed { base, order }
    }))
}

impl Iterator for Listing {
    type Item = Result<String, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let listed = match &mut self.0 {
            Ok(listed) => listed,
            Err(reason) => return reason.take().map(Err),
        };
        let next = match &mut listed.order {
            Order::Keys(pages) => match wait(pages.next()) {
                Ok(next) => next.map(|next| next.map(|found| found.location).map_err(|error| reason(&error))),
                Err(reason) => Some(Err(reason)),
            },
            Order::Folders(folders) => folders.next(),
        };
        let address = next?.map(|key| format!("{}/{key}", listed.base));
        if address.is_err() {
            self.0 = Err(None);
        }
        Some(address)
    }
}

/// Files below a folder of a web server that speaks WebDAV (RFC 4918), by the names in each folder, deepest last.
///
/// Folders are asked for one by one (`Depth: 1`): many servers refuse to list a whole tree, and it would come in one answer.
struct Folders {
    store: Store,
    /// Still to be listed; the last one is next.
    open: Vec<Key>,
    found: vec::IntoIter<Key>,
}

impl Iterator for Folders {
    type Item = Result<Key, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(file) = self.found.next() {
                return Some(Ok(file));
            }
            let folder = self.open.pop()?;
            let inside = match wait(self.store.list_with_delimiter(Some(&folder))) {
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
            self.open.extend(folders);
            let mut files: Vec<Key> =
                inside.objects.into_iter().map(|object| object.location).filter(is_inside).collect();
            files.sort();
            self.found = files.into_iter();
        }
    }
}

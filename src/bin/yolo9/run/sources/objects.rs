//! Images of object stores: a folder or pattern there becomes its objects one after the other.

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use yolo9::image::EXTENSIONS;
use yolo9::untrusted::FileKind;

use super::Source;
use crate::objects::{Listing, below, list, plain, read as read_object, split};

/// The objects below an address that are images, or that match its pattern.
pub(crate) struct Objects {
    listed: String,
    matcher: Option<GlobMatcher>,
    listing: Listing,
}

impl Objects {
    /// # Errors
    /// When the address or its pattern is none.
    pub(crate) fn open(address: &str) -> Result<Self, String> {
        let (listed, pattern) = split(address);
        let listed = plain(listed)?;
        let glob = |pattern| GlobBuilder::new(pattern).literal_separator(true).build();
        let matcher = (!pattern.is_empty()).then(|| glob(pattern)).transpose();
        let matcher = matcher.map_err(|error| format!("not a pattern: {}", error.kind()))?;
        Ok(Self { matcher: matcher.map(|glob| glob.compile_matcher()), listing: list(&listed), listed })
    }
}

impl Iterator for Objects {
    type Item = Result<Source, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let address = match self.listing.next()? {
                Ok(address) => address,
                Err(reason) => return Some(Err(format!("cannot be listed: {reason}"))),
            };
            let below = below(&address, &self.listed);
            let matches = self.matcher.as_ref().is_none_or(|matcher| matcher.is_match(below));
            if matches && is_image(&address) {
                return Some(Ok(Source::object(&address, &place(below))));
            }
        }
    }
}

/// Whether an object is called as images are.
pub(super) fn is_image(address: &str) -> bool {
    let extension = address.rsplit_once('.').map_or("", |(_, extension)| extension);
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// The place of an object's results: its key, as far as that stays below the output folder.
pub(super) fn place(key: &str) -> PathBuf {
    let plain: PathBuf = Path::new(key).components().filter(|part| matches!(part, Component::Normal(_))).collect();
    if plain.as_os_str().is_empty() { "image".into() } else { plain }
}

/// An image's bytes.
pub(super) fn read(address: &str) -> Result<Vec<u8>, String> {
    read_object(address, FileKind::Image.max_bytes())
}

/// The lines of a list.
pub(super) fn read_list(address: &str) -> Result<String, String> {
    let bytes = read_object(address, FileKind::List.max_bytes())?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}

//! Inputs that lie in object stores and on the web.

use std::path::Path;

use yolo9::image::is_image_name;
use yolo9::untrusted::FileKind;

use super::expand::Expansion;
use super::{Origin, Source, objects, remote};
use crate::objects::{ReadAt, read, split};

impl Expansion<'_> {
    pub(super) fn offline(&mut self, address: &str) {
        self.failed(Path::new(address), "addresses are not read with --offline (or YOLO9_OFFLINE)".into());
    }

    /// Whether an address may be read, and was not before.
    fn is_taken(&mut self, address: &str) -> bool {
        if self.options.offline {
            self.offline(address);
            return false;
        }
        self.first_time(Path::new(address))
    }

    /// An image on the web.
    pub(super) fn remote(&mut self, address: &str) {
        if self.is_taken(address) {
            self.add(Origin::Remote(address.into()), Path::new(&remote::file_name(address)));
        }
    }

    /// The lines of a list. It names nothing on this machine: what is no address is relative to the list.
    pub(super) fn list_at(&mut self, address: &str, read: ReadAt) {
        if !self.is_taken(address) {
            return;
        }
        let folder = &address[..address.rfind('/').map_or(0, |slash| slash + 1)];
        let text = read(address, FileKind::List.max_bytes())
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned()));
        match text {
            Ok(text) => text.lines().map(str::trim).for_each(|line| {
                if !self.takes_line(Path::new(line)) {
                    self.takes_line(Path::new(&format!("{folder}{}", line.trim_start_matches("./"))));
                }
            }),
            Err(reason) => self.failed(Path::new(address), reason),
        }
    }

    /// An image, a list, or all that is below an address or matches a pattern.
    pub(super) fn objects(&mut self, address: &str) {
        let (_, pattern) = split(address);
        if pattern.is_empty() && remote::is_list(address) {
            self.list_at(address, read);
        } else if pattern.is_empty() && is_image_name(Path::new(address)) {
            self.object(address);
        } else if !self.options.listings {
            self.failed(
                Path::new(address),
                "what lies there is listed by `yolo9 detect` only; name the images in a .txt list".into(),
            );
        } else if self.is_taken(address) {
            self.add(Origin::Listing(address.into()), Path::new(""));
        }
    }

    /// An object that is an image.
    pub(super) fn object(&mut self, address: &str) {
        if self.is_taken(address) {
            let name = address.rsplit('/').next().unwrap_or_default();
            self.sources.images.push(Source::object(address, &objects::place(name)));
        }
    }
}

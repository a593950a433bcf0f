//! Inputs that lie in object stores and on the web.

use std::path::Path;

use super::expand::Expansion;
use super::{Origin, Source, objects, remote};
use crate::objects::{address, split, web_address};
use crate::run::video::VideoInput;

fn is_address(line: &Path) -> bool {
    web_address(line).or(address(line)).is_some() || VideoInput::parse(line).is_some_and(|video| video.is_remote())
}

impl Expansion<'_> {
    pub(super) fn offline(&mut self, address: &str) {
        self.failed(Path::new(address), "addresses are not read with --offline (or YOLO9_OFFLINE)".into());
    }

    /// Whether an address may be read, and was not before.
    fn is_taken(&mut self, address: &str) -> bool {
        if self.options.offline {
            self.offline(address);
        }
        !self.options.offline && self.first_time(Path::new(address))
    }

    /// An image on the web.
    pub(super) fn remote(&mut self, address: &str) {
        if self.is_taken(address) {
            self.add(Origin::Remote(address.into()), Path::new(&remote::file_name(address)));
        }
    }

    /// The lines of a list. It names nothing on this machine: what is no address is relative to the list.
    pub(super) fn list_at(&mut self, address: &str, read: fn(&str) -> Result<String, String>) {
        if !self.is_taken(address) {
            return;
        }
        let folder = &address[..address.rfind('/').map_or(0, |slash| slash + 1)];
        match read(address) {
            Ok(text) => text.lines().map(str::trim).for_each(|line| {
                let is_relative = !line.is_empty() && !line.starts_with('#') && !is_address(Path::new(line));
                let line =
                    if is_relative { format!("{folder}{}", line.trim_start_matches("./")) } else { line.to_owned() };
                self.line(Path::new(&line), Path::new(""));
            }),
            Err(reason) => self.failed(Path::new(address), reason),
        }
    }

    /// An image, a list, or all that is below an address or matches a pattern.
    pub(super) fn objects(&mut self, address: &str) {
        let (_, pattern) = split(address);
        if pattern.is_empty() && remote::is_list(address) {
            self.list_at(address, objects::read_list);
        } else if pattern.is_empty() && objects::is_image(address) {
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

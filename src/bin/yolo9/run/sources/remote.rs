//! Images from the web.

use std::path::Path;

use yolo9::hub::download;

/// Larger files are no images that anybody means to process.
const MAX_LENGTH: u64 = 512 << 20;

/// The address that an argument is, if it is one.
pub(super) fn address(input: &Path) -> Option<&str> {
    let text = input.to_str()?;
    let is_address = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    is_address.then_some(text)
}

/// The last part of its path, without what no file may be called.
pub(super) fn file_name(address: &str) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let name = path.split("://").nth(1).and_then(|rest| rest.split_once('/')).map_or("", |(_, path)| path);
    let name = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let plain: String = name.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
    match plain.trim_matches('.') {
        "" => "image.jpg".into(),
        _ => plain,
    }
}

pub(super) fn fetch(address: &str) -> Result<Vec<u8>, String> {
    download(address, MAX_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths_and_give_file_names() {
        assert_eq!(address(Path::new("https://a.b/c.jpg")), Some("https://a.b/c.jpg"));
        assert_eq!(address(Path::new("https/c.jpg")), None);
        struct Case(&'static str, &'static str);
        for Case(address, name) in [
            Case("https://a.b/c/d.jpg?size=1#x", "d.jpg"),
            Case("https://a.b/", "image.jpg"),
            Case("https://a.b", "image.jpg"),
            Case("https://a.b/..", "image.jpg"),
            Case("https://a.b/a%20b.png", "a_20b.png"),
        ] {
            assert_eq!(file_name(address), name);
        }
    }
}

//! Images from the web.

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

/// Whether an address is that of a list of images.
pub(super) fn is_list(address: &str) -> bool {
    file_name(address).to_ascii_lowercase().ends_with(".txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_give_file_names() {
        for (address, name) in [
            ("https://a.b/c/d.jpg?size=1#x", "d.jpg"),
            ("https://a.b/", "image.jpg"),
            ("https://a.b", "image.jpg"),
            ("https://a.b/..", "image.jpg"),
            ("https://a.b/a%20b.png", "a_20b.png"),
        ] {
            assert_eq!(file_name(address), name);
        }
    }
}

//! Object stores: s3, gs, az and abfs addresses as inputs, weights and outputs, and folders of web servers as inputs.
//! Credentials are those of each store's usual environment variables (`AWS_ACCESS_KEY_ID`, `GOOGLE_APPLICATION_CREDENTIALS`,
//! `AZURE_STORAGE_ACCOUNT_NAME`, …), and are never printed.

#[cfg(feature = "cloud")]
mod http;
#[cfg(feature = "cloud")]
mod listing;
#[cfg(feature = "cloud")]
mod store;

use std::path::Path;

#[cfg(feature = "cloud")]
pub(crate) use listing::list;
#[cfg(feature = "cloud")]
pub(crate) use store::{plain, put, read};
#[cfg(not(feature = "cloud"))]
pub(crate) use without::{list, plain, put, read};

/// Reads what is at an address, of at most so many bytes.
pub(crate) type ReadAt = fn(&str, u64) -> Result<Vec<u8>, String>;

/// What addresses begin with.
const SCHEMES: [&str; 6] = ["s3", "s3a", "gs", "az", "abfs", "abfss"];

/// The address in an object store that an argument is, if it is one.
pub(crate) fn address(argument: &Path) -> Option<&str> {
    let text = argument.to_str()?;
    let (scheme, _) = text.split_once("://")?;
    SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(text)
}

/// The address on the web that an argument is, if it is one.
pub(crate) fn web_address(argument: &Path) -> Option<&str> {
    let text = argument.to_str()?;
    let (scheme, _) = text.split_once("://")?;
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(text)
}

/// The address of a folder on the web that an argument is, if it is one: its path ends in a slash, or has an asterisk.
pub(crate) fn web_folder(argument: &Path) -> Option<&str> {
    web_address(argument).filter(|address| {
        let path = address.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
        path.is_some_and(|(_, path)| {
            !path.contains(['?', '#']) && (path.is_empty() || path.ends_with('/') || path.contains('*'))
        })
    })
}

/// An address without its last part, up to the first part with a wildcard: what is listed; and the rest, the pattern.
pub(crate) fn split(address: &str) -> (&str, &str) {
    // On the web the others have meanings of their own.
    let wildcards: &[char] = if web_folder(address.as_ref()).is_some() { &['*'] } else { &['*', '?', '[', '{'] };
    let wild = address.find(wildcards).unwrap_or(address.len());
    if wild == address.len() {
        return (address, "");
    }
    let start = address[..wild].rfind('/').map_or(0, |slash| slash + 1);
    address.split_at(start)
}

/// The path of an object below a listed address.
pub(crate) fn below<'a>(address: &'a str, listed: &str) -> &'a str {
    address.strip_prefix(listed.trim_end_matches('/')).unwrap_or(address).trim_start_matches('/')
}

/// For builds without the feature: every use is refused with what to do.
#[cfg(not(feature = "cloud"))]
mod without {
    use std::path::Path;

    const MISSING: &str = "this yolo9 was built without object stores; build it with `--features cloud`, or install the \
                           Python package, whose yolo9 has them";

    pub(crate) fn list(_address: &str) -> Result<std::iter::Empty<Result<String, String>>, String> {
        Err(MISSING.into())
    }

    pub(crate) fn read(_address: &str, _limit: u64) -> Result<Vec<u8>, String> {
        Err(MISSING.into())
    }

    pub(crate) fn plain(_address: &str) -> Result<String, String> {
        Err(MISSING.into())
    }

    pub(crate) fn put(_address: &str, _file: &Path) -> Result<(), String> {
        Err(MISSING.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths_and_split_at_wildcards() {
        assert_eq!(address(Path::new("S3://bucket/a.jpg")), Some("S3://bucket/a.jpg"));
        for other in ["bucket/a.jpg", "https://a.b/c.jpg", "s4://bucket", "s3:/bucket"] {
            assert_eq!(address(Path::new(other)), None, "{other}");
        }
        for folder in ["https://a.b/", "http://a.b:80/c/", "https://a.b/**/*.jpg"] {
            assert_eq!(web_folder(Path::new(folder)), Some(folder));
        }
        for other in ["https://a.b", "https://a.b/c.jpg", "https://a.b/c?d=/", "s3://b/", "ftp://a.b/"] {
            assert_eq!(web_folder(Path::new(other)), None, "{other}");
        }
        assert_eq!(split("http://[::1]/a [1]/x*.jpg"), ("http://[::1]/a [1]/", "x*.jpg"));
        assert_eq!(split("s3://b/photos"), ("s3://b/photos", ""));
        assert_eq!(split("s3://b/photos/**/*.jpg"), ("s3://b/photos/", "**/*.jpg"));
        assert_eq!(split("s3://b/20*/x.jpg"), ("s3://b/", "20*/x.jpg"));
        assert_eq!(below("s3://b/photos/a/b.jpg", "s3://b/photos/"), "a/b.jpg");
        assert_eq!(below("s3://b/photos/a/b.jpg", "s3://b/photos"), "a/b.jpg");
    }
}

//! Ways in which a released file cannot be had.

use std::path::PathBuf;

use thiserror::Error;

use crate::cache::NoCacheFolder;

/// Why a released file cannot be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HubError {
    /// Nowhere to put it.
    #[error(transparent)]
    Folder(#[from] NoCacheFolder),
    /// The cache folder does not let us.
    #[error("cache folder: {path}: {reason}; make it writable, or choose another one with YOLO9_CACHE")]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        reason: std::io::Error,
    },
    /// Not in the cache, and fetching is forbidden.
    #[error("weights {name} are not in the cache, and fetching is switched off; the file would be at {path}")]
    Offline {
        /// The release.
        name: &'static str,
        /// Where it would be.
        path: PathBuf,
    },
    /// The server's last answer, or the network's last error, after all attempts.
    #[error(
        "weights {name} could not be fetched from {url}: {reason}{}; {remedy} another server with YOLO9_MIRROR",
        if *.attempts > 1 { format!(" ({attempts} attempts)") } else { String::new() }
    )]
    Fetch {
        /// The release.
        name: &'static str,
        /// Where from.
        url: String,
        /// What went wrong.
        reason: String,
        /// How often it was tried.
        attempts: u32,
        /// What to do, before the name of the variable.
        remedy: &'static str,
    },
    /// Whole, but other bytes than those that were fetched first: only their publishers can know why.
    #[error(
        "weights {name} from {url} have sha256 {found}; at first use they had {expected}; the download was deleted. If their \
         publishers replaced the file, the first one must be forgotten"
    )]
    Replaced {
        /// The release.
        name: &'static str,
        /// Where from.
        url: String,
        /// The recorded hash.
        expected: String,
        /// That of the download.
        found: String,
    },
    /// Not the bytes that were published.
    #[error("weights {name} from {url} are not the published file: {reason}; the download was deleted")]
    Wrong {
        /// The release.
        name: &'static str,
        /// Where from.
        url: String,
        /// What differs.
        reason: String,
    },
    /// Other bytes than at first use.
    #[error("{path} has sha256 {found}; at first use it had {expected}: somebody or something changed the file")]
    Changed {
        /// The release.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// The recorded hash.
        expected: String,
        /// Its hash now.
        found: String,
    },
}

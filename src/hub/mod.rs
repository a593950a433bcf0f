//! Released weights by name: fetched once into the cache folder, checked at each use.
//!
//! Nobody publishes hashes of these files. Where independent sources agree on one, it is built in; of the others the hash
//! is recorded at first use, and any later change, of the cached file or of what the server has, is an error.

mod catalogue;
mod error;
mod transfer;

pub use catalogue::{RELEASES, Release, find_release, nearest_release};
pub use error::HubError;
pub use transfer::{DownloadProgress, RetryPolicy, download};

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cache::{cache_folder, offline_by_variable, sha256_of_file};
use crate::untrusted::{FileKind, open_own, open_regular, read_text};
use transfer::{PartialFile, TransferFailure};

/// How `torch.save` files begin. A login page of a network, say, does not.
const ZIP: &[u8] = b"PK\x03\x04";

/// The cache of released weights, and where they come from.
#[derive(Debug, Clone)]
pub struct Hub {
    folder: PathBuf,
    /// Takes the place of everything before the file's name in a URL.
    mirror: Option<String>,
    offline: bool,
    retries: RetryPolicy,
}

impl Hub {
    /// The hub of this user: the cache folder, and `YOLO9_MIRROR` as another place to fetch from.
    ///
    /// # Errors
    /// When there is no cache folder.
    pub fn new(offline: bool) -> Result<Self, HubError> {
        let mirror = std::env::var("YOLO9_MIRROR").ok().filter(|mirror| !mirror.is_empty());
        let offline = offline || offline_by_variable();
        Ok(Self { folder: cache_folder()?.join("models"), mirror, offline, retries: RetryPolicy::default() })
    }

    /// A hub in a folder of its own.
    #[must_use]
    pub fn at(folder: PathBuf, mirror: Option<String>, retries: RetryPolicy) -> Self {
        Self { folder, mirror, offline: false, retries }
    }

    /// Where a file is, or would be.
    #[must_use]
    pub fn path(&self, release: &Release) -> PathBuf {
        self.folder.join(release.file)
    }

    /// Where a file comes from.
    #[must_use]
    pub fn url(&self, release: &Release) -> String {
        let base = self.mirror.as_deref().unwrap_or(release.base).trim_end_matches('/');
        format!("{base}/{}", release.file)
    }

    /// The file, if it is in the cache and has not changed since it came there.
    ///
    /// # Errors
    /// [`HubError::Changed`] when it has.
    pub fn cached(&self, release: &Release) -> Result<Option<PathBuf>, HubError> {
        let path = self.path(release);
        if !path.is_file() {
            return Ok(None);
        }
        let found = sha256_of_file(&path).map_err(|reason| HubError::Cache { path: path.clone(), reason })?;
        let expected = self.expected(release);
        match expected {
            Some(expected) if expected != found => Err(HubError::Changed { name: release.name, path, expected, found }),
            Some(_) => Ok(Some(path)),
            None => {
                self.record(release, &found)?;
                Ok(Some(path))
            }
        }
    }

    /// The file, from the cache or fetched.
    ///
    /// # Errors
    /// [`HubError`] says what failed and what to do. A partial download is kept and continued next time.
    pub fn get(&self, release: &Release, progress: &mut DownloadProgress<'_>) -> Result<PathBuf, HubError> {
        if let Some(path) = self.cached(release)? {
            return Ok(path);
        }
        let path = self.path(release);
        if self.offline {
            return Err(HubError::Offline { name: release.name, path });
        }
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |reason| HubError::Cache { path, reason }
        };
        std::fs::create_dir_all(&self.folder).map_err(failed(&self.folder))?;
        // Processes that come at the same time wait for each other.
        let lock_path = self.folder.join(format!("{}.lock", release.file));
        let lock = open_own(&lock_path, File::options().create(true).write(true)).map_err(failed(&lock_path))?;
        lock.lock().map_err(failed(&lock_path))?;
        if let Some(path) = self.cached(release)? {
            return Ok(path);
        }
        let part = PartialFile::of(&path);
        self.fetch(release, &part, progress)?;
        let hash = self.verify(release, &part)?;
        // In this order, so that no file is ever there without its hash.
        self.record(release, &hash)?;
        std::fs::rename(&part.path, &path).map_err(failed(&path))?;
        part.delete();
        Ok(path)
    }

    /// Deletes the file and what was fetched of it. The hash of its first use stays known unless it shall be forgotten.
    /// Gives whether there was something.
    ///
    /// # Errors
    /// When a file cannot be deleted.
    pub fn remove(&self, release: &Release, forget: bool) -> Result<bool, HubError> {
        let path = self.path(release);
        PartialFile::of(&path).delete();
        let delete = |path: PathBuf| match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(reason) => Err(HubError::Cache { path, reason }),
        };
        let forgotten = forget && delete(self.record_path(release))?;
        Ok(delete(path)? || forgotten)
    }

    fn fetch(
        &self,
        release: &Release,
        part: &PartialFile,
        progress: &mut DownloadProgress<'_>,
    ) -> Result<(), HubError> {
        let url = self.url(release);
        let agent = transfer::agent(&self.retries, None);
        let failed = |reason, attempts, passing| {
            let remedy = if passing { "try again later (what was fetched is kept), or name" } else { "name" };
            HubError::Fetch { name: release.name, url: url.clone(), reason, attempts, remedy }
        };
        let mut pause = self.retries.pause;
        let mut attempt = 1;
        loop {
            match part.fetch((&agent, &self.retries), &url, progress) {
                Ok(()) => return Ok(()),
                Err(TransferFailure::File(reason)) => return Err(HubError::Cache { path: part.path.clone(), reason }),
                Err(TransferFailure::Final(reason)) => return Err(failed(reason, attempt, false)),
                Err(TransferFailure::Passing(reason)) if attempt >= self.retries.attempts => {
                    return Err(failed(reason, attempt, true));
                }
                Err(TransferFailure::Passing(reason)) => log::warn!("{url}: {reason}; trying again"),
            }
            std::thread::sleep(pause);
            pause *= 2;
            attempt += 1;
        }
    }

    /// The hash of a whole download that may be used.
    fn verify(&self, release: &Release, part: &PartialFile) -> Result<String, HubError> {
        let cache_error = |reason| HubError::Cache { path: part.path.clone(), reason };
        let mut start = Vec::new();
        open_regular(&part.path).and_then(|file| file.take(512).read_to_end(&mut start)).map_err(cache_error)?;
        let length = std::fs::metadata(&part.path).map_err(cache_error)?.len();
        let hash = sha256_of_file(&part.path).map_err(cache_error)?;
        let reason = match (self.expected(release), release.known) {
            _ if start.is_empty() => "it is empty".into(),
            _ if !start.starts_with(ZIP) => {
                let shown = String::from_utf8_lossy(&start[..start.len().min(40)]).escape_debug().to_string();
                format!("it is no PyTorch file; it begins with `{shown}`")
            }
            (_, Some((expected, _))) if expected != length => format!("it has {length} bytes, expected {expected}"),
            (Some(expected), Some(_)) if expected != hash => format!("it has sha256 {hash}, expected {expected}"),
            (Some(expected), None) if expected != hash => {
                part.delete();
                return Err(HubError::Replaced { name: release.name, url: self.url(release), expected, found: hash });
            }
            // A server that does not say how long the file is may have ended early.
            _ => match is_whole_zip(&part.path) {
                Ok(()) => return Ok(hash),
                Err(reason) => format!("it is damaged or incomplete: {reason}"),
            },
        };
        part.delete();
        Err(HubError::Wrong { name: release.name, url: self.url(release), reason })
    }

    /// The built-in hash, else that of the first use.
    fn expected(&self, release: &Release) -> Option<String> {
        if let Some((_, hash)) = release.known {
            return Some(hash.to_owned());
        }
        let record = read_text(&self.record_path(release), FileKind::Config).ok()?;
        // A damaged record equals no hash.
        Some(record.split_whitespace().next().unwrap_or("(a damaged record)").to_owned())
    }

    /// As `sha256sum` writes and checks it.
    fn record(&self, release: &Release, hash: &str) -> Result<(), HubError> {
        let path = self.record_path(release);
        let line = format!("{hash}  {}\n", release.file);
        transfer::replace(&path, &line).map_err(|reason| HubError::Cache { path, reason })
    }

    fn record_path(&self, release: &Release) -> PathBuf {
        self.folder.join(format!("{}.sha256", release.file))
    }
}

/// The directory of a zip file is at its end.
fn is_whole_zip(path: &Path) -> Result<(), String> {
    let file = open_regular(path).map_err(|error| error.to_string())?;
    zip::ZipArchive::new(std::io::BufReader::new(file)).map(drop).map_err(|error| error.to_string())
}

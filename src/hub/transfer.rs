//! One download into a file, continued where an earlier attempt ended.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::{HeaderMap, Response, StatusCode};

use crate::untrusted::{FileKind, open_own, read_text};

/// No weight file is nearly as large.
const MAX_LENGTH: u64 = 8 << 30;

/// How patient a download is.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Attempts in all; each continues where the last one ended.
    pub attempts: u32,
    /// Pause after the first failed attempt; it doubles each time.
    pub pause: Duration,
    /// How long a connection or an answer may take, and how long it may then be silent.
    pub silence: Duration,
    /// Bytes per second that must come at the least, on average over each time of [`RetryPolicy::silence`].
    pub lowest_rate: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 5, pause: Duration::from_secs(1), silence: Duration::from_secs(30), lowest_rate: 1000 }
    }
}

/// Bytes that are there, and all, where the server says how many.
pub type DownloadProgress<'a> = dyn FnMut(u64, Option<u64>) + 'a;

/// Why an attempt failed.
pub(super) enum TransferFailure {
    /// Another attempt may succeed.
    Passing(String),
    /// None will.
    Final(String),
    /// The file cannot be written.
    File(std::io::Error),
}

/// A reader that gives up on a server that sends next to nothing: a limit on silence alone would let it take for ever.
struct Steady<R> {
    from: R,
    window: Duration,
    least: u64,
    begun: Instant,
    read: u64,
}

impl<R: Read> Steady<R> {
    fn new(from: R, retries: &RetryPolicy) -> Self {
        let least = retries.lowest_rate.saturating_mul(retries.silence.as_secs());
        Self { from, window: retries.silence, least, begun: Instant::now(), read: 0 }
    }
}

impl<R: Read> Read for Steady<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.read += count as u64;
        if self.begun.elapsed() > self.window {
            if self.read < self.least && count > 0 {
                let (read, seconds) = (self.read, self.begun.elapsed().as_secs());
                return Err(std::io::Error::new(
                    std::io::ErrorKind::TimedOut,
                    format!("the server is too slow: {read} bytes in {seconds} seconds"),
                ));
            }
            (self.begun, self.read) = (Instant::now(), 0);
        }
        Ok(count)
    }
}

/// How long a file of [`download`] may take in all.
const WHOLE: Duration = Duration::from_secs(300);

/// The bytes at an address, two attempts, at most `limit` of them, in five minutes at the most.
///
/// # Errors
/// A sentence that does not repeat the address.
pub fn download(url: &str, limit: u64) -> Result<Vec<u8>, String> {
    let retries = RetryPolicy { silence: Duration::from_secs(10), ..RetryPolicy::default() };
    let agent = agent(&retries, Some(WHOLE));
    let get = || {
        let mut response = agent.get(url).call().map_err(|error| error.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("the server answers {}", response.status()));
        }
        let length = content_length(response.headers());
        let mut bytes = Vec::new();
        let mut body = Steady::new(response.body_mut().as_reader(), &retries).take(limit.saturating_add(1));
        body.read_to_end(&mut bytes).map_err(|error| format!("after {} bytes: {error}", bytes.len()))?;
        match length {
            _ if bytes.len() as u64 > limit => Err(format!("has more than {limit} bytes")),
            Some(length) if length != bytes.len() as u64 => {
                Err(format!("the connection ended after {} of {length} bytes", bytes.len()))
            }
            _ => Ok(bytes),
        }
    };
    get().or_else(|reason| {
        log::debug!("{url}: {reason}; trying again");
        get()
    })
}

/// An HTTP client with the proxies of the environment; a request may take `whole` in all.
pub(super) fn agent(retries: &RetryPolicy, whole: Option<Duration>) -> Agent {
    Agent::config_builder()
        .timeout_global(whole)
        .user_agent(concat!("yolo9/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .timeout_connect(Some(retries.silence))
        .timeout_recv_response(Some(retries.silence))
        .timeout_per_read(Some(retries.silence))
        .build()
        .new_agent()
}

/// A partial download and a note of which version of the file it is a part of.
pub(super) struct PartialFile {
    pub(super) path: PathBuf,
    version: PathBuf,
}

impl PartialFile {
    pub(super) fn of(target: &Path) -> Self {
        let with = |suffix: &str| {
            let mut name = target.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        Self { path: with(".part"), version: with(".part.version") }
    }

    pub(super) fn delete(&self) {
        // Either may not be there; what cannot be deleted is overwritten.
        let _ = (std::fs::remove_file(&self.path), std::fs::remove_file(&self.version));
    }

    /// Continues the download until the file is whole.
    pub(super) fn fetch(
        &self,
        (agent, retries): (&Agent, &RetryPolicy),
        url: &str,
        progress: &mut DownloadProgress<'_>,
    ) -> Result<(), TransferFailure> {
        let there = std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        let version =
            read_text(&self.version, FileKind::Config).ok().filter(|version| !version.is_empty() && there > 0);
        let mut request = agent.get(url).header("accept-encoding", "identity");
        if let Some(version) = &version {
            // A server that has another version by now answers with the whole file.
            request = request.header("range", format!("bytes={there}-")).header("if-range", version);
        }
        let response = request.call().map_err(|error| {
            let reason = error.to_string();
            match error {
                ureq::Error::BadUri(_) | ureq::Error::InvalidProxyUrl | ureq::Error::Http(_) => {
                    TransferFailure::Final(reason)
                }
                _ => TransferFailure::Passing(reason),
            }
        })?;
        let start = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if range_start(&response) == Some(there) => there,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                self.delete();
                return Err(TransferFailure::Passing("the server has not what is missing of the file".into()));
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(TransferFailure::Passing(format!("the server answers {status}")));
            }
            status => return Err(TransferFailure::Final(format!("the server answers {status}"))),
        };
        let total = content_length(response.headers()).map(|length| length.saturating_add(start));
        if total.is_some_and(|total| total > MAX_LENGTH) {
            return Err(TransferFailure::Final(format!("the file would have {} bytes", total.unwrap_or_default())));
        }
        self.note_version(response.headers()).map_err(TransferFailure::File)?;
        let mut file = self.open(start).map_err(TransferFailure::File)?;
        let body = Steady::new(response.into_body().into_reader(), retries);
        let written = copy(body, &mut file, (start, total), progress)?;
        file.sync_all().map_err(TransferFailure::File)?;
        match total {
            Some(total) if written < total => {
                Err(TransferFailure::Passing(format!("the connection ended after {written} of {total} bytes")))
            }
            _ => Ok(()),
        }
    }

    /// A weak tag does not tell that bytes are the same; a date does, to the second, and is better than nothing.
    fn note_version(&self, headers: &HeaderMap) -> std::io::Result<()> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let version = text("etag").filter(|tag| !tag.starts_with("W/")).or_else(|| text("last-modified"));
        replace(&self.version, version.unwrap_or_default())
    }

    fn open(&self, start: u64) -> std::io::Result<File> {
        let mut file = open_own(&self.path, OpenOptions::new().create(true).truncate(false).write(true))?;
        file.set_len(start)?;
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    }
}

/// Writes a small file in the place of whatever stands there, a link included.
pub(super) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get("content-length")?.to_str().ok()?.parse().ok()
}

/// The first byte of a partial answer: `bytes 100-199/200`.
fn range_start<T>(response: &Response<T>) -> Option<u64> {
    let range = response.headers().get("content-range")?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn copy(
    mut from: impl Read,
    to: &mut File,
    (start, total): (u64, Option<u64>),
    progress: &mut DownloadProgress<'_>,
) -> Result<u64, TransferFailure> {
    let mut buffer = vec![0; 1 << 16];
    let mut written = start;
    progress(written, total);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(written),
            Ok(count) => {
                to.write_all(&buffer[..count]).map_err(TransferFailure::File)?;
                written += count as u64;
                progress(written, total);
                if written > MAX_LENGTH {
                    return Err(TransferFailure::Final(format!("the file has more than {MAX_LENGTH} bytes")));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(TransferFailure::Passing(format!("after {written} bytes: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A byte at a time, with a pause before each.
    struct Drip(Duration);

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            std::thread::sleep(self.0);
            buffer[0] = 0;
            Ok(1)
        }
    }

    #[test]
    fn a_server_that_sends_next_to_nothing_is_given_up() {
        let retries = RetryPolicy { silence: Duration::from_secs(1), lowest_rate: 1000, ..RetryPolicy::default() };
        let mut bytes = Vec::new();
        let error = Steady::new(Drip(Duration::from_millis(20)), &retries).read_to_end(&mut bytes).unwrap_err();
        assert!(error.to_string().contains("the server is too slow"), "{error}");
        assert!(bytes.len() < 200);
        let whole = Steady::new(&[7u8; 5000][..], &retries).read_to_end(&mut bytes);
        assert_eq!(whole.unwrap(), 5000);
    }
}

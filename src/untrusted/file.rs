//! Files: regular ones only, and no more of them than their kind can need.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// What a file is read as, which decides how long it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Weights.
    Model,
    /// What may be an exported network, or something else.
    UnknownModel,
    /// An image.
    Image,
    /// Paths, one a line.
    List,
    /// A YAML config, or class names.
    Config,
    /// `yolo9.toml`.
    Settings,
    /// The labels of one image.
    Labels,
    /// A COCO file: annotations or results of a whole dataset.
    Dataset,
}

impl FileKind {
    /// The longest file of this kind that is read, in bytes.
    #[must_use]
    pub const fn max_bytes(self) -> u64 {
        self.limit().0
    }

    /// With what a message calls it.
    const fn limit(self) -> (u64, &'static str) {
        match self {
            // The largest published training checkpoint has 0.6 GB.
            FileKind::Model => (8 << 30, "a model"),
            // The limit of the format ONNX.
            FileKind::UnknownModel => (2 << 30, "a model"),
            FileKind::Image => (256 << 20, "an image"),
            FileKind::List => (256 << 20, "a list"),
            FileKind::Config => (1 << 20, "a config or class names"),
            FileKind::Settings => (1 << 20, "settings"),
            FileKind::Labels => (16 << 20, "labels"),
            // instances_train2017.json has 0.45 GB.
            FileKind::Dataset => (1 << 30, "a COCO file"),
        }
    }

    /// The error for a file that is longer.
    fn too_long(self) -> Error {
        let (most, name) = self.limit();
        let message = format!("it has more than {most} bytes, the most that are read as {name}");
        Error::new(ErrorKind::FileTooLarge, message)
    }
}

/// Opens a regular file for reading. A pipe without a writer does not make it wait, and what was opened is what is
/// looked at: a name can change its meaning in between.
///
/// # Errors
/// When it cannot be opened, or is a folder, a pipe, a socket or a device.
pub fn open_regular(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    let other = if metadata.is_dir() { "it is a folder" } else { "not a regular file" };
    if metadata.is_file() { Ok(file) } else { Err(Error::new(ErrorKind::InvalidInput, other)) }
}

/// Opens a file that is ours, as `options` say. A link would lead to a file that is not, and a pipe would make us wait for
/// somebody at its other end: both are errors.
///
/// # Errors
/// When it cannot be opened, or is no regular file.
pub fn open_own(path: &Path, options: &mut OpenOptions) -> Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let is_other = || path.symlink_metadata().is_ok_and(|metadata| !metadata.is_file());
    let refused =
        || Error::new(ErrorKind::InvalidInput, "it is a link, has a second name, or is no regular file; remove it");
    match options.open(path) {
        Ok(file) if file.metadata()?.is_file() && !is_other() && !has_twins(&file)? => Ok(file),
        Ok(_) => Err(refused()),
        Err(_) if is_other() => Err(refused()),
        Err(error) => Err(error),
    }
}

/// Whether a file has other names, under which it would change too.
#[cfg(unix)]
fn has_twins(file: &File) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.nlink() > 1)
}

/// Other systems do not tell.
#[cfg(not(unix))]
fn has_twins(_file: &File) -> Result<bool> {
    Ok(false)
}

/// Opens a pipe that somebody reads, or a device. One that nobody reads is waited for a little while.
///
/// # Errors
/// When it cannot be opened, or nobody reads it.
pub fn open_stream(path: &Path) -> Result<File> {
    let mut blocking = OpenOptions::new();
    blocking.write(true);
    #[cfg(unix)]
    {
        let mut attempt = OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::custom_flags(attempt.write(true), libc::O_NONBLOCK);
        let start = std::time::Instant::now();
        loop {
            match attempt.open(path) {
                // Now that there is a reader, this does not wait.
                Ok(_reader_is_there) => return blocking.open(path),
                Err(error) if error.raw_os_error() != Some(libc::ENXIO) => return Err(error),
                Err(_) if start.elapsed() > READER => {
                    return Err(Error::new(ErrorKind::TimedOut, "it is a pipe that nobody reads"));
                }
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(20)),
            }
        }
    }
    #[cfg(not(unix))]
    blocking.open(path)
}

/// How long a pipe may be without a reader.
#[cfg(unix)]
const READER: std::time::Duration = std::time::Duration::from_secs(3);

/// The bytes of a regular file.
///
/// # Errors
/// As [`open_regular`], and when it is longer than its kind can be.
pub fn read(path: &Path, kind: FileKind) -> Result<Vec<u8>> {
    read_stamped(path, kind).map(|(bytes, _)| bytes)
}

/// How one content of a file is told from another without reading it: length and time of the last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    /// Length in bytes.
    pub bytes: u64,
    /// Nanoseconds since 1970, where the system knows it.
    pub modified: Option<u64>,
}

impl FileStamp {
    /// Of a file's metadata.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        let since = metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let modified = since.and_then(|since| u64::try_from(since.as_nanos()).ok());
        Self { bytes: metadata.len(), modified }
    }
}

/// As [`read`], with the stamp of what was read.
///
/// # Errors
/// As [`read`].
pub fn read_stamped(path: &Path, kind: FileKind) -> Result<(Vec<u8>, FileStamp)> {
    let file = open_regular(path)?;
    let stamp = FileStamp::of(&file.metadata()?);
    if stamp.bytes > kind.max_bytes() {
        return Err(kind.too_long());
    }
    let mut bytes = Vec::new();
    // Not `with_capacity`, which aborts.
    bytes.try_reserve_exact(usize::try_from(stamp.bytes).unwrap_or(usize::MAX))?;
    read_into(file, kind, &mut bytes)?;
    Ok((bytes, stamp))
}

/// The text of a regular file.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_text(path: &Path, kind: FileKind) -> Result<String> {
    String::from_utf8(read(path, kind)?).map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// The bytes of a stream.
///
/// # Errors
/// When it fails, or is longer than its kind can be.
pub fn read_at_most(from: impl Read, kind: FileKind) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_into(from, kind, &mut bytes)?;
    Ok(bytes)
}

/// A file may grow while it is read, and some files of the system have no length.
fn read_into(from: impl Read, kind: FileKind, bytes: &mut Vec<u8>) -> Result<()> {
    let most = kind.max_bytes();
    from.take(most + 1).read_to_end(bytes)?;
    if bytes.len() as u64 > most { Err(kind.too_long()) } else { Ok(()) }
}

/// Whether an error is of the system and not of the file: the same file may be read later.
#[must_use]
pub fn is_passing(error: &Error) -> bool {
    if matches!(
        error.kind(),
        ErrorKind::OutOfMemory | ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::StaleNetworkFileHandle
    ) {
        return true;
    }
    #[cfg(unix)]
    let passing = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EIO, libc::ENOBUFS];
    #[cfg(not(unix))]
    // ERROR_TOO_MANY_OPEN_FILES, ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY, ERROR_IO_DEVICE.
    let passing = [4, 8, 14, 1117];
    error.raw_os_error().is_some_and(|code| passing.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_sensible_length_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yaml");
        std::fs::write(&file, "nc: 1").unwrap();
        assert_eq!(read_text(&file, FileKind::Config).unwrap(), "nc: 1");
        File::create(&file).unwrap().set_len(FileKind::Config.max_bytes() + 1).unwrap();
        let message = read(&file, FileKind::Config).unwrap_err().to_string();
        assert_eq!(message, "it has more than 1048576 bytes, the most that are read as a config or class names");
        assert!(read(dir.path(), FileKind::Config).is_err());
        assert!(read_at_most(std::io::repeat(0), FileKind::Config).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn failures_of_the_system_are_told_from_those_of_a_file() {
        assert!(is_passing(&Error::from_raw_os_error(libc::EMFILE)));
        assert!(is_passing(&Error::from_raw_os_error(libc::EIO)));
        assert!(!is_passing(&Error::from_raw_os_error(libc::ENOENT)));
    }
}

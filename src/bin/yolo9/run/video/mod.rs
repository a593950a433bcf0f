//! Videos, cameras and streams, through the `ffmpeg` of this machine: it reads and writes what it knows, and frames pass
//! through pipes.

mod reader;
mod writer;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;

pub(crate) use reader::{About, VideoReader};
pub(crate) use writer::VideoWriter;

/// Extensions of files that are videos.
const EXTENSIONS: &[&str] =
    &["3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogv", "webm", "wmv"];

/// How addresses of streams begin.
const SCHEMES: &[&str] = &["rtsp://", "rtsps://", "rtmp://", "rtmps://", "srt://", "udp://"];

/// The variable that names another `ffmpeg`.
const FFMPEG: &str = "YOLO9_FFMPEG";

/// What `ffmpeg` opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VideoInput {
    File(PathBuf),
    /// A device of this machine.
    Camera(String),
    /// An address.
    Stream(String),
}

impl VideoInput {
    /// Recognises an existing file by its extension, a camera by its number or device, a stream by its address.
    pub(crate) fn parse(input: &Path) -> Option<Self> {
        let extension = |path: &Path| {
            let found = path.extension().map(|found| found.to_string_lossy().to_ascii_lowercase());
            found.is_some_and(|found| EXTENSIONS.contains(&found.as_str()) || found == "m3u8")
        };
        let text = input.to_str().unwrap_or_default();
        if SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
            return Some(Self::Stream(text.into()));
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            let path = text.split(['?', '#']).next().unwrap_or_default();
            return extension(Path::new(path)).then(|| Self::Stream(text.into()));
        }
        if text.starts_with("/dev/video") {
            return Some(Self::Camera(text.into()));
        }
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && !input.exists() {
            return Some(Self::Camera(text.into()));
        }
        (extension(input) && input.is_file()).then(|| Self::File(input.into()))
    }

    /// Its file, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            _ => None,
        }
    }

    /// Whether it comes over the network.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// Whether there is such a camera, where the system has files for them.
    fn check(&self) -> Result<(), String> {
        let Self::Camera(device) = self else { return Ok(()) };
        let is_path = device.starts_with('/');
        let path = if is_path { device.clone() } else { format!("/dev/video{device}") };
        let why = if is_path { "" } else { "; a number without a file of that name is taken for a camera" };
        let is_missing = cfg!(target_os = "linux") && !Path::new(&path).exists();
        if is_missing { Err(format!("there is no camera {path}{why}")) } else { Ok(()) }
    }

    /// What the annotated video is called.
    pub(crate) fn file_name(&self) -> String {
        let stem = match self {
            Self::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Camera(device) => format!("camera{}", device.trim_start_matches("/dev/video")),
            Self::Stream(address) => {
                let path = address.split(['?', '#']).next().unwrap_or_default();
                let last = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
                last.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
            }
        };
        if stem.is_empty() { "video.mp4".into() } else { format!("{stem}.mp4") }
    }

    /// The options that make `ffmpeg` or `ffprobe` open it. Nothing in a file may lead to the network.
    fn arguments(&self) -> Vec<OsString> {
        let owned = |arguments: &[&str]| arguments.iter().map(OsString::from).collect();
        match self {
            Self::File(path) => {
                let mut file = OsString::from("file:");
                file.push(path);
                let mut arguments: Vec<OsString> = owned(&["-protocol_whitelist", "file,crypto,data", "-i"]);
                arguments.push(file);
                arguments
            }
            Self::Stream(address) => owned(&["-i", address]),
            Self::Camera(device) if cfg!(target_os = "macos") => owned(&["-f", "avfoundation", "-i", device]),
            Self::Camera(device) if cfg!(windows) => owned(&["-f", "dshow", "-i", &format!("video={device}")]),
            Self::Camera(device) if device.starts_with('/') => owned(&["-f", "v4l2", "-i", device]),
            Self::Camera(number) => owned(&["-f", "v4l2", "-i", &format!("/dev/video{number}")]),
        }
    }
}

impl fmt::Display for VideoInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Camera(device) if device.starts_with('/') => f.write_str(device),
            Self::Camera(number) => write!(f, "camera {number}"),
            Self::Stream(address) => f.write_str(address),
        }
    }
}

/// Of what `ffmpeg` says, the last lines.
const COMPLAINTS: usize = 3;
/// And of each at most so many bytes.
const MAX_LINE: u64 = 1000;

/// What a process says on stderr, read all the time so that it never has to wait: the last lines.
fn listen(stderr: impl Read + Send + 'static) -> JoinHandle<VecDeque<String>> {
    std::thread::spawn(move || {
        let mut last = VecDeque::with_capacity(COMPLAINTS + 1);
        let mut stderr = BufReader::new(stderr);
        loop {
            let mut line = Vec::new();
            // A longer line counts as several.
            match (&mut stderr).take(MAX_LINE).read_until(b'\n', &mut line) {
                Ok(1..) => {}
                _ => return last,
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            log::debug!("ffmpeg: {line}");
            last.push_back(line);
            if last.len() > COMPLAINTS {
                last.pop_front();
            }
        }
    })
}

/// What was heard, once the process has ended.
fn heard(listener: Option<JoinHandle<VecDeque<String>>>) -> String {
    let lines = listener.and_then(|thread| thread.join().ok()).unwrap_or_default();
    lines.into_iter().collect::<Vec<_>>().join("; ")
}

/// `ffmpeg`, or `ffprobe` beside it.
fn tool(name: &str) -> Command {
    let ffmpeg = std::env::var_os(FFMPEG).filter(|path| !path.is_empty()).map(PathBuf::from);
    match ffmpeg {
        Some(path) if name == "ffprobe" => Command::new(path.with_file_name("ffprobe")),
        Some(path) => Command::new(path),
        None => Command::new(name),
    }
}

/// Why `ffmpeg` cannot be started.
fn not_started(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound if std::env::var_os(FFMPEG).is_some() => {
            format!("videos need ffmpeg, and there is no program at the path that {FFMPEG} gives")
        }
        std::io::ErrorKind::NotFound => format!(
            "videos need ffmpeg, which was not found; install it (apt install ffmpeg, brew install ffmpeg), or give its \
             path in {FFMPEG}"
        ),
        _ => format!("ffmpeg cannot be started: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn videos_are_told_from_images() {
        let dir = tempfile::tempdir().unwrap();
        let clip = dir.path().join("a clip.MOV");
        std::fs::write(&clip, "").unwrap();
        assert_eq!(VideoInput::parse(&clip), Some(VideoInput::File(clip.clone())));
        assert_eq!(VideoInput::parse(&dir.path().join("none.mp4")), None, "a missing file is a missing file");
        for (input, name) in [
            ("0", Some("camera0.mp4")),
            ("/dev/video2", Some("camera2.mp4")),
            ("rtsp://host:554/stream1", Some("stream1.mp4")),
            ("https://host/a/clip.webm?token=1", Some("clip.mp4")),
            ("https://host/live.m3u8", Some("live.mp4")),
            ("https://host/a.jpg", None),
            ("a.jpg", None),
        ] {
            assert_eq!(VideoInput::parse(Path::new(input)).map(|video| video.file_name()).as_deref(), name, "{input}");
        }
    }
}

//! A video that is written.

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

use anyhow::Context;
use image::RgbImage;
use yolo9::output::{TemporaryFile, folder_of, temporary_beside};
use yolo9::untrusted::below;

use super::{heard, listen, not_started, tool};

/// An `ffmpeg` that encodes an MP4 file, which appears under its name when it is complete.
#[derive(Debug)]
pub(crate) struct Film {
    folder: PathBuf,
    /// Below the folder.
    place: PathBuf,
    path: PathBuf,
    rate: String,
    encoder: Option<Encoder>,
}

#[derive(Debug)]
struct Encoder {
    child: Child,
    file: TemporaryFile,
    complaints: Option<JoinHandle<VecDeque<String>>>,
}

impl Encoder {
    /// What it said, once it has ended.
    fn complaint(&mut self) -> String {
        let heard = heard(self.complaints.take());
        if heard.is_empty() { String::new() } else { format!(": ffmpeg: {heard}") }
    }
}

impl Film {
    /// Nothing is started before the first frame, whose size is that of the film.
    pub(crate) fn new(folder: &Path, place: PathBuf, rate: &str) -> Self {
        Self { folder: folder.into(), path: folder.join(&place), place, rate: rate.into(), encoder: None }
    }

    pub(crate) fn push(&mut self, frame: &RgbImage) -> anyhow::Result<()> {
        if self.encoder.is_none() {
            let path = below(&self.folder, &self.place);
            let path = path.with_context(|| format!("{} cannot be written", self.path.display()))?;
            self.encoder = Some(start(&path, &self.rate, frame)?);
        }
        let Some(encoder) = &mut self.encoder else { unreachable!("it was started above") };
        let pipe = encoder.child.stdin.as_mut().expect("it is piped");
        if let Err(error) = pipe.write_all(frame.as_raw()) {
            let _ = encoder.child.wait();
            let complaint = encoder.complaint();
            return Err(error).with_context(|| format!("{} cannot be written{complaint}", self.path.display()));
        }
        Ok(())
    }

    /// Completes the file, if there was a frame.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let Some(mut encoder) = self.encoder else { return Ok(()) };
        drop(encoder.child.stdin.take());
        let status = encoder.child.wait().context("ffmpeg cannot be waited for")?;
        anyhow::ensure!(status.success(), "{} cannot be written{}", self.path.display(), encoder.complaint());
        encoder.file.persist(&self.path).map(drop).with_context(|| format!("{} cannot be written", self.path.display()))
    }
}

fn start(path: &Path, rate: &str, frame: &RgbImage) -> anyhow::Result<Encoder> {
    let context = || format!("{} cannot be written", path.display());
    std::fs::create_dir_all(folder_of(path)).with_context(context)?;
    let file = temporary_beside(path).with_context(context)?;
    let (width, height) = frame.dimensions();
    let mut command = tool("ffmpeg");
    // Ctrl-C is for us, who then complete the file.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command
        .args(["-nostdin", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"])
        .args(["-video_size", &format!("{width}x{height}"), "-framerate", rate, "-i", "pipe:0"])
        // Players expect halved colours, and those an even number of pixels.
        .args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2,format=yuv420p", "-movflags", "+faststart", "-f", "mp4", "-y"])
        .arg(format!("file:{}", file.path().display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| anyhow::anyhow!(not_started(&error)))?;
    let complaints = child.stderr.take().map(listen);
    Ok(Encoder { child, file, complaints })
}

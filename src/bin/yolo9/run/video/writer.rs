//! A video that is written.

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use image::RgbImage;
use yolo9::output::{TemporaryFile, folder_of, temporary_beside};
use yolo9::untrusted::below;

use super::{heard, listen, not_started, tool};
use crate::interrupt::{Interrupt, Process};

/// An `ffmpeg` that encodes an MP4 file, which appears under its name when it is complete.
#[derive(Debug)]
pub(crate) struct VideoWriter {
    folder: PathBuf,
    /// Below the folder.
    place: PathBuf,
    path: PathBuf,
    rate: String,
    encoder: Option<Encoder>,
    interrupt: Interrupt,
}

#[derive(Debug)]
struct Encoder {
    process: Process,
    /// Frames are written on a thread of its own, since an encoder that has stalled must not keep us from stopping.
    frames: SyncSender<Vec<u8>>,
    file: TemporaryFile,
    complaints: Option<JoinHandle<VecDeque<String>>>,
}

/// How long an encoder may take to complete a file once somebody has asked to stop, and otherwise. Moving the index to the
/// front, as players on the web need it, writes a long video a second time.
const HURRY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(600);

impl VideoWriter {
    /// Nothing is started before the first frame, whose size is that of the video.
    pub(crate) fn new(folder: &Path, place: PathBuf, rate: &str, interrupt: &Interrupt) -> Self {
        let (folder, path, interrupt) = (folder.to_path_buf(), folder.join(&place), interrupt.clone());
        Self { folder, path, place, rate: rate.into(), encoder: None, interrupt }
    }

    pub(crate) fn push(&mut self, frame: &RgbImage) -> anyhow::Result<()> {
        if self.encoder.is_none() {
            let path = below(&self.folder, &self.place);
            let path = path.with_context(|| format!("{} cannot be written", self.path.display()))?;
            self.encoder = Some(start(&path, &self.rate, frame)?);
        }
        let Some(encoder) = &self.encoder else { unreachable!("it was started above") };
        let mut waiting = frame.as_raw().clone();
        let start = Instant::now();
        loop {
            match encoder.frames.try_send(waiting) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(frame)) => waiting = frame,
                Err(TrySendError::Disconnected(_)) => return self.failed("its pipe was closed"),
            }
            if start.elapsed() > self.patience() {
                return self.failed("it takes no more frames");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn patience(&self) -> Duration {
        if self.interrupt.requested() { HURRY } else { PATIENCE }
    }

    /// Ends the encoder; the error says what it said.
    fn failed(&mut self, reason: &str) -> anyhow::Result<()> {
        let path = self.path.display().to_string();
        let Some(Encoder { process, complaints, .. }) = self.encoder.take() else { return Ok(()) };
        drop(process);
        let heard = heard(complaints);
        let heard = if heard.is_empty() { String::new() } else { format!(": {heard}") };
        anyhow::bail!("{path} cannot be written: ffmpeg: {reason}{heard}")
    }

    /// Completes the file, if there was a frame.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        // The writer ends, and with it the encoder's input.
        let (closed, _) = sync_channel(0);
        drop(std::mem::replace(&mut encoder.frames, closed));
        let status = loop {
            let Some(encoder) = &self.encoder else { return Ok(()) };
            match encoder.process.wait_for(Duration::from_millis(50)) {
                Some(status) => break status,
                None if start.elapsed() > self.patience() => return self.failed("it does not end"),
                None => {}
            }
        };
        if !status.success() {
            return self.failed(&format!("{status}"));
        }
        let Some(Encoder { file, .. }) = self.encoder.take() else { return Ok(()) };
        file.persist(&self.path).map(drop).with_context(|| format!("{} cannot be written", self.path.display()))
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
    let mut pipe = child.stdin.take().context("it is piped")?;
    let (frames, waiting) = sync_channel::<Vec<u8>>(1);
    // It ends when the frames do, or the encoder.
    std::thread::spawn(move || waiting.into_iter().try_for_each(|frame| pipe.write_all(&frame)));
    Ok(Encoder { process: Process::new(child), frames, file, complaints })
}

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
    rate: (u64, u64),
    encoder: Option<Encoder>,
    interrupt: Interrupt,
}

#[derive(Debug)]
struct Encoder {
    process: Process,
    /// Frames are written on a thread of its own, since an encoder that has stalled must not keep us from stopping.
    frames: Option<SyncSender<Vec<u8>>>,
    file: TemporaryFile,
    complaints: Option<JoinHandle<VecDeque<String>>>,
}

/// How long an encoder may take to complete a file once somebody has asked to stop, and otherwise. Moving the index to the
/// front, as players on the web need it, writes a long video a second time.
const HURRY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(600);

impl VideoWriter {
    /// Nothing is started before the first frame, whose size is that of the video.
    pub(crate) fn new(folder: &Path, place: PathBuf, rate: (u64, u64), interrupt: &Interrupt) -> Self {
        let (folder, path, interrupt) = (folder.to_path_buf(), folder.join(&place), interrupt.clone());
        Self { folder, path, place, rate, encoder: None, interrupt }
    }

    pub(crate) fn push(&mut self, frame: &RgbImage) -> anyhow::Result<()> {
        let encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => {
                let path = below(&self.folder, &self.place);
                start(&path.with_context(|| format!("{} cannot be written", self.path.display()))?, self.rate, frame)?
            }
        };
        let Some(frames) = &encoder.frames else { unreachable!("open until the file is completed") };
        let mut waiting = frame.as_raw().clone();
        let start = Instant::now();
        loop {
            match frames.try_send(waiting) {
                Ok(()) => break,
                Err(TrySendError::Full(frame)) => waiting = frame,
                Err(TrySendError::Disconnected(_)) => return self.failed(encoder, "its pipe was closed"),
            }
            if start.elapsed() > self.patience() {
                return self.failed(encoder, "it takes no more frames");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.encoder = Some(encoder);
        Ok(())
    }

    fn patience(&self) -> Duration {
        if self.interrupt.requested() { HURRY } else { PATIENCE }
    }

    /// Ends the encoder; the error says what it said.
    fn failed(&self, Encoder { process, complaints, .. }: Encoder, reason: &str) -> anyhow::Result<()> {
        drop(process);
        let heard = heard(complaints);
        let heard = if heard.is_empty() { String::new() } else { format!(": {heard}") };
        anyhow::bail!("{} cannot be written: ffmpeg: {reason}{heard}", self.path.display())
    }

    /// Completes the file, if there was a frame.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        let Some(mut encoder) = self.encoder.take() else { return Ok(()) };
        // The thread that writes them ends, and with it the encoder's input.
        drop(encoder.frames.take());
        match encoder.process.wait_for(|| self.patience()) {
            Some(status) if status.success() => {
                let written = encoder.file.persist(&self.path);
                written.map(drop).with_context(|| format!("{} cannot be written", self.path.display()))
            }
            Some(status) => self.failed(encoder, &status.to_string()),
            None => self.failed(encoder, "it does not end"),
        }
    }
}

fn start(path: &Path, rate: (u64, u64), frame: &RgbImage) -> anyhow::Result<Encoder> {
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
        .args([
            "-video_size",
            &format!("{width}x{height}"),
            "-framerate",
            &format!("{}/{}", rate.0, rate.1),
            "-i",
            "pipe:0",
        ])
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
    Ok(Encoder { process: Process::new(child), frames: Some(frames), file, complaints })
}

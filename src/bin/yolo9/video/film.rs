//! A video that is written.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::Context;
use image::RgbImage;
use tempfile::TempPath;
use yolo9::output::{folder_of, temporary_beside};

use super::{not_started, tool};

/// An `ffmpeg` that encodes an MP4 file, which appears under its name when it is complete.
#[derive(Debug)]
pub(crate) struct Film {
    path: PathBuf,
    rate: String,
    encoder: Option<(Child, TempPath)>,
}

impl Film {
    /// Nothing is started before the first frame, whose size is that of the film.
    pub(crate) fn new(path: PathBuf, rate: &str) -> Self {
        Self { path, rate: rate.into(), encoder: None }
    }

    pub(crate) fn push(&mut self, frame: &RgbImage) -> anyhow::Result<()> {
        if self.encoder.is_none() {
            self.encoder = Some(start(&self.path, &self.rate, frame)?);
        }
        let Some((child, _)) = &mut self.encoder else { unreachable!("it was started above") };
        let pipe = child.stdin.as_mut().expect("it is piped");
        if let Err(error) = pipe.write_all(frame.as_raw()) {
            let _ = child.wait();
            return Err(error)
                .with_context(|| format!("{} cannot be written{}", self.path.display(), complaint(child)));
        }
        Ok(())
    }

    /// Completes the file, if there was a frame.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let Some((mut child, file)) = self.encoder else { return Ok(()) };
        drop(child.stdin.take());
        let status = child.wait().context("ffmpeg cannot be waited for")?;
        anyhow::ensure!(status.success(), "{} cannot be written{}", self.path.display(), complaint(&mut child));
        file.persist(&self.path).with_context(|| format!("{} cannot be written", self.path.display()))
    }
}

fn start(path: &Path, rate: &str, frame: &RgbImage) -> anyhow::Result<(Child, TempPath)> {
    let context = || format!("{} cannot be written", path.display());
    std::fs::create_dir_all(folder_of(path)).with_context(context)?;
    let file = temporary_beside(path).with_context(context)?.into_temp_path();
    let (width, height) = frame.dimensions();
    let child = tool("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"])
        .args(["-video_size", &format!("{width}x{height}"), "-framerate", rate, "-i", "pipe:0"])
        // Players expect halved colours, and those an even number of pixels.
        .args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2,format=yuv420p", "-movflags", "+faststart", "-f", "mp4", "-y"])
        .arg(format!("file:{}", file.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| anyhow::anyhow!(not_started(&error)))?;
    Ok((child, file))
}

/// What an ended encoder said.
fn complaint(child: &mut Child) -> String {
    let mut text = String::new();
    let _ = child.stderr.take().map(|stderr| stderr.take(4096).read_to_string(&mut text));
    if text.trim().is_empty() { String::new() } else { format!(": ffmpeg: {}", text.trim().replace('\n', "; ")) }
}

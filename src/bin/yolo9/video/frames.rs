//! The frames of a video, one after the other.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use image::RgbImage;
use serde_json::Value;

use super::{VideoInput, heard, listen, not_started, tool};

/// What a video says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct About {
    /// Frames per second, as a fraction, as far as that is known.
    pub(crate) rate: Option<String>,
    /// How many frames it will give, as far as that is known.
    pub(crate) frames: Option<u64>,
}

/// An `ffmpeg` that decodes.
#[derive(Debug)]
pub(crate) struct Frames {
    child: Child,
    pipe: BufReader<ChildStdout>,
    complaints: Option<JoinHandle<VecDeque<String>>>,
    about: About,
    max_pixels: u64,
    number: u64,
}

impl Frames {
    /// Starts it. Frames come upright and at a constant rate.
    pub(crate) fn open(input: &VideoInput, max_pixels: u64) -> Result<Self, String> {
        let about = about(input);
        // A PPM frame says its own size.
        let mut child = tool("ffmpeg")
            .args(["-nostdin", "-loglevel", "error"])
            .args(input.arguments())
            .args(["-map", "0:v:0"])
            // Without a known rate every frame is taken as it comes.
            .args(about.rate.iter().flat_map(|rate| ["-r", rate]))
            .args(["-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "pipe:1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| not_started(&error))?;
        let pipe = BufReader::with_capacity(1 << 20, child.stdout.take().expect("it is piped"));
        let complaints = child.stderr.take().map(listen);
        Ok(Self { child, pipe, complaints, about, max_pixels, number: 0 })
    }

    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// The next frame and its number, from 1; nothing after the last one.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, RgbImage)>, String> {
        let Some((width, height)) = self.header()? else {
            return self.ended().map(|()| None);
        };
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(format!("frames of {width}x{height} pixels are too large; the limit is --max-megapixels"));
        }
        let mut pixels = vec![0; 3 * width as usize * height as usize];
        self.pipe.read_exact(&mut pixels).map_err(|error| format!("ffmpeg ended within a frame: {error}"))?;
        self.number += 1;
        let frame = RgbImage::from_raw(width, height, pixels).expect("the buffer was made for that size");
        Ok(Some((self.number, frame)))
    }

    /// `P6`, width and height, `255`, each on a line.
    fn header(&mut self) -> Result<Option<(u32, u32)>, String> {
        let mut line = || {
            let mut line = String::new();
            self.pipe.read_line(&mut line).map(|_| line).map_err(|error| format!("ffmpeg cannot be read: {error}"))
        };
        let (magic, size, most) = (line()?, line()?, line()?);
        if magic.is_empty() {
            return Ok(None);
        }
        let sides = size.trim().split_once(' ').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        match sides {
            Some(sides) if magic == "P6\n" && most == "255\n" => Ok(Some(sides)),
            _ => Err(format!("ffmpeg gave {magic:?}, {size:?}, {most:?}; expected the head of a PPM picture")),
        }
    }

    /// Whether it ended well.
    fn ended(&mut self) -> Result<(), String> {
        let status = self.child.wait().map_err(|error| format!("ffmpeg cannot be waited for: {error}"))?;
        let complaints = heard(self.complaints.take());
        match (status.success(), self.number) {
            (true, 1..) if complaints.is_empty() => Ok(()),
            (true, 1..) => {
                log::warn!("ffmpeg, after {} frames: {complaints}", self.number);
                Ok(())
            }
            (_, 0) => Err(format!("ffmpeg reads no frame of it: {complaints}")),
            (false, number) => Err(format!("ffmpeg failed after {number} frames: {complaints}")),
        }
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long `ffprobe` may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn about(input: &VideoInput) -> About {
    let unknown = About { rate: None, frames: None };
    if matches!(input, VideoInput::Camera(_)) {
        return unknown;
    }
    let probe = tool("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-of", "json"])
        .args(["-show_entries", "stream=avg_frame_rate,r_frame_rate:format=duration"])
        .args(input.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let answer = probe.ok().and_then(|probe| answer_of(probe, PATIENCE));
    let about = answer.and_then(|answer| parse_about(&answer));
    about.unwrap_or_else(|| {
        log::warn!("{input}: ffprobe does not say how many frames it has in a second; an annotated video gets 25");
        unknown
    })
}

/// What a process writes before it ends by itself in time.
fn answer_of(mut process: Child, patience: Duration) -> Option<Vec<u8>> {
    let mut pipe = process.stdout.take()?;
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut answer = Vec::new();
        let read = pipe.read_to_end(&mut answer);
        // Nobody waits any more after the time is over.
        let _ = sender.send(read.is_ok().then_some(answer));
    });
    let answer = receiver.recv_timeout(patience).ok().flatten();
    if answer.is_none() {
        let _ = process.kill();
    }
    let ended = process.wait().is_ok_and(|status| status.success());
    answer.filter(|_| ended)
}

/// What `ffprobe` says, as JSON.
fn parse_about(json: &[u8]) -> Option<About> {
    let answer: Value = serde_json::from_slice(json).ok()?;
    let stream = answer.get("streams")?.get(0)?;
    let number = |rate: &str| {
        let (above, below) = rate.split_once('/')?;
        let rate = above.parse::<f64>().ok()? / below.parse::<f64>().ok()?;
        (rate.is_finite() && rate > 0.0 && rate <= 1000.0).then_some(rate)
    };
    let rates = ["avg_frame_rate", "r_frame_rate"].map(|key| stream.get(key).and_then(Value::as_str));
    let (rate, per_second) = rates.into_iter().flatten().find_map(|rate| Some((rate, number(rate)?)))?;
    let duration = answer.pointer("/format/duration").and_then(Value::as_str).and_then(|d| d.parse::<f64>().ok());
    let frames =
        duration.filter(|duration| duration.is_finite()).map(|duration| (duration * per_second).round() as u64);
    Some(About { rate: Some(rate.into()), frames })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_video_says_of_itself_is_understood() {
        let json = br#"{"streams": [{"avg_frame_rate": "0/0", "r_frame_rate": "30000/1001"}], "format": {"duration": "2.002"}}"#;
        assert_eq!(parse_about(json), Some(About { rate: Some("30000/1001".into()), frames: Some(60) }));
        assert_eq!(parse_about(br#"{"streams": []}"#), None);
        let endless = br#"{"streams": [{"avg_frame_rate": "25/1"}], "format": {}}"#;
        assert_eq!(parse_about(endless), Some(About { rate: Some("25/1".into()), frames: None }));
    }
}

//! The frames of a video, one after the other.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use image::RgbImage;
use serde_json::Value;
use yolo9::image::ImageLimits;
use yolo9::untrusted::{FileKind, read_at_most};

use super::{VideoInput, heard, listen, not_started, tool};
use crate::interrupt::{Interrupt, Process};

/// What a video says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct About {
    /// Frames per second, as a fraction, as far as that is known.
    pub(crate) rate: Option<(u64, u64)>,
    /// How many frames it will give, as far as that is known.
    pub(crate) frames: Option<u64>,
}

impl About {
    /// What they are when only every Nth frame is taken: an annotated video keeps its speed.
    fn every(self, stride: u32) -> Self {
        let stride = u64::from(stride);
        let slower = |(frames, seconds): (u64, u64)| (frames, seconds.saturating_mul(stride));
        Self { rate: self.rate.map(slower), frames: self.frames.map(|frames| frames.div_ceil(stride)) }
    }
}

/// How long a video may give no frame. Its source has stalled then.
const SILENCE: Duration = Duration::from_secs(60);

/// Frames that are read before their memory is counted share it.
const AT_ONCE: u64 = 4;

/// Bytes of a line of a PPM header.
const MAX_LINE: u64 = 64;

/// How often somebody who waits looks whether he shall stop.
const GLANCE: Duration = Duration::from_millis(50);

/// A frame; nothing after the last one.
type NextFrame = Result<Option<RgbImage>, String>;

/// An `ffmpeg` that decodes.
#[derive(Debug)]
pub(crate) struct VideoReader {
    process: Process,
    /// Read on a thread of its own, since a stalled source must not keep us from stopping.
    frames: Receiver<NextFrame>,
    complaints: Option<JoinHandle<VecDeque<String>>>,
    pub(crate) about: About,
    number: u64,
    /// Every Nth frame is given.
    stride: u32,
    interrupt: Interrupt,
}

impl VideoReader {
    /// Starts it. Frames come upright and at a constant rate.
    pub(crate) fn open(
        input: &VideoInput,
        limits: &ImageLimits,
        stride: u32,
        interrupt: &Interrupt,
    ) -> Result<Self, String> {
        input.check()?;
        let about = about(input, interrupt);
        // A PPM frame says its own size.
        let mut child = tool("ffmpeg")
            .args(["-nostdin", "-loglevel", "error"])
            .args(input.arguments())
            .args(["-map", "0:v:0"])
            // Without a known rate every frame is taken as it comes.
            .args(about.rate.iter().flat_map(|(frames, seconds)| ["-r".into(), format!("{frames}/{seconds}")]))
            .args(["-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "pipe:1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| not_started(&error))?;
        let pipe = BufReader::with_capacity(1 << 20, child.stdout.take().expect("it is piped"));
        let complaints = child.stderr.take().map(listen);
        // One frame waits while the next one is read.
        let (sender, frames) = sync_channel(1);
        let limits = *limits;
        std::thread::spawn(move || {
            let mut reader = Reader { pipe, limits };
            loop {
                let frame = reader.next();
                let is_last = !matches!(frame, Ok(Some(_)));
                if sender.send(frame).is_err() || is_last {
                    return;
                }
            }
        });
        let about = about.every(stride);
        Ok(Self {
            process: Process::new(child),
            frames,
            complaints,
            about,
            number: 0,
            stride,
            interrupt: interrupt.clone(),
        })
    }

    /// The next frame and its number, from 1; nothing after the last one, or once somebody has asked to stop.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, RgbImage)>, String> {
        loop {
            match self.next_of_all()? {
                Some((number, _)) if !(number - 1).is_multiple_of(self.stride.into()) => {}
                next => return Ok(next),
            }
        }
    }

    fn next_of_all(&mut self) -> Result<Option<(u64, RgbImage)>, String> {
        let start = Instant::now();
        let frame = loop {
            match self.frames.recv_timeout(GLANCE) {
                Ok(frame) => break frame?,
                Err(RecvTimeoutError::Disconnected) => break None,
                Err(RecvTimeoutError::Timeout) if self.interrupt.requested() => return Ok(None),
                Err(RecvTimeoutError::Timeout) if start.elapsed() > SILENCE => {
                    let seconds = SILENCE.as_secs();
                    return Err(format!("no frame came for {seconds} seconds, after {} frames", self.number));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        let Some(frame) = frame else { return self.ended().map(|()| None) };
        self.number += 1;
        Ok(Some((self.number, frame)))
    }

    /// Whether it ended well.
    fn ended(&mut self) -> Result<(), String> {
        // Its output is closed, so it ends at once, or is made to.
        let status = self.process.wait_for(|| GLANCE * 40);
        let complaints = heard(self.complaints.take());
        match (status.is_some_and(|status| status.success()), self.number) {
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

/// What comes out of `ffmpeg`.
struct Reader {
    pipe: BufReader<ChildStdout>,
    limits: ImageLimits,
}

impl Reader {
    fn next(&mut self) -> NextFrame {
        let Some((width, height)) = self.header()? else { return Ok(None) };
        let pixels = u64::from(width) * u64::from(height);
        if pixels > self.limits.max_pixels || 3 * pixels > self.limits.max_bytes / AT_ONCE {
            return Err(format!(
                "frames of {width}x{height} pixels are too large; the limits are --max-megapixels and --max-image-memory, \
                 of which a frame may take a quarter"
            ));
        }
        let mut pixels = vec![0; 3 * width as usize * height as usize];
        self.pipe.read_exact(&mut pixels).map_err(|error| format!("ffmpeg ended within a frame: {error}"))?;
        Ok(Some(RgbImage::from_raw(width, height, pixels).expect("the buffer was made for that size")))
    }

    /// `P6`, width and height, `255`, each on a line.
    fn header(&mut self) -> Result<Option<(u32, u32)>, String> {
        let mut line = || {
            let mut line = String::new();
            let read = (&mut self.pipe).take(MAX_LINE).read_line(&mut line);
            read.map(|_| line).map_err(|error| format!("ffmpeg cannot be read: {error}"))
        };
        let (magic, size, most) = (line()?, line()?, line()?);
        if magic.is_empty() {
            return Ok(None);
        }
        let sides = size.trim().split_once(' ').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        match sides {
            Some((width, height)) if magic == "P6\n" && most == "255\n" && width > 0 && height > 0 => {
                Ok(Some((width, height)))
            }
            _ => Err(format!("ffmpeg gave {magic:?}, {size:?}, {most:?}; expected the head of a PPM image")),
        }
    }
}

/// How long `ffprobe` may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn about(input: &VideoInput, interrupt: &Interrupt) -> About {
    let unknown = About::default();
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
    let answer = match probe {
        Ok(probe) => answer_of(probe, interrupt),
        Err(error) => Err(not_started(&error)),
    };
    let about = answer.map(|answer| parse_about(&answer));
    match about {
        Ok(Some(about)) => about,
        Ok(None) => {
            log::warn!("{input}: ffprobe does not say its frames per second; an annotated video gets 25");
            unknown
        }
        // What is wrong with the video ffmpeg says, too.
        Err(reason) => {
            log::debug!("{input}: ffprobe: {reason}");
            unknown
        }
    }
}

/// What a process writes before it ends by itself in time.
fn answer_of(mut child: Child, interrupt: &Interrupt) -> Result<Vec<u8>, String> {
    let pipe = child.stdout.take().expect("it is piped");
    let process = Process::new(child);
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        let answer = read_at_most(pipe, FileKind::Config);
        // Nobody waits any more after the time is over.
        let _ = sender.send(answer);
    });
    let start = Instant::now();
    while start.elapsed() < PATIENCE && !interrupt.requested() {
        match receiver.recv_timeout(GLANCE) {
            Ok(answer) => {
                let answer = answer.map_err(|error| format!("cannot be read: {error}"))?;
                return match process.wait_for(|| GLANCE * 40) {
                    Some(status) if status.success() => Ok(answer),
                    Some(status) => Err(status.to_string()),
                    None => Err("it does not end".into()),
                };
            }
            Err(RecvTimeoutError::Disconnected) => return Err("it gave nothing".into()),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    Err(format!("no answer within {} seconds", PATIENCE.as_secs()))
}

/// What `ffprobe` says, as JSON.
fn parse_about(json: &[u8]) -> Option<About> {
    let answer: Value = serde_json::from_slice(json).ok()?;
    let stream = answer.get("streams")?.get(0)?;
    let number = |rate: &str| {
        let (above, below) = rate.split_once('/')?;
        let (above, below) = (above.parse::<u64>().ok()?, below.parse::<u64>().ok()?);
        let per_second = above as f64 / below as f64;
        (per_second > 0.0 && per_second <= 1000.0).then_some(((above, below), per_second))
    };
    let rates = ["avg_frame_rate", "r_frame_rate"].map(|key| stream.get(key).and_then(Value::as_str));
    let (rate, per_second) = rates.into_iter().flatten().find_map(number)?;
    let duration = answer.pointer("/format/duration").and_then(Value::as_str).and_then(|d| d.parse::<f64>().ok());
    let frames =
        duration.filter(|duration| duration.is_finite()).map(|duration| (duration * per_second).round() as u64);
    Some(About { rate: Some(rate), frames })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_video_says_of_itself_is_understood() {
        let json = br#"{"streams": [{"avg_frame_rate": "0/0", "r_frame_rate": "30000/1001"}], "format": {"duration": "2.002"}}"#;
        assert_eq!(parse_about(json), Some(About { rate: Some((30000, 1001)), frames: Some(60) }));
        assert_eq!(parse_about(br#"{"streams": []}"#), None);
        let endless = br#"{"streams": [{"avg_frame_rate": "25/1"}], "format": {}}"#;
        let about = parse_about(endless).unwrap();
        assert_eq!(about, About { rate: Some((25, 1)), frames: None });
        assert_eq!(about.every(3), About { rate: Some((25, 3)), frames: None });
    }
}

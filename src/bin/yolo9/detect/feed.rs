//! What a run searches, one after the other: pictures, and the frames of videos.

use image::RgbImage;

use super::plan::Planned;
use crate::video::Frames;

/// The next thing of a run.
pub(super) enum Next {
    Picture(Planned),
    /// A video was opened: frames per second, and how many frames it will give, as far as that is known.
    Opened(Planned, Option<String>, Option<u64>),
    /// A frame of the video that was opened last.
    Frame(Planned, u64, RgbImage),
    /// That video has ended, or why it did not come to its end.
    Closed(Planned, Result<(), String>),
}

pub(super) struct Feed {
    pictures: std::iter::Skip<std::vec::IntoIter<Planned>>,
    playing: Option<(Planned, Frames)>,
    /// Larger frames are refused.
    max_pixels: u64,
}

impl Feed {
    /// All of `pictures` but the first ones.
    pub(super) fn new(pictures: Vec<Planned>, skip: usize, max_pixels: u64) -> Self {
        Self { pictures: pictures.into_iter().skip(skip), playing: None, max_pixels }
    }
}

impl Iterator for Feed {
    type Item = Next;

    /// Waits for `ffmpeg` where a video is playing.
    fn next(&mut self) -> Option<Next> {
        if let Some((planned, mut frames)) = self.playing.take() {
            return Some(match frames.next() {
                Ok(Some((number, frame))) => {
                    let next = Next::Frame(planned.clone(), number, frame);
                    self.playing = Some((planned, frames));
                    next
                }
                Ok(None) => Next::Closed(planned, Ok(())),
                Err(reason) => Next::Closed(planned, Err(reason)),
            });
        }
        let planned = self.pictures.next()?;
        let Some(video) = planned.source.video() else { return Some(Next::Picture(planned)) };
        Some(match Frames::open(video, self.max_pixels) {
            Ok(frames) => {
                let about = frames.about().clone();
                self.playing = Some((planned.clone(), frames));
                Next::Opened(planned, about.rate, about.frames)
            }
            Err(reason) => Next::Closed(planned, Err(reason)),
        })
    }
}

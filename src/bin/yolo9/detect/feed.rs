//! What a run searches, one after the other: pictures, and the frames of videos.

use image::RgbImage;
use yolo9::picture::ImageLimits;

use super::plan::Planned;
use crate::interrupt::Interrupt;
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
    pictures: std::vec::IntoIter<Planned>,
    /// Numbers of pictures that an earlier run finished, ascending.
    done: Vec<usize>,
    playing: Option<(Planned, Frames)>,
    /// Larger frames are refused.
    limits: ImageLimits,
    interrupt: Interrupt,
}

impl Feed {
    /// All of `pictures` but those with the numbers `done`, which ascend.
    pub(super) fn new(pictures: Vec<Planned>, done: Vec<usize>, limits: ImageLimits, interrupt: Interrupt) -> Self {
        Self { pictures: pictures.into_iter(), done, playing: None, limits, interrupt }
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
        let done = &self.done;
        let planned = self.pictures.find(|planned| done.binary_search(&planned.index).is_err())?;
        let Some(video) = planned.source.video() else { return Some(Next::Picture(planned)) };
        Some(match Frames::open(video, &self.limits, &self.interrupt) {
            Ok(frames) => {
                let about = frames.about().clone();
                self.playing = Some((planned.clone(), frames));
                Next::Opened(planned, about.rate, about.frames)
            }
            Err(reason) => Next::Closed(planned, Err(reason)),
        })
    }
}

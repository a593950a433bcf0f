//! What goes into a run, one after the other: images, and the frames of videos.

use yolo9::image::ImageLimits;

use super::images::Item;
use super::pipeline::Flow;
use super::plan::{Planned, VideoEvent};
use super::video::VideoReader;
use crate::interrupt::Interrupt;

pub(crate) struct Feed {
    images: std::vec::IntoIter<Planned>,
    /// Numbers of images that an earlier run finished, ascending.
    done: Vec<usize>,
    playing: Option<(Planned, VideoReader)>,
    /// Larger frames are refused.
    limits: ImageLimits,
    /// Every Nth frame of a video is processed.
    stride: u32,
    interrupt: Interrupt,
}

impl Feed {
    /// All of `images` but those with the numbers `done`, which ascend.
    pub(crate) fn new(
        images: Vec<Planned>,
        done: Vec<usize>,
        limits: ImageLimits,
        stride: u32,
        interrupt: Interrupt,
    ) -> Self {
        Self { images: images.into_iter(), done, playing: None, limits, stride, interrupt }
    }
}

impl Iterator for Feed {
    type Item = Flow<Item, VideoEvent>;

    /// Waits for `ffmpeg` where a video is playing.
    fn next(&mut self) -> Option<Flow<Item, VideoEvent>> {
        if let Some((planned, mut frames)) = self.playing.take() {
            return Some(match frames.next() {
                Ok(Some((number, frame))) => {
                    let next = Flow::Image(Item::frame(planned.clone(), number, frame));
                    self.playing = Some((planned, frames));
                    next
                }
                Ok(None) => Flow::Event(VideoEvent::Closed(planned, Ok(()))),
                Err(reason) => Flow::Event(VideoEvent::Closed(planned, Err(reason))),
            });
        }
        let done = &self.done;
        let planned = self.images.find(|planned| done.binary_search(&planned.index).is_err())?;
        let Some(video) = planned.source.video() else { return Some(Flow::Image(Item::image(planned))) };
        Some(Flow::Event(match VideoReader::open(video, &self.limits, self.stride, &self.interrupt) {
            Ok(frames) => {
                let about = frames.about().clone();
                self.playing = Some((planned.clone(), frames));
                VideoEvent::Opened(planned, about.rate, about.frames)
            }
            Err(reason) => VideoEvent::Closed(planned, Err(reason)),
        }))
    }
}

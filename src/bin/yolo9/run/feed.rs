//! What goes into a run, one after the other: images, the frames of videos, the objects of listings.

use yolo9::image::ImageLimits;

use super::images::Item;
use super::pipeline::Flow;
use super::plan::{FeedEvent, Planned};
use super::sources::Objects;
use super::video::VideoReader;
use crate::interrupt::Interrupt;

pub(crate) struct Feed {
    images: std::vec::IntoIter<Planned>,
    /// Numbers of images that an earlier run finished, ascending.
    done: Vec<usize>,
    /// An input that is many images.
    open: Option<(Planned, Many)>,
    /// Objects so far, by which the numbers of later images are higher.
    objects: usize,
    /// Larger frames are refused.
    limits: ImageLimits,
    /// Every Nth frame of a video is processed.
    stride: u32,
    interrupt: Interrupt,
}

enum Many {
    Frames(Box<VideoReader>),
    Objects(Box<Objects>),
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
        Self { images: images.into_iter(), done, open: None, objects: 0, limits, stride, interrupt }
    }

    /// The next frame or object of an input, or its end.
    fn go_on(&mut self, planned: Planned, many: Many) -> Flow<Item, FeedEvent> {
        let (next, many) = match many {
            Many::Frames(mut frames) => {
                let next =
                    frames.next().map(|next| next.map(|(number, frame)| Item::frame(planned.clone(), number, frame)));
                (next, Many::Frames(frames))
            }
            Many::Objects(mut objects) => {
                let next = objects.next().transpose().map(|source| source.map(|source| self.object(&planned, source)));
                (next, Many::Objects(objects))
            }
        };
        match next {
            Ok(Some(item)) => {
                self.open = Some((planned, many));
                Flow::Image(item)
            }
            Ok(None) => Flow::Event(FeedEvent::Closed(planned, Ok(()))),
            Err(reason) => Flow::Event(FeedEvent::Closed(planned, Err(reason))),
        }
    }

    fn object(&mut self, listing: &Planned, source: super::sources::Source) -> Item {
        self.objects += 1;
        Item::image(Planned::listed(listing.index + self.objects, source))
    }
}

impl Iterator for Feed {
    type Item = Flow<Item, FeedEvent>;

    /// Waits for `ffmpeg` where a video is playing, and for a store where objects are listed.
    fn next(&mut self) -> Option<Flow<Item, FeedEvent>> {
        if let Some((planned, many)) = self.open.take() {
            return Some(self.go_on(planned, many));
        }
        let done = &self.done;
        let mut planned = self.images.find(|planned| done.binary_search(&planned.index).is_err())?;
        planned.index += self.objects;
        if let Some(address) = planned.source.listing() {
            return Some(Flow::Event(match Objects::open(address) {
                Ok(objects) => {
                    self.open = Some((planned.clone(), Many::Objects(Box::new(objects))));
                    FeedEvent::Opened(planned, None, None)
                }
                Err(reason) => FeedEvent::Closed(planned, Err(reason)),
            }));
        }
        let Some(video) = planned.source.video() else { return Some(Flow::Image(Item::image(planned))) };
        Some(Flow::Event(match VideoReader::open(video, &self.limits, self.stride, &self.interrupt) {
            Ok(frames) => {
                let about = frames.about().clone();
                self.open = Some((planned.clone(), Many::Frames(Box::new(frames))));
                FeedEvent::Opened(planned, about.rate, about.frames)
            }
            Err(reason) => FeedEvent::Closed(planned, Err(reason)),
        }))
    }
}

//! What goes into a run, one after the other: images, the frames of videos, the objects of listings.

use yolo9::image::ImageLimits;

use super::images::Item;
use super::pipeline::Flow;
use super::plan::{FeedEvent, Planned};
use super::sources::objects;
use super::video::{About, VideoReader};
use crate::interrupt::Interrupt;

pub(crate) struct Feed {
    images: std::vec::IntoIter<Planned>,
    /// Numbers of images that an earlier run finished, ascending.
    done: Vec<usize>,
    /// An input that is many images.
    open: Option<(Planned, Many)>,
    /// Larger frames are refused.
    limits: ImageLimits,
    /// Every Nth frame of a video is processed.
    stride: u32,
    interrupt: Interrupt,
}

/// Nobody knows how many.
type Many = Box<dyn Iterator<Item = Result<Item, String>>>;

impl Feed {
    /// All of `images` but those with the numbers `done`, which ascend.
    pub(crate) fn new(
        images: Vec<Planned>,
        done: Vec<usize>,
        limits: ImageLimits,
        stride: u32,
        interrupt: Interrupt,
    ) -> Self {
        Self { images: images.into_iter(), done, open: None, limits, stride, interrupt }
    }

    /// The images of an input that is many, and what is known of them; nothing of a single image.
    fn open(&self, planned: &Planned) -> Option<Result<(Many, About), String>> {
        if let Some(address) = planned.source.listing() {
            let index = planned.index;
            let item = move |source| Item::image(Planned::listed(index, source));
            let images = |all| (Box::new(all) as Many, About::default());
            return Some(objects(address).map(|all| images(all.map(move |source| source.map(&item)))));
        }
        let video = planned.source.video()?;
        let planned = planned.clone();
        Some(VideoReader::open(video, &self.limits, self.stride, &self.interrupt).map(|mut frames| {
            let about = frames.about.clone();
            let item = move |(number, frame)| Item::frame(planned.clone(), number, frame);
            let images = std::iter::from_fn(move || frames.next().transpose()).map(move |frame| frame.map(&item));
            (Box::new(images) as Many, about)
        }))
    }
}

impl Iterator for Feed {
    type Item = Flow<Item, FeedEvent>;

    /// Waits for `ffmpeg` where a video is playing, and for a store where objects are listed.
    fn next(&mut self) -> Option<Flow<Item, FeedEvent>> {
        if let Some((planned, mut images)) = self.open.take() {
            return Some(match images.next() {
                Some(Ok(item)) => {
                    self.open = Some((planned, images));
                    Flow::Image(item)
                }
                Some(Err(reason)) => Flow::Event(FeedEvent::Closed(planned, Err(reason))),
                None => Flow::Event(FeedEvent::Closed(planned, Ok(()))),
            });
        }
        let done = &self.done;
        let planned = self.images.find(|planned| done.binary_search(&planned.index).is_err())?;
        Some(match self.open(&planned) {
            None => Flow::Image(Item::image(planned)),
            Some(Ok((images, about))) => {
                self.open = Some((planned.clone(), images));
                Flow::Event(FeedEvent::Opened(planned, about))
            }
            Some(Err(reason)) => Flow::Event(FeedEvent::Closed(planned, Err(reason))),
        })
    }
}

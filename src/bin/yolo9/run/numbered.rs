//! Images by their numbers, through the network and no further: what `val` and `compare` do.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use yolo9::Size;
use yolo9::image::{Image, ImageLimits};

use super::images::read_image;
use super::pipeline::{Flow, Limits, Pipeline, Stages};
use super::sessions::Infer;
use super::sources::{Failure, Source};
use super::{Held, Turn};
use crate::interrupt::Interrupt;

/// Makes of an image what its session gets. The memory that it holds is given back when it is dropped.
type Ready<R> = dyn Fn(usize, Image, Held) -> Result<(Size, R), Failure> + Send + Sync;

struct Decoding<R, O> {
    limits: ImageLimits,
    ready: Box<Ready<R>>,
    inferred: PhantomData<fn() -> O>,
}

impl<R: Send + 'static, O: Send + 'static> Stages for Decoding<R, O> {
    type Item = (usize, Source);
    type Ready = R;
    type Inferred = O;
    type Done = ((usize, Source), Result<O, Failure>);

    fn decode(&self, (number, source): &mut (usize, Source), turn: Turn) -> Result<(Size, R), Failure> {
        let (_, read) = read_image(source, &self.limits, turn);
        let (image, held) = read?;
        (self.ready)(*number, image, held)
    }

    fn finish(&self, item: (usize, Source), outcome: Result<O, Failure>) -> Self::Done {
        (item, outcome)
    }
}

/// A pipeline of them.
pub(crate) struct Numbered<R: Send + 'static, O: Send + 'static>(Pipeline<Decoding<R, O>>);

impl<R: Send + 'static, O: Send + 'static> Numbered<R, O> {
    pub(crate) fn new(
        limits: ImageLimits,
        workers: usize,
        sessions: Vec<Infer<R, O>>,
        ready: impl Fn(usize, Image, Held) -> Result<(Size, R), Failure> + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let stages = Decoding { limits, ready: Box::new(ready), inferred: PhantomData };
        Ok(Self(Pipeline::new(stages, sessions, Limits { workers, batch: 1, memory: limits.max_bytes })?))
    }

    /// Takes all of them through, in their order. Gives whether it was interrupted.
    pub(crate) fn run(
        &mut self,
        images: impl Iterator<Item = (usize, Source)>,
        interrupt: &Interrupt,
        mut deliver: impl FnMut((usize, Source), Result<O, Failure>),
    ) -> anyhow::Result<bool> {
        let deliver = |flow: Flow<_, ()>| {
            if let Flow::Image((item, outcome)) = flow {
                deliver(item, outcome);
            }
            Ok(ControlFlow::Continue(()))
        };
        self.0.run(images.map(Flow::Image), || interrupt.requested(), false, deliver)
    }
}

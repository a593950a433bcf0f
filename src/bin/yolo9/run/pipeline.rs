//! The pipeline: decoding, inference and what comes after it run at the same time, and results come in the order of
//! inputs. `detect`, `val`, `compare` and videos all go through here.
//!
//! A pool of workers decodes the images ahead, another one finishes those behind (draws, encodes, writes); each session
//! runs inference on images of its own. The calling thread only hands them on and waits. Everything is bounded, so that
//! memory depends on these numbers, not on how many images there are: one image more than there are workers ahead of the
//! network; as many behind it, and two batches for each session in it; and of large images only as many as fit into the
//! memory for them (`memory.rs`).

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use rayon::{ThreadPool, ThreadPoolBuilder};
use yolo9::Size;

use super::memory::{Memory, Turn};
use super::sessions::{Batches, Infer, SessionPool};
use super::sources::Failure;

/// How much is done at the same time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Threads that decode, and as many that finish.
    pub(crate) workers: usize,
    /// Images of one size that the network gets at once.
    pub(crate) batch: usize,
    /// Bytes of memory for decoded images.
    pub(crate) memory: u64,
}

/// What goes through: an image, or something that keeps its place among them.
#[derive(Debug)]
pub(crate) enum Flow<I, E> {
    Image(I),
    Event(E),
}

/// What is done with an image before and after the network. Both run on threads of their own.
pub(crate) trait Stages: Send + Sync + 'static {
    /// An image that is still to be decoded.
    type Item: Send + 'static;
    /// One that is ready for the network.
    type Ready: Send + 'static;
    /// One that comes from the network.
    type Inferred: Send + 'static;
    /// Its result.
    type Done: Send + 'static;

    /// Decodes an image, and says the size of the network's input: images of one size can be a batch. The memory that this
    /// takes is asked for with `turn`.
    fn decode(&self, item: &mut Self::Item, turn: Turn) -> Result<(Size, Self::Ready), Failure>;

    /// Makes a result of what the network gave, or of a failure.
    fn finish(&self, item: Self::Item, inferred: Result<Self::Inferred, Failure>) -> Self::Done;
}

/// Images on their way.
pub(crate) struct Pipeline<S: Stages> {
    stages: Arc<S>,
    limits: Limits,
    decoders: ThreadPool,
    memory: Arc<Memory>,
    sessions: SessionPool<Waiting<S>, S::Ready>,
    batches: Batches<Waiting<S>, S::Ready>,
    /// Most images in and behind the network.
    most_behind: usize,
    /// Images that went to the network so far.
    serial: u64,
}

/// An image in the network.
struct Waiting<S: Stages> {
    serial: u64,
    item: S::Item,
    done: Sender<S::Done>,
}

/// How long an image is waited for before others are looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// Why a result can always be waited for.
const KEPT: &str = "a job always ends with its result: a panic in it ends the program";

/// What comes to the network. Results to come are channels for one.
type Ahead<S, E> = Flow<Receiver<(<S as Stages>::Item, Result<(Size, <S as Stages>::Ready), Failure>)>, E>;

/// What comes from it, in the order of inputs.
enum Behind<S: Stages, E> {
    Inferring(u64, Receiver<S::Done>),
    Done(S::Done),
    Event(E),
}

impl<S: Stages> Pipeline<S> {
    /// There must be at least one session; each gets a thread.
    pub(crate) fn new(stages: S, sessions: Vec<Infer<S::Ready, S::Inferred>>, limits: Limits) -> anyhow::Result<Self> {
        let stages = Arc::new(stages);
        let decoders = threads("decoder", limits.workers)?;
        // Of their own, since decoders may wait for memory that only these can give back.
        let finishers = Arc::new(threads("writer", limits.workers)?);
        let most_behind = limits.workers + 2 * limits.batch * sessions.len();
        let finish = Arc::clone(&stages);
        let sessions = SessionPool::start(sessions, move |waiting: Waiting<S>, inferred| {
            let Waiting { item, done, .. } = waiting;
            let finish = Arc::clone(&finish);
            // Nobody waits any more after an interruption.
            finishers.spawn_fifo(move || drop(done.send(finish.finish(item, inferred))));
        });
        let (memory, batches) = (Arc::new(Memory::new(limits.memory)), Batches::new(limits.batch));
        Ok(Self { stages, limits, decoders, memory, sessions, batches, most_behind, serial: 0 })
    }

    /// Takes all `inputs` through, or those before `stop` says so or `deliver` breaks; these are delivered all the same.
    /// An image that cannot be decoded stops it, too, with `stop_on_failure`. Gives whether `stop` left inputs over.
    pub(crate) fn run<E>(
        &mut self,
        mut inputs: impl Iterator<Item = Flow<S::Item, E>>,
        stop: impl Fn() -> bool,
        stop_on_failure: bool,
        mut deliver: impl FnMut(Flow<S::Done, E>) -> anyhow::Result<ControlFlow<()>>,
    ) -> anyhow::Result<bool> {
        let mut run = Run { ahead: VecDeque::new(), behind: VecDeque::new(), broken: false, deliver: &mut deliver };
        let mut stopped = false;
        loop {
            while run.ahead.len() <= self.limits.workers {
                let Some(next) = inputs.next() else { break };
                run.ahead.push_back(self.decode(next));
            }
            stopped |= stop() && !run.ahead.is_empty();
            if stopped || run.broken {
                break;
            }
            let Some(next) = run.ahead.pop_front() else { break };
            let next = match next {
                Flow::Event(event) => Behind::Event(event),
                Flow::Image(decoding) => match self.wait_for(&decoding, &mut run)? {
                    (item, Ok((size, ready))) => self.infer(item, size, ready),
                    (item, Err(failure)) => {
                        run.broken |= stop_on_failure;
                        Behind::Done(self.stages.finish(item, Err(failure)))
                    }
                },
            };
            run.behind.push_back(next);
            while run.deliver_if_ready()? {}
            while run.behind.len() > self.most_behind {
                self.deliver_first(&mut run)?;
            }
        }
        while !run.behind.is_empty() {
            self.deliver_first(&mut run)?;
        }
        Ok(stopped)
    }

    fn decode<E>(&self, next: Flow<S::Item, E>) -> Ahead<S, E> {
        match next {
            Flow::Event(event) => Flow::Event(event),
            Flow::Image(mut item) => {
                let (stages, turn) = (Arc::clone(&self.stages), self.memory.turn());
                let (done, decoding) = bounded(1);
                self.decoders.spawn_fifo(move || {
                    let ready = stages.decode(&mut item, turn);
                    drop(done.send((item, ready)));
                });
                Flow::Image(decoding)
            }
        }
    }

    /// Hands an image to the network, once its batch is full.
    fn infer<E>(&mut self, item: S::Item, size: Size, ready: S::Ready) -> Behind<S, E> {
        let (done, inferring) = bounded(1);
        self.serial += 1;
        let full = self.batches.push(size, Waiting { serial: self.serial, item, done }, ready);
        full.into_iter().for_each(|batch| self.sessions.submit(batch));
        Behind::Inferring(self.serial, inferring)
    }

    /// Waits for an image to be decoded. If that waits for memory, those before it must go on: batches that are not full
    /// yet, and frames that wait to be put into their video.
    fn wait_for<E, R>(&mut self, decoding: &Receiver<R>, run: &mut Run<'_, S, E>) -> anyhow::Result<R> {
        loop {
            match decoding.recv_timeout(GLANCE) {
                Ok(decoded) => return Ok(decoded),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("{KEPT}"),
            }
            if self.memory.is_starved() {
                while let Some(batch) = self.batches.take(|_| true) {
                    self.sessions.submit(batch);
                }
            }
            while run.deliver_if_ready()? {}
        }
    }

    /// Delivers the first image behind the network, waiting for it.
    fn deliver_first<E>(&mut self, run: &mut Run<'_, S, E>) -> anyhow::Result<()> {
        if run.deliver_if_ready()? {
            return Ok(());
        }
        if let Some(Behind::Inferring(serial, inferring)) = run.behind.pop_front() {
            // It may still wait for others of its size.
            let batch = self.batches.take(|waiting| waiting.serial == serial);
            batch.into_iter().for_each(|batch| self.sessions.submit(batch));
            run.broken |= (run.deliver)(Flow::Image(inferring.recv().expect(KEPT)))?.is_break();
        }
        Ok(())
    }
}

/// So many threads, called `name` and their number.
fn threads(name: &'static str, count: usize) -> anyhow::Result<ThreadPool> {
    ThreadPoolBuilder::new()
        .num_threads(count)
        .thread_name(move |n| format!("{name} {n}"))
        .build()
        .context("no threads for decoding and drawing; ask for fewer with --workers")
}

/// What is ahead of the network and behind it, and who gets it in the end.
struct Run<'a, S: Stages, E> {
    ahead: VecDeque<Ahead<S, E>>,
    behind: VecDeque<Behind<S, E>>,
    broken: bool,
    deliver: &'a mut dyn FnMut(Flow<S::Done, E>) -> anyhow::Result<ControlFlow<()>>,
}

impl<S: Stages, E> Run<'_, S, E> {
    /// Delivers the first image behind the network if it is done.
    fn deliver_if_ready(&mut self) -> anyhow::Result<bool> {
        let ready = match self.behind.pop_front() {
            None => return Ok(false),
            Some(Behind::Event(event)) => Flow::Event(event),
            Some(Behind::Done(done)) => Flow::Image(done),
            Some(Behind::Inferring(serial, inferring)) => match inferring.try_recv() {
                Ok(done) => Flow::Image(done),
                Err(TryRecvError::Empty) => {
                    self.behind.push_front(Behind::Inferring(serial, inferring));
                    return Ok(false);
                }
                Err(TryRecvError::Disconnected) => panic!("{KEPT}"),
            },
        };
        self.broken |= (self.deliver)(ready)?.is_break();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Numbers through a network that doubles them; odd hundreds cannot be decoded.
    struct Doubling(Arc<AtomicUsize>);

    impl Stages for Doubling {
        type Item = u64;
        type Ready = u64;
        type Inferred = u64;
        type Done = Result<u64, String>;

        fn decode(&self, item: &mut u64, turn: Turn) -> Result<(Size, u64), Failure> {
            let _held = turn.take(1);
            std::thread::sleep(Duration::from_micros(*item * 37 % 200));
            let size = Size::square(1 + (*item % 3) as usize);
            if *item % 200 == 100 { Err(Failure::from("odd".to_owned())) } else { Ok((size, *item)) }
        }

        fn finish(&self, item: u64, inferred: Result<u64, Failure>) -> Result<u64, String> {
            self.0.fetch_add(1, Ordering::SeqCst);
            inferred.inspect(|double| assert_eq!(*double, 2 * item)).map_err(|failure| failure.reason)
        }
    }

    fn pipeline(batch: usize) -> (Pipeline<Doubling>, Arc<AtomicUsize>) {
        let finished = Arc::new(AtomicUsize::new(0));
        let session = || -> Infer<u64, u64> { Box::new(|batch| batch.iter().map(|number| Ok(2 * number)).collect()) };
        let limits = Limits { workers: 3, batch, memory: 5 };
        (Pipeline::new(Doubling(Arc::clone(&finished)), vec![session(), session()], limits).unwrap(), finished)
    }

    #[test]
    fn everything_comes_out_once_and_in_order() {
        for batch in [1, 4] {
            let (mut pipeline, finished) = pipeline(batch);
            let inputs = (0..300).map(|n| if n % 50 == 7 { Flow::Event(n) } else { Flow::Image(n) });
            let mut seen = Vec::new();
            let stopped = pipeline.run(
                inputs,
                || false,
                false,
                |flow| {
                    seen.push(match flow {
                        Flow::Event(n) => n,
                        Flow::Image(Ok(double)) => double / 2,
                        Flow::Image(Err(reason)) => {
                            assert_eq!(reason, "odd");
                            100
                        }
                    });
                    Ok(ControlFlow::Continue(()))
                },
            );
            assert!(!stopped.unwrap() && seen.iter().copied().eq(0..300), "{seen:?}");
            assert_eq!(finished.load(Ordering::SeqCst), 294);
        }
    }

    #[test]
    fn a_stop_delivers_what_is_on_its_way_and_reads_no_more() {
        let (mut pipeline, finished) = pipeline(1);
        let seen = AtomicUsize::new(0);
        let inputs = (0..10_000).map(Flow::<u64, ()>::Image);
        let stop = || seen.load(Ordering::SeqCst) >= 10;
        let stopped = pipeline.run(inputs, stop, false, |_| {
            seen.fetch_add(1, Ordering::SeqCst);
            Ok(ControlFlow::Continue(()))
        });
        assert!(stopped.unwrap());
        let seen = seen.into_inner();
        assert!((10..40).contains(&seen) && finished.load(Ordering::SeqCst) == seen, "{seen}");
        let broken =
            pipeline.run((0..1000).map(Flow::<u64, ()>::Image), || false, true, |_| Ok(ControlFlow::Continue(())));
        assert!(!broken.unwrap());
        assert!((101..140).contains(&(finished.load(Ordering::SeqCst) - seen)));
    }
}

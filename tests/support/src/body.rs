//! A request body that follows a script, and tells how far it was read.

use std::collections::VecDeque;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// What the body does next.
#[derive(Clone, Debug)]
pub enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    Fail(&'static str),
    Wait(Duration),
    /// Nothing ever comes.
    Hang,
}

pub fn data(bytes: impl Into<Bytes>) -> Step {
    Step::Data(bytes.into())
}

pub fn wait(seconds: f64) -> Step {
    Step::Wait(Duration::from_secs_f64(seconds))
}

/// Ends once its steps are done, and then stays ended.
pub struct Script {
    steps: VecDeque<Step>,
    waiting: Option<Pin<Box<Sleep>>>,
    hint: SizeHint,
    seen: Seen,
}

/// What became of a [`Script`].
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<(AtomicUsize, AtomicBool)>);

impl Seen {
    /// How often the body was polled.
    pub fn polls(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    pub fn is_dropped(&self) -> bool {
        self.0.1.load(Ordering::SeqCst)
    }
}

impl Script {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            waiting: None,
            hint: SizeHint::default(),
            seen: Seen::default(),
        }
    }

    /// Says ahead how long it is at least.
    pub fn at_least(mut self, bytes: u64) -> Self {
        self.hint.set_lower(bytes);
        self
    }

    pub fn seen(&self) -> Seen {
        self.seen.clone()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.seen.0.1.store(true, Ordering::SeqCst);
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.seen.0.0.fetch_add(1, Ordering::SeqCst);
        loop {
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
            }
            return Poll::Ready(match self.steps.pop_front() {
                None => None,
                Some(Step::Data(data)) => Some(Ok(Frame::data(data))),
                Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
                Some(Step::Fail(text)) => Some(Err(text.into())),
                Some(Step::Wait(duration)) => {
                    self.waiting = Some(Box::pin(sleep(duration)));
                    continue;
                }
                Some(Step::Hang) => {
                    self.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
            });
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::task::coop::{Unconstrained, unconstrained};
use tokio::time::{Sleep, sleep};

/// The future that the methods of the crate's ports return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Awaits a future for at most this long, from its first poll. One that is ready at once
/// needs no timer.
pub(crate) fn within<F: Future>(limit: Duration, future: F) -> Within<F> {
    Within {
        future,
        limit,
        timer: None,
    }
}

pin_project! {
    /// The future of [`within`]. An `async fn` would have room for `future` twice.
    pub(crate) struct Within<F> {
        #[pin]
        future: F,
        limit: Duration,
        // Polled even if the future has used up the task's budget.
        #[pin]
        timer: Option<Unconstrained<Sleep>>,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(done) = this.future.poll(cx) {
            return Poll::Ready(Some(done));
        }
        if this.timer.is_none() {
            this.timer.set(Some(unconstrained(sleep(*this.limit))));
        }
        match this.timer.as_pin_mut() {
            Some(timer) => timer.poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    }
}

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower_service::Service;
use tracing::Span;

use super::body::ResponseBody;
use crate::future::BoxFuture;
use crate::observe::InFlight;
use crate::verify::Answering;

/// A request that the inner service gets.
type Proven = (Request<Full<Bytes>>, Answering);

/// The request that the inner service gets, or the answer if it gets none.
pub(super) type Verification = BoxFuture<'static, Result<Proven, Response<Full<Bytes>>>>;

pin_project! {
    /// Response future of [`VerifyWebhook`](super::VerifyWebhook).
    ///
    /// It verifies, then waits until the inner service is ready, then calls it.
    /// Dropping it at any time is safe: until the verification is through, the
    /// inner service has been neither polled nor called.
    pub struct ResponseFuture<S>
    where
        S: Service<Request<Full<Bytes>>>,
    {
        #[pin]
        state: State<S, S::Future>,
        span: Span,
        in_flight: InFlight,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F> {
        Before {
            verification: Verification,
            // While the inner service is not ready for it.
            proven: Option<Proven>,
            inner: S,
        },
        Inner {
            #[pin]
            future: F,
            answering: Answering,
        },
    }
}

impl<S> ResponseFuture<S>
where
    S: Service<Request<Full<Bytes>>>,
{
    pub(super) fn new(
        verification: Verification,
        inner: S,
        span: Span,
        in_flight: InFlight,
    ) -> Self {
        Self {
            state: State::Before {
                verification,
                proven: None,
                inner,
            },
            span,
            in_flight,
        }
    }
}

impl<S, B> Future for ResponseFuture<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
{
    type Output = Result<Response<ResponseBody<B>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = ready!(self.as_mut().poll_answer(cx));
        self.project().in_flight.end();
        Poll::Ready(answered)
    }
}

impl<S, B> ResponseFuture<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
{
    fn poll_answer(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody<B>>, S::Error>> {
        let this = self.project();
        let (mut state, span) = (this.state, this.span);
        loop {
            let entered = span.enter();
            let (future, answering) = match state.as_mut().project() {
                StateProj::Before {
                    verification,
                    proven,
                    inner,
                } => {
                    let (request, mut answering) = match proven.take() {
                        Some(proven) => proven,
                        None => match ready!(verification.as_mut().poll(cx)) {
                            Ok(proven) => proven,
                            Err(response) => {
                                return Poll::Ready(Ok(response.map(ResponseBody::rejection)));
                            }
                        },
                    };
                    let Poll::Ready(is_ready) = inner.poll_ready(cx) else {
                        *proven = Some((request, answering));
                        return Poll::Pending;
                    };
                    if let Err(error) = is_ready {
                        drop(entered);
                        answering.failed();
                        return Poll::Ready(Err(error));
                    }
                    (inner.call(request), answering)
                }
                StateProj::Inner { future, answering } => {
                    let answered = ready!(future.poll(cx));
                    // The line of the log is none of the span's, whose fields it repeats.
                    drop(entered);
                    return Poll::Ready(match answered {
                        Ok(response) => {
                            answering.answered(&response);
                            Ok(response.map(ResponseBody::inner))
                        }
                        Err(error) => {
                            answering.failed();
                            Err(error)
                        }
                    });
                }
            };
            state.set(State::Inner { future, answering });
        }
    }
}

impl<S> fmt::Debug for ResponseFuture<S>
where
    S: Service<Request<Full<Bytes>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

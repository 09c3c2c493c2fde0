use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::ResponseBody;
use crate::future::BoxFuture;

/// The request that the inner service gets, or the answer if it gets none.
pub(super) type Verification =
    BoxFuture<'static, Result<Request<Full<Bytes>>, Response<Full<Bytes>>>>;

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
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F> {
        Before {
            verification: Verification,
            // While the inner service is not ready for it.
            proven: Option<Request<Full<Bytes>>>,
            inner: S,
        },
        Inner { #[pin] future: F },
    }
}

impl<S> ResponseFuture<S>
where
    S: Service<Request<Full<Bytes>>>,
{
    pub(super) fn new(verification: Verification, inner: S) -> Self {
        Self {
            state: State::Before {
                verification,
                proven: None,
                inner,
            },
        }
    }
}

impl<S, B> Future for ResponseFuture<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
{
    type Output = Result<Response<ResponseBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let future = match state.as_mut().project() {
                StateProj::Before {
                    verification,
                    proven,
                    inner,
                } => {
                    let verified = match proven.take() {
                        Some(request) => Ok(request),
                        None => ready!(verification.as_mut().poll(cx)),
                    };
                    let request = match verified {
                        Ok(request) => request,
                        Err(response) => {
                            return Poll::Ready(Ok(response.map(ResponseBody::rejection)));
                        }
                    };
                    let Poll::Ready(is_ready) = inner.poll_ready(cx) else {
                        *proven = Some(request);
                        return Poll::Pending;
                    };
                    is_ready?;
                    inner.call(request)
                }
                StateProj::Inner { future } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(response.map(ResponseBody::inner)));
                }
            };
            state.set(State::Inner { future });
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

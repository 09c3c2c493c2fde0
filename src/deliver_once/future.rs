use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;

use super::body::DocumentBody;
use crate::future::BoxFuture;

/// Response future of [`DeliverOnce`](super::DeliverOnce).
///
/// Dropping it at any time is safe: the work continues without it.
pub struct ResponseFuture<E> {
    answer: BoxFuture<'static, Response<DocumentBody>>,
    error: PhantomData<fn() -> E>,
}

impl<E> ResponseFuture<E> {
    pub(super) fn new(
        answer: impl Future<Output = Response<DocumentBody>> + Send + 'static,
    ) -> Self {
        Self {
            answer: Box::pin(answer),
            error: PhantomData,
        }
    }
}

impl<E> Future for ResponseFuture<E> {
    type Output = Result<Response<DocumentBody>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer.as_mut().poll(cx).map(Ok)
    }
}

impl<E> fmt::Debug for ResponseFuture<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;

use super::handler::Answering;
use crate::error_chain::error_chain;
use crate::event::Outcome;
use crate::excerpt::one_line;
use crate::future::BoxFuture;
use crate::verify::Webhook;

/// Response future of [`EventRouter`](super::EventRouter).
pub struct ResponseFuture(BoxFuture<'static, Response<Full<Bytes>>>);

impl ResponseFuture {
    pub(super) fn ready(response: Response<Full<Bytes>>) -> Self {
        Self(Box::pin(std::future::ready(response)))
    }

    pub(super) fn handler(answering: Answering, webhook: Webhook) -> Self {
        Self(Box::pin(async move {
            let outcome = answering.await.unwrap_or_else(|error| {
                tracing::error!(
                    c1.tenant = webhook.tenant(),
                    c1.webhook.id = &*webhook.id_for_log(),
                    c1.event = &*webhook.event_for_log(),
                    // It may quote the payload.
                    error = &*one_line(&error_chain(&*error)),
                    "the handler failed"
                );
                Outcome::failed()
            });
            outcome.response()
        }))
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;
use tracing::Span;

use super::body::ResponseBody;
use super::future::ResponseFuture;
use super::shared::Shared;
use crate::observe::{Attempt, request_span};
use crate::rejection::Rejection;
use crate::verify::{Answering, Webhook, let_through};

/// Middleware that lets only verified webhooks through to the inner service:
/// made by [`VerifyWebhookLayer`](super::VerifyWebhookLayer).
#[derive(Clone, Debug)]
pub struct VerifyWebhook<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> VerifyWebhook<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change it.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// For an inner service that takes another body than `Full<Bytes>`, see
/// [a service with another body](super#a-service-with-another-body).
impl<S, B, ResBody> Service<Request<B>> for VerifyWebhook<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<ResBody>> + Clone,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S>;

    /// Always ready: the inner service's readiness is awaited for each request
    /// that has passed, so that no other holds its capacity.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let in_flight = shared.verifier.observers.in_flight();
        let (head, body) = request.into_parts();
        let span = request_span();
        let of_request = span.clone();
        let verification = Box::pin(async move {
            let verified = shared.verify(&head, body, &of_request).await;
            record(&of_request, &verified);
            match verified {
                Ok(webhook) => {
                    let observers = &shared.verifier.observers;
                    let answering = Answering::begin(Some(&webhook), of_request, observers);
                    Ok((let_through(head, webhook), answering))
                }
                Err(rejection) => Err(shared.refuse(head, &rejection)),
            }
        });
        ResponseFuture::new(verification, self.inner.clone(), span, in_flight)
    }
}

fn record(span: &Span, verified: &Result<Webhook, Rejection>) {
    match verified {
        Ok(webhook) => webhook.subject().record(span),
        Err(rejection) => Attempt::refused(rejection).record(span),
    }
}

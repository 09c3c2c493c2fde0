use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body_util::Full;
use tower_service::Service;

use super::future::ResponseFuture;
use super::route::{Fallback, Refusal, Route};
use crate::event::last_part;
use crate::rejection::Rejection;
use crate::verify::Webhook;

/// A service that calls a handler of its own for each event: see the
/// [module](self::super).
///
/// It takes requests with any body, since the [`Webhook`] in their extensions has the
/// verified one. It is always ready. Cloning is cheap.
#[derive(Clone)]
pub struct EventRouter(Arc<Routes>);

struct Routes {
    routes: Vec<Route>,
    fallback: Fallback,
}

impl EventRouter {
    pub(super) fn new(routes: Vec<Route>, fallback: Fallback) -> Self {
        Self(Arc::new(Routes { routes, fallback }))
    }

    /// The names of the events that do not go to the fallback, for a log at start-up: in
    /// the order in which their handlers were added, and an administrator's test.
    #[must_use]
    pub fn events(&self) -> Vec<&'static str> {
        self.0.routes.iter().map(|route| route.event).collect()
    }

    fn respond(&self, extensions: &Extensions) -> Result<ResponseFuture, Rejection> {
        let webhook = extensions
            .get::<Webhook>()
            .ok_or_else(Rejection::missing_webhook)?;
        let event = last_part(webhook.event());
        let route = self.0.routes.iter().find(|route| route.event == event);
        let answering = route
            .and_then(|route| route.call(webhook, extensions))
            .unwrap_or_else(|| self.0.fallback.call(webhook.clone(), extensions));
        match answering {
            Ok(answering) => Ok(ResponseFuture::handler(answering, webhook.clone())),
            Err(Refusal::MissingDeliveryRun) => {
                Err(webhook.rejected(Rejection::missing_delivery_run()))
            }
            Err(Refusal::Payload(error)) => Err(webhook.unreadable_payload(error)),
        }
    }
}

impl<B> Service<Request<B>> for EventRouter {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        self.respond(request.extensions())
            .unwrap_or_else(|rejection| ResponseFuture::ready(rejection.response()))
    }
}

impl fmt::Debug for EventRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventRouter")
            .field("events", &self.events())
            .finish_non_exhaustive()
    }
}

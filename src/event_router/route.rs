use std::fmt;
use std::sync::Arc;

use http::Extensions;

use super::handler::{Answering, EventHandler};
use crate::event::{Event, PayloadError};
use crate::typed::Typed;
use crate::verify::Webhook;

/// In an [`EventRouterBuilder`](super::EventRouterBuilder) that has a fallback.
#[derive(Clone)]
pub struct Fallback(Arc<CallFallback>);

type CallFallback = dyn Fn(Webhook, &Extensions) -> Option<Answering> + Send + Sync;

impl Fallback {
    pub(super) fn new(
        call: impl Fn(Webhook, &Extensions) -> Option<Answering> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(call))
    }

    pub(super) fn call(
        &self,
        webhook: Webhook,
        extensions: &Extensions,
    ) -> Result<Answering, Refusal> {
        (self.0)(webhook, extensions).ok_or(Refusal::MissingDeliveryRun)
    }
}

/// Why a handler was not called.
pub(super) enum Refusal {
    MissingDeliveryRun,
    Payload(PayloadError),
}

type Call = dyn Fn(&Webhook, &Extensions) -> Option<Result<Answering, Refusal>> + Send + Sync;

/// The handler of one event.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) event: &'static str,
    call: Arc<Call>,
}

impl Route {
    pub(super) fn new<E: Event, A>(handler: impl EventHandler<Typed<E>, A>) -> Self {
        let call = move |webhook: &Webhook, extensions: &Extensions| {
            let event = Typed::<E>::from_webhook(webhook).transpose()?;
            Some(event.map_err(Refusal::Payload).and_then(|event| {
                let answering = handler.handle(event, extensions);
                answering.ok_or(Refusal::MissingDeliveryRun)
            }))
        };
        Self {
            event: E::NAME,
            call: Arc::new(call),
        }
    }

    /// `None` if the webhook is of another event.
    pub(super) fn call(
        &self,
        webhook: &Webhook,
        extensions: &Extensions,
    ) -> Option<Result<Answering, Refusal>> {
        (self.call)(webhook, extensions)
    }
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").finish_non_exhaustive()
    }
}

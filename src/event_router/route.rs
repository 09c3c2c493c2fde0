use std::fmt;
use std::sync::Arc;

use super::handler::{Answering, EventHandler};
use crate::deliver_once::DeliveryRun;
use crate::event::{Event, PayloadError};
use crate::typed::Typed;
use crate::verify::Webhook;

/// In an [`EventRouterBuilder`](super::EventRouterBuilder) that has a fallback.
#[derive(Clone)]
pub struct Fallback(Arc<dyn Fn(Webhook, Option<DeliveryRun>) -> Option<Answering> + Send + Sync>);

impl Fallback {
    pub(super) fn new(
        call: impl Fn(Webhook, Option<DeliveryRun>) -> Option<Answering> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(call))
    }

    pub(super) fn call(
        &self,
        webhook: Webhook,
        run: Option<DeliveryRun>,
    ) -> Result<Answering, Refusal> {
        (self.0)(webhook, run).ok_or(Refusal::MissingDeliveryRun)
    }
}

/// Why a handler was not called.
pub(super) enum Refusal {
    MissingDeliveryRun,
    Payload(PayloadError),
}

type Call =
    dyn Fn(&Webhook, Option<DeliveryRun>) -> Option<Result<Answering, Refusal>> + Send + Sync;

/// The handler of one event.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) event: &'static str,
    call: Arc<Call>,
}

impl Route {
    pub(super) fn new<E: Event, A>(handler: impl EventHandler<Typed<E>, A>) -> Self {
        let call = move |webhook: &Webhook, run| {
            let event = Typed::<E>::from_webhook(webhook).transpose()?;
            Some(event.map_err(Refusal::Payload).and_then(|event| {
                let answering = handler.handle(event, run);
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
        run: Option<DeliveryRun>,
    ) -> Option<Result<Answering, Refusal>> {
        (self.call)(webhook, run)
    }
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").finish_non_exhaustive()
    }
}

use std::fmt;
use std::sync::Arc;

use super::handler::{Answering, EventHandler};
use super::service::EventRouter;
use crate::config_error::ConfigError;
use crate::deliver_once::DeliveryRun;
use crate::event::{Acknowledgement, Event, PayloadError, Test};
use crate::typed::Typed;
use crate::verify::Webhook;

/// Builds an [`EventRouter`].
///
/// It cannot be built without a fallback:
///
/// ```compile_fail,E0599
/// # use tower_conductorone::EventRouter;
/// let router = EventRouter::builder().build();
/// ```
#[derive(Clone)]
#[must_use = "builders do nothing until they are built"]
pub struct EventRouterBuilder<F = ()> {
    routes: Vec<Route>,
    fallback: F,
}

/// In an [`EventRouterBuilder`] that has a fallback.
#[derive(Clone)]
pub struct Fallback(Arc<dyn Fn(Webhook, Option<DeliveryRun>) -> Option<Answering> + Send + Sync>);

impl Fallback {
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
    fn new<E: Event, A>(handler: impl EventHandler<Typed<E>, A>) -> Self {
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

impl EventRouterBuilder {
    pub(super) fn new() -> Self {
        Self {
            routes: Vec::new(),
            fallback: (),
        }
    }

    /// The handler of all events that have no handler of their own, those included that
    /// a newer ConductorOne sends. It takes the [`Webhook`].
    ///
    /// [`Outcome::retry_later`](crate::event::Outcome::retry_later) makes ConductorOne
    /// try again, for a few minutes;
    /// [`UnknownEvent::acknowledge`](crate::event::UnknownEvent::acknowledge) tells it
    /// that all is done.
    pub fn fallback<H, A>(self, handler: H) -> EventRouterBuilder<Fallback>
    where
        H: EventHandler<Webhook, A>,
    {
        let call = move |webhook, run| handler.handle(webhook, run);
        EventRouterBuilder {
            routes: self.routes,
            fallback: Fallback(Arc::new(call)),
        }
    }
}

impl<F> EventRouterBuilder<F> {
    /// The handler of the events of type `E`, which is inferred from the handler's
    /// argument.
    pub fn on<E, H, A>(mut self, handler: H) -> Self
    where
        E: Event,
        H: EventHandler<Typed<E>, A>,
    {
        self.routes.push(Route::new(handler));
        self
    }
}

impl EventRouterBuilder<Fallback> {
    /// The router.
    ///
    /// # Errors
    /// [`ConfigError`] if an event has two handlers.
    pub fn build(self) -> Result<EventRouter, ConfigError> {
        let Self {
            mut routes,
            fallback,
        } = self;
        let mut rest = routes.as_slice();
        while let Some((route, others)) = rest.split_first() {
            if others.iter().any(|other| other.event == route.event) {
                let event = route.event;
                return Err(ConfigError::new(format!(
                    "the event {event} has two handlers: an event router calls one"
                )));
            }
            rest = others;
        }
        if routes.iter().all(|route| route.event != Test::NAME) {
            routes.push(Route::new(async |_: Typed<Test>| Acknowledgement::new()));
        }
        Ok(EventRouter::new(routes, fallback))
    }
}

impl<F> fmt::Debug for EventRouterBuilder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events: Vec<_> = self.routes.iter().map(|route| route.event).collect();
        f.debug_struct("EventRouterBuilder")
            .field("events", &events)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").finish_non_exhaustive()
    }
}

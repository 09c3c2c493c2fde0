use std::fmt;

use super::handler::EventHandler;
use super::route::{Fallback, Route};
use super::service::EventRouter;
use crate::config_error::ConfigError;
use crate::event::{Acknowledgement, Event, Test};
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

impl EventRouter {
    /// A router without handlers.
    pub fn builder() -> EventRouterBuilder {
        EventRouterBuilder::new()
    }
}

impl EventRouterBuilder {
    fn new() -> Self {
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
        let call = move |webhook, extensions: &_| handler.handle(webhook, extensions);
        EventRouterBuilder {
            routes: self.routes,
            fallback: Fallback::new(call),
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

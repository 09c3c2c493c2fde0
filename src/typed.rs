//! The argument of a handler for one event type.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::event::{Event, PayloadError};
use crate::verify::Webhook;

/// A webhook with a payload of type `E`: the argument of a handler for one event type.
///
/// It dereferences to the payload, and so has its `answer` method.
/// [`webhook`](Self::webhook) gives the rest. Cloning is cheap.
///
/// ```
/// use tower_conductorone::Typed;
/// use tower_conductorone::event::{Comment, Outcome, ProvisionReply, ProvisionStep};
///
/// async fn provision(step: Typed<ProvisionStep>) -> Outcome {
///     println!("{}: {:?}", step.webhook().tenant(), step.task_view().app());
///     step.answer(ProvisionReply::complete(Comment::none()))
/// }
/// # let _ = provision;
/// ```
///
/// With the feature `axum` it is an extractor, for a route that takes only events of one
/// type. It acknowledges an administrator's test and rejects other events with 422:
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// use axum::{Router, routing::post};
/// # use tower_conductorone::Typed;
/// # use tower_conductorone::event::{Comment, Outcome, ProvisionReply, ProvisionStep};
/// # async fn provision(step: Typed<ProvisionStep>) -> Outcome {
/// #     step.answer(ProvisionReply::complete(Comment::none()))
/// # }
///
/// let app: Router = Router::new().route("/provisioning", post(provision));
/// # let _ = app;
/// ```
///
/// A unit test creates one with `unverified_typed` of `testing::Delivery`.
pub struct Typed<E> {
    event: Arc<E>,
    webhook: Webhook,
}

impl<E: Event> Typed<E> {
    /// Reads the webhook's payload as an `E`; `None` if the webhook has another event.
    ///
    /// # Errors
    /// [`PayloadError`] if the payload does not match its event type.
    pub fn from_webhook(webhook: &Webhook) -> Result<Option<Self>, PayloadError> {
        let event = webhook.payload()?.as_event::<E>();
        Ok(event.map(|event| Self {
            event: Arc::clone(event),
            webhook: webhook.clone(),
        }))
    }
}

impl<E> Typed<E> {
    /// The webhook that brought the event.
    #[must_use]
    pub fn webhook(&self) -> &Webhook {
        &self.webhook
    }

    /// Returns the payload alone.
    #[must_use]
    pub fn into_inner(self) -> Arc<E> {
        self.event
    }
}

impl<E> Clone for Typed<E> {
    fn clone(&self) -> Self {
        Self {
            event: Arc::clone(&self.event),
            webhook: self.webhook.clone(),
        }
    }
}

impl<E> Deref for Typed<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.event
    }
}

impl<E: fmt::Debug> fmt::Debug for Typed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed")
            .field("event", &self.event)
            .field("webhook", &self.webhook)
            .finish()
    }
}

//! Arguments of handlers, without a request.

use serde_json::Value;

use super::Delivery;
use crate::deliver_once::DeliveryRun;
use crate::event::Event;
use crate::typed::Typed;
use crate::verify::Webhook;

impl Delivery {
    /// The webhook that the layer would pass on, **with nothing verified**: for a
    /// unit test that calls a handler.
    ///
    /// It has this delivery's claims and body. HTTP headers and a
    /// [`token`](Self::token) have no effect on it.
    ///
    /// ```
    /// use tower_conductorone::Webhook;
    /// use tower_conductorone::testing::FakeTenant;
    ///
    /// fn route(webhook: &Webhook) -> &'static str {
    ///     match webhook.tenant() {
    ///         "staging.conductor.one" => "staging",
    ///         _ => "production",
    ///     }
    /// }
    ///
    /// let tenant = FakeTenant::new("staging.conductor.one");
    /// let webhook = tenant.delivery("c1.webhooks.v1.PayloadTest").unverified_webhook();
    /// assert_eq!(route(&webhook), "staging");
    /// ```
    ///
    /// # Panics
    /// If a claim is missing or of the wrong type, or the body is not a webhook's
    /// envelope.
    #[must_use]
    #[track_caller]
    pub fn unverified_webhook(&self) -> Webhook {
        let tenant = self.tenant().domain();
        let claims = Value::Object(self.claims()).to_string();
        match Webhook::assume_verified(tenant, claims.as_bytes(), self.body_bytes()) {
            Ok(webhook) => webhook,
            Err(error) => panic!("{self:?} makes no webhook: {error}"),
        }
    }

    /// The [`Typed`] event that a handler takes, **with nothing verified**: for a unit
    /// test that calls a handler.
    ///
    /// # Panics
    /// If the delivery is of another event, or its payload is not of the event's
    /// type; and as [`unverified_webhook`](Self::unverified_webhook).
    #[must_use]
    #[track_caller]
    pub fn unverified_typed<E: Event>(&self) -> Typed<E> {
        match Typed::from_webhook(&self.unverified_webhook()) {
            Ok(Some(event)) => event,
            Ok(None) => panic!("{self:?} is not of the event {}", E::NAME),
            Err(error) => panic!("{self:?} has another payload: {error}"),
        }
    }
}

impl DeliveryRun {
    /// The run of this number, counted from 1: for a unit test that calls a
    /// handler.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    #[track_caller]
    pub const fn for_test(number: u32) -> Self {
        assert!(number > 0, "runs are counted from 1");
        Self::new(number)
    }
}

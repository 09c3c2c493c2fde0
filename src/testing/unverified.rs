//! Arguments of handlers, without a request.

use serde_json::Value;

use super::Delivery;
use crate::deliver_once::{DeliverOnceLayer, DeliveryHandle, DeliveryRun};
use crate::event::Event;
use crate::ledger::Lease;
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

impl DeliveryHandle {
    /// The handle of this webhook's delivery under this lease: for a unit test that
    /// calls a handler. A ledger that has given the lease lets the handler commit.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tower_conductorone::DeliveryHandle;
    /// use tower_conductorone::ledger::{Claimed, DeliveryKey, Ledger, MemoryLedger, Owner};
    /// use tower_conductorone::testing::FakeTenant;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ledger = MemoryLedger::default(); // or the one that the handler commits to
    /// let tenant = FakeTenant::new("example.conductor.one");
    /// let webhook = tenant.delivery("c1.webhooks.v1.PayloadTest").unverified_webhook();
    /// let key = DeliveryKey::of(&webhook);
    /// let claimed = ledger.claim(key, Owner::random(), Duration::from_secs(45)).await?;
    /// let Claimed::Started(lease) = claimed else {
    ///     panic!("another test has claimed it");
    /// };
    /// let delivery = DeliveryHandle::for_test(&webhook, lease);
    /// assert_eq!(delivery.run().number(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[allow(
        clippy::missing_panics_doc,
        reason = "the default configuration is good"
    )]
    pub fn for_test(webhook: &Webhook, lease: Lease) -> Self {
        let layer = DeliverOnceLayer::builder().build();
        layer.expect("the default is good").handle(webhook, lease)
    }
}

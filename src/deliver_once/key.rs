//! Identifies the delivery that a webhook belongs to.

use super::canonical::Canonical;
use crate::ledger::{DeliveryKey, KeyDigest};
use crate::verify::Webhook;

/// Computes a webhook's key.
pub(super) type KeyOf = dyn Fn(&Webhook) -> DeliveryKey + Send + Sync;

// Here, since `ledger/` does not depend on webhooks.
impl DeliveryKey {
    /// The key of the delivery that a webhook belongs to: a digest of the tenant,
    /// [`webhookId`](Webhook::id), the event and the payload's value, ignoring white space
    /// and the order of members.
    ///
    /// It is the same for every attempt of a delivery, whatever `webhookId` identifies. It
    /// does not cover the callback URL, whose token may differ between attempts.
    ///
    /// To use it as a unique key in a store of yours:
    ///
    /// ```
    /// use tower_conductorone::Webhook;
    /// use tower_conductorone::ledger::DeliveryKey;
    ///
    /// fn unique(webhook: &Webhook) -> [u8; 32] {
    ///     *DeliveryKey::of(webhook).as_bytes()
    /// }
    /// # let _ = unique;
    /// ```
    #[must_use]
    pub fn of(webhook: &Webhook) -> Self {
        let mut digest = KeyDigest::default();
        for part in [webhook.tenant(), webhook.id(), webhook.event()] {
            digest.part(part.as_bytes());
        }
        let payload = webhook.payload_json();
        match Canonical::of(payload) {
            Some(canonical) => {
                digest.begin_part(canonical.len());
                canonical.write(&mut |piece| digest.add(piece));
            }
            // Nested deeper than any ConductorOne payload: hash it as written.
            None => digest.part(payload),
        }
        digest.key()
    }
}

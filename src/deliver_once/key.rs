//! Which deliveries are one and the same.

use super::canonical::canonical;
use crate::ledger::DeliveryKey;
use crate::verify::Webhook;

/// How deliveries are told apart.
pub(super) type KeyOf = dyn Fn(&Webhook) -> DeliveryKey + Send + Sync;

// Here, since a ledger knows no webhooks.
impl DeliveryKey {
    /// The key of the delivery that brought this webhook: a digest of the
    /// tenant, [`webhookId`](Webhook::id), the event and the payload's value, in
    /// which neither white space nor the order of members counts.
    ///
    /// It is the same for every attempt of a delivery, whatever `webhookId`
    /// names. The callback URL is no part of it: its token may differ from
    /// attempt to attempt.
    ///
    /// For a store of one's own, in which the key is unique:
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
        let payload = webhook.payload_json();
        // Nested deeper than anything of ConductorOne's: then it counts as written.
        let canonical = canonical(payload).unwrap_or_else(|| payload.to_vec());
        Self::digest([
            webhook.tenant().as_bytes(),
            webhook.id().as_bytes(),
            webhook.event().as_bytes(),
            &canonical,
        ])
    }
}

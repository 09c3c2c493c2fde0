//! Which deliveries are one and the same.

use sha2::{Digest, Sha256};

use super::canonical::canonical;
use crate::ledger::DeliveryKey;
use crate::verify::Webhook;

/// The tenant, `webhookId`, the event and the payload's value: the same for
/// every attempt of a delivery, whatever `webhookId` names; not the callback
/// URL, whose token may differ from attempt to attempt.
pub(super) fn default_key(webhook: &Webhook) -> DeliveryKey {
    let payload = webhook.payload_json();
    // Nested deeper than anything of ConductorOne's: then it counts as written.
    let canonical = canonical(payload).unwrap_or_else(|| payload.to_vec());
    DeliveryKey::digest([
        webhook.tenant().as_bytes(),
        webhook.id().as_bytes(),
        webhook.event().as_bytes(),
        &canonical,
    ])
}

impl DeliveryKey {
    /// The key of what these parts say together: their SHA-256, each with its
    /// length before it, so that two lists never run into one.
    #[must_use]
    pub fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self::from_bytes(hash.finalize().into())
    }
}

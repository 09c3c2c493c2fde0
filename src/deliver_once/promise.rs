//! Promises an answer: 202 now, the document later.

use http::Uri;
use tokio::sync::watch;
use tokio::time::Instant;

use super::ask::{ask, persist};
use super::in_progress::Seat;
use super::shared::Shared;
use crate::ledger::{DeliveryKey, Hold, Lease};
use crate::verify::Webhook;

/// Whether a delivery is promised.
pub(super) enum Promise {
    NotMade,
    /// The ledger was asked to record it and has not replied: it may have done so.
    Asked,
    /// The ledger has recorded it, and the callers get 202. The channel tells when the
    /// 202 was written.
    Made(watch::Receiver<Option<Instant>>),
}

impl Promise {
    /// Records the promise as soon as the ledger can be reached, then answers the callers
    /// 202. `None` if the lease was lost or the receiver stops.
    pub(super) async fn make(
        &mut self,
        shared: &Shared,
        seat: &Seat,
        lease: Lease,
        webhook: &Webhook,
        uri: &Uri,
    ) -> Option<()> {
        shared.warn_unless_recovering();
        *self = Self::Asked;
        // A duplicate may have brought another callback URL since.
        let latest = seat.webhook();
        let latest = latest.as_ref().unwrap_or(webhook);
        let delivery = latest.to_stored(uri, lease.run());
        let promised = persist(shared, || shared.ledger.promise(lease, delivery.clone()));
        match promised.await? {
            Hold::Held => {
                *self = Self::Made(seat.tell_promised());
                Some(())
            }
            Hold::Lost => None,
        }
    }
}

/// Stores the callback URL of a promised delivery's duplicate in the ledger, for the
/// process that will post the answer. If that fails, the ledger keeps an older one.
pub(super) async fn keep_latest(shared: &Shared, key: DeliveryKey, webhook: &Webhook, uri: &Uri) {
    if !shared.may_promise(webhook) {
        return;
    }
    // The run in which it was promised is unknown here: the first is the earliest.
    let delivery = webhook.to_stored(uri, 1);
    if let Err(error) = ask(shared, shared.ledger.refresh(key, delivery)).await {
        tracing::warn!(%error, "the latest callback URL of a delivery could not be stored");
    }
}

//! A ledger shared behind an `Arc`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{
    Backlog, Claimed, DeadPage, Death, DeliveryKey, Fill, Finished, Hold, Lease, Ledger,
    LedgerError, Name, Owner, Posted, RecordedAnswer, Revival, Standing, Taken,
};
use crate::future::BoxFuture;

/// Lets the layers of one process share a ledger.
impl<L: Ledger + ?Sized> Ledger for Arc<L> {
    fn claim(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Claimed, LedgerError>> {
        (**self).claim(key, owner, term)
    }

    fn find(&self, key: DeliveryKey) -> BoxFuture<'_, Result<Option<Standing>, LedgerError>> {
        (**self).find(key)
    }

    fn renew(&self, lease: Lease, term: Duration) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        (**self).renew(lease, term)
    }

    fn promise(&self, lease: Lease, delivery: Bytes) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        (**self).promise(lease, delivery)
    }

    fn finish(
        &self,
        lease: Lease,
        answer: RecordedAnswer,
    ) -> BoxFuture<'_, Result<Finished, LedgerError>> {
        (**self).finish(lease, answer)
    }

    fn release(&self, lease: Lease, pause: Duration) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        (**self).release(lease, pause)
    }

    fn refresh(&self, key: DeliveryKey, delivery: Bytes) -> BoxFuture<'_, Result<(), LedgerError>> {
        (**self).refresh(key, delivery)
    }

    fn take(
        &self,
        layer: Name,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Taken>, LedgerError>> {
        (**self).take(layer, owner, term)
    }

    fn begin(
        &self,
        lease: Lease,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Lease>, LedgerError>> {
        (**self).begin(lease, term)
    }

    fn resume(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Taken>, LedgerError>> {
        (**self).resume(key, owner, term)
    }

    fn postpone(
        &self,
        lease: Lease,
        pause: Duration,
        posted: Posted,
    ) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        (**self).postpone(lease, pause, posted)
    }

    fn called_back(&self, lease: Lease) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        (**self).called_back(lease)
    }

    fn bury(&self, lease: Lease, death: Death) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        (**self).bury(lease, death)
    }

    fn dead(&self, after: Option<DeliveryKey>) -> BoxFuture<'_, Result<DeadPage, LedgerError>> {
        (**self).dead(after)
    }

    fn revive(&self, key: DeliveryKey) -> BoxFuture<'_, Result<Revival, LedgerError>> {
        (**self).revive(key)
    }

    fn backlog(&self, layer: Name) -> BoxFuture<'_, Result<Backlog, LedgerError>> {
        (**self).backlog(layer)
    }

    fn fill(&self) -> Option<Fill> {
        (**self).fill()
    }
}

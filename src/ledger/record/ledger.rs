//! Every store of records is a ledger.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;

use super::{RecordStore, Step};
use crate::future::BoxFuture;
use crate::ledger::{
    Backlog, Claimed, DeadPage, Death, DeliveryKey, Finished, Hold, Lease, Ledger, LedgerError,
    Name, Owner, Posted, RecordedAnswer, Revival, Standing, Taken,
};

/// The most due records that one take passes over: others took them meanwhile, or they
/// cannot be read.
const PASSED_OVER: usize = 1_000;

impl<S: RecordStore> Ledger for S {
    fn claim(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Claimed, LedgerError>> {
        Box::pin(self.step(Step::claim(self.retention(), key, owner, term)))
    }

    fn find(&self, key: DeliveryKey) -> BoxFuture<'_, Result<Option<Standing>, LedgerError>> {
        Box::pin(self.step(Step::find(self.retention(), key)))
    }

    fn renew(&self, lease: Lease, term: Duration) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        Box::pin(self.step(Step::renew(self.retention(), lease, term)))
    }

    fn promise(&self, lease: Lease, delivery: Bytes) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        Box::pin(self.step(Step::promise(self.retention(), lease, delivery)))
    }

    fn finish(
        &self,
        lease: Lease,
        answer: RecordedAnswer,
    ) -> BoxFuture<'_, Result<Finished, LedgerError>> {
        Box::pin(self.step(Step::finish(self.retention(), lease, answer)))
    }

    fn release(&self, lease: Lease, pause: Duration) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        Box::pin(self.step(Step::release(self.retention(), lease, pause)))
    }

    fn refresh(&self, key: DeliveryKey, delivery: Bytes) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(self.step(Step::refresh(self.retention(), key, delivery)))
    }

    fn take(
        &self,
        layer: Name,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Taken>, LedgerError>> {
        Box::pin(take(self, layer, owner, term))
    }

    fn resume(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Taken>, LedgerError>> {
        Box::pin(self.step(Step::resume(self.retention(), key, owner, term)))
    }

    fn begin(
        &self,
        lease: Lease,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Lease>, LedgerError>> {
        Box::pin(self.step(Step::begin(self.retention(), lease, term)))
    }

    fn postpone(
        &self,
        lease: Lease,
        pause: Duration,
        posted: Posted,
    ) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        Box::pin(self.step(Step::postpone(self.retention(), lease, pause, posted)))
    }

    fn called_back(&self, lease: Lease) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        Box::pin(self.step(Step::called_back(self.retention(), lease)))
    }

    fn bury(&self, lease: Lease, death: Death) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        Box::pin(self.step(Step::bury(self.retention(), lease, death)))
    }

    fn dead(&self, after: Option<DeliveryKey>) -> BoxFuture<'_, Result<DeadPage, LedgerError>> {
        Box::pin(dead(self, after))
    }

    fn revive(&self, key: DeliveryKey) -> BoxFuture<'_, Result<Revival, LedgerError>> {
        Box::pin(self.step(Step::revive(self.retention(), key)))
    }

    fn backlog(&self, layer: Name) -> BoxFuture<'_, Result<Backlog, LedgerError>> {
        Box::pin(async move { Ok(self.counts(layer).await?.backlog(self.retention())) })
    }
}

async fn dead(
    store: &impl RecordStore,
    after: Option<DeliveryKey>,
) -> Result<DeadPage, LedgerError> {
    let keys = store.dead_keys(after).await?;
    let mut deliveries = Vec::with_capacity(keys.len());
    for key in &keys {
        match store.step(Step::dead(store.retention(), *key)).await {
            Ok(dead) => deliveries.extend(dead),
            Err(error) if error.is_unreadable() => {
                tracing::error!(%error, ?key, "cannot list a dead delivery");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(DeadPage::new(deliveries, keys.last().copied()))
}

async fn take(
    store: &impl RecordStore,
    layer: Name,
    owner: Owner,
    term: Duration,
) -> Result<Option<Taken>, LedgerError> {
    let mut passed_over = HashSet::new();
    let mut skip = 0;
    while passed_over.len() < PASSED_OVER {
        let due = store.due(layer, skip).await?;
        if due.is_empty() {
            break;
        }
        let mut is_new = false;
        for key in &due {
            if !passed_over.insert(*key) {
                continue;
            }
            is_new = true;
            let step = Step::resume(store.retention(), *key, owner, term);
            match store.step(step).await {
                Ok(None) => {}
                Ok(Some(taken)) => return Ok(Some(taken)),
                // A damaged record does not block the others.
                Err(error) if error.is_unreadable() => {
                    tracing::error!(%error, ?key, "cannot take over a due delivery");
                }
                Err(error) => return Err(error),
            }
        }
        // What another took is no longer due; what cannot be taken still is.
        if !is_new {
            skip += due.len();
        }
    }
    Ok(None)
}

//! Promises an answer: 202 now, the document later.

use std::sync::Arc;

use http::Uri;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use super::ask::{ask, persist};
use super::handler::{Handler, Job};
use super::in_progress::Seat;
use super::run::{Alive, Run};
use super::shared::{Place, Shared};
use super::verdict::Verdict;
use crate::ledger::{DeliveryKey, Hold, Lease};
use crate::verify::Webhook;

/// The first run of a delivery, during which it may be promised.
pub(super) struct FirstRun<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) seat: &'a Seat,
    pub(super) webhook: &'a Webhook,
    pub(super) may_promise: bool,
    pub(super) lease: Lease,
    pub(super) span: &'a Span,
}

impl FirstRun<'_> {
    /// Runs the handler. Promises the delivery if the handler is slow, or at once under
    /// `by_callback`. `None` if the promise failed before a result.
    pub(super) async fn run<H: Handler>(
        &self,
        job: Job<H>,
        held: (Alive, Place),
        promise: &mut Promise,
    ) -> Option<Verdict> {
        let Self {
            shared,
            seat,
            webhook,
            may_promise,
            lease,
            span,
        } = *self;
        let uri = job.request.uri().clone();
        let start = || {
            let run = (lease.run(), lease);
            let service = job.service;
            Run::start(shared, service, job.request, webhook, run, held, span)
        };
        if !may_promise {
            return Some(start().end().await);
        }
        if shared.policy.by_callback {
            promise.make(shared, seat, lease, webhook, &uri).await?;
            return Some(start().end().await);
        }
        let mut run = start();
        let answer_by = job.arrived + shared.policy.answer_within;
        if let Ok(verdict) = timeout_at(answer_by, run.end()).await {
            return Some(verdict);
        }
        tokio::select! {
            biased;
            // A result needs no promise, and is kept even if the promise fails.
            verdict = run.end() => return Some(verdict),
            made = promise.make(shared, seat, lease, webhook, &uri) => made?,
        }
        Some(run.end().await)
    }
}

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
                *self = Self::Made(seat.tell_promised(lease.run()));
                // A duplicate that joined while the ledger was asked has not stored its own
                // URL; those that join from now on do.
                if let Some(newer) = seat.webhook()
                    && newer.body() != latest.body()
                {
                    keep_latest(shared, lease.key(), &newer, uri).await;
                }
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

//! Renews the lease on a delivery during its work, and releases it.

use std::future::Future;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::ask::{LEDGER_PAUSE, ask, persist};
use super::run::Alive;
use super::shared::{Phase, Shared};
use crate::ledger::{Hold, Lease, Posted};

/// Renews a lease. Completes when the lease is or may be lost: the work under it must
/// stop, since another process may begin it.
pub(super) async fn keep(shared: &Shared, lease: Lease) {
    let term = shared.policy.lease;
    let every = term * 2 / 9;
    let mut sent = Instant::now();
    // A handler that answers at once needs no timer.
    yield_now().await;
    let mut next = sent + every;
    loop {
        sleep_until(next).await;
        // Counted from before the request: the lease ends no sooner in the store.
        let end = sent + term - every / 2;
        let asked = Instant::now();
        match timeout_at(end, shared.ledger.renew(lease, term)).await {
            Ok(Ok(Hold::Held)) => {
                sent = asked;
                next = sent + every;
            }
            Ok(Ok(Hold::Lost)) => {
                tracing::error!(?lease, "the lease was lost: another process has taken over");
                return;
            }
            Ok(Err(error)) if Instant::now() < end => {
                tracing::warn!(%error, "the lease could not be renewed, retrying");
                next = Instant::now() + LEDGER_PAUSE.min(every);
            }
            Ok(Err(_)) | Err(_) => {
                tracing::error!(?lease, "the lease could not be renewed in time");
                return;
            }
        }
    }
}

/// Does work while the lease holds and the receiver is not stopped; `None` if the work
/// was cut off and has ended.
pub(super) async fn under_lease<T, F>(
    shared: &Shared,
    lease: Lease,
    work: impl FnOnce(Alive) -> F,
) -> Option<T>
where
    F: Future<Output = T>,
{
    let (alive, gone) = oneshot::channel();
    if shared.phase() == Phase::Stopped {
        // The receiver begins no more work.
        drop(alive);
    } else {
        let work = work(alive);
        tokio::select! {
            biased;
            done = work => return Some(done),
            () = keep(shared, lease) => {}
            () = shared.reached(Phase::Stopped) => {}
        }
    }
    // The next holder of the lease begins at once: wait until the handler has ended.
    let _ = gone.await;
    // The next request need not wait for the lease to expire.
    release(shared, lease, Duration::ZERO).await;
    None
}

/// Renews a lease whose time left is unknown. Returns whether it is in force.
pub(super) async fn renew(shared: &Shared, lease: Lease) -> bool {
    let renewed = persist(shared, || shared.ledger.renew(lease, shared.policy.lease));
    renewed.await == Some(Hold::Held)
}

/// Gives up a run, or an attempt to post its answer. If the ledger cannot be reached,
/// the lease expires instead.
pub(super) async fn release(shared: &Shared, lease: Lease, pause: Duration) {
    let released = if lease.attempt() == 0 {
        shared.ledger.release(lease, pause)
    } else {
        shared.ledger.postpone(lease, pause, Posted::Perhaps)
    };
    if let Ok(Err(error)) = timeout(LEDGER_PAUSE, released).await {
        tracing::warn!(%error, "a lease could not be released and will expire");
    }
}

/// Leaves the delivery unchanged to a replica that can answer it.
pub(super) async fn leave(shared: &Shared, lease: Lease, pause: Duration) {
    let left = if lease.attempt() == 0 {
        shared.ledger.release(lease, pause)
    } else {
        shared.ledger.postpone(lease, pause, Posted::No)
    };
    // If this fails, the lease expires.
    let _ = ask(shared, left).await;
}

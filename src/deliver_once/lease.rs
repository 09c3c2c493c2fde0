//! The lease on a delivery: kept in force while there is work, and given back.

use std::future::Future;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::ask::{LEDGER_PAUSE, ask};
use super::run::Alive;
use super::shared::{Phase, Shared};
use crate::ledger::{Hold, Lease, Posted};

/// Keeps a lease in force. Completes once it is lost, or may be: then the work
/// under it has to stop, since another may begin it.
pub(super) async fn keep(shared: &Shared, lease: Lease) {
    let term = shared.policy.lease;
    let every = term * 2 / 9;
    let mut sent = Instant::now();
    // A handler that answers at once needs no timer.
    yield_now().await;
    let mut next = sent + every;
    loop {
        sleep_until(next).await;
        // Measured from before the request: the store's lease ends no sooner.
        let end = sent + term - every / 2;
        let asked = Instant::now();
        match timeout_at(end, shared.ledger.renew(lease, term)).await {
            Ok(Ok(Hold::Held)) => {
                sent = asked;
                next = sent + every;
            }
            Ok(Ok(Hold::Lost)) => {
                tracing::error!(?lease, "the lease was lost: another has taken over");
                return;
            }
            Ok(Err(error)) if Instant::now() < end => {
                tracing::warn!(%error, "the lease could not be renewed, to be tried again");
                next = Instant::now() + LEDGER_PAUSE.min(every);
            }
            Ok(Err(_)) | Err(_) => {
                tracing::error!(?lease, "the lease could not be renewed in time");
                return;
            }
        }
    }
}

/// Does work as long as the lease is in force and the receiver does not stop;
/// `None` if it was cut off, and nothing is left of it.
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
        // Nothing is begun any more.
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
    // Whoever gets the lease begins at once: first the handler has to be gone.
    let _ = gone.await;
    // So that the next who asks need not wait for the lease to run out.
    release(shared, lease, Duration::ZERO).await;
    None
}

/// Gives up a run, or an attempt to send its answer. If the ledger is out of
/// reach, the lease runs out instead.
pub(super) async fn release(shared: &Shared, lease: Lease, pause: Duration) {
    let released = if lease.attempt() == 0 {
        shared.ledger.release(lease, pause)
    } else {
        shared.ledger.postpone(lease, pause, Posted::Perhaps)
    };
    if let Ok(Err(error)) = timeout(LEDGER_PAUSE, released).await {
        tracing::warn!(%error, "a lease could not be given back: it runs out");
    }
}

/// When a delivery that this replica cannot answer is free for others: by chance, so
/// that it is not always this one that is there first.
pub(super) fn unfit() -> Duration {
    Duration::from_millis(fastrand::u64(10_000..20_000))
}

/// Leaves it as it is to a replica that can do what this one cannot.
pub(super) async fn leave(shared: &Shared, lease: Lease, pause: Duration) {
    let left = if lease.attempt() == 0 {
        shared.ledger.release(lease, pause)
    } else {
        shared.ledger.postpone(lease, pause, Posted::No)
    };
    // If that is not heard, the lease runs out.
    let _ = ask(shared, left).await;
}

//! One run of the handler, under its lease.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tracing::Instrument;

use super::guard::Verdict;
use super::handler::Handler;
use super::shared::{Phase, Shared};
use crate::future::BoxFuture;
use crate::ledger::{Hold, Lease, LedgerError, Posted};
use crate::verify::Webhook;

/// How long to wait after trouble with the ledger, before asking it again.
pub(super) const LEDGER_PAUSE: Duration = Duration::from_secs(1);

/// How long the ledger may take to answer.
const LEDGER_ANSWER: Duration = Duration::from_secs(5);

/// Which run of its delivery a handler is in: in the extensions of the request
/// that [`DeliverOnce`](crate::DeliverOnce) hands on.
///
/// With the feature `axum` it is an extractor as well.
///
/// More than 1 says that an earlier run failed or never ended: it may have done
/// a part of the work, or all of it.
///
/// ```
/// use tower_conductorone::DeliveryRun;
///
/// fn has_to_look_first(request: &http::Request<()>) -> bool {
///     request.extensions().get::<DeliveryRun>().is_some_and(|run| run.number() > 1)
/// }
/// # let _ = has_to_look_first;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryRun(u32);

impl DeliveryRun {
    pub(crate) const fn new(number: u32) -> Self {
        Self(number)
    }

    /// 1 for the first.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// A handler at work. Dropping it cuts the handler off, at its next `await`.
pub(super) struct Run {
    task: JoinSet<Verdict>,
    webhook: Webhook,
}

/// Held by a handler for as long as there is anything left of it.
pub(super) type Alive = oneshot::Sender<()>;

/// One of the places for handlers at work, held in the same way.
pub(super) type Place = OwnedSemaphorePermit;

impl Run {
    /// Calls the handler, once it is ready.
    pub(super) fn start(
        shared: &Arc<Shared>,
        service: impl Handler,
        mut request: Request<Full<Bytes>>,
        webhook: &Webhook,
        number: u32,
        held: (Alive, Place),
    ) -> Self {
        request.extensions_mut().insert(DeliveryRun::new(number));
        let handled = service.handle(request, webhook.clone());
        let limit = shared.run_limit(webhook);
        // A task of its own: if the handler panics, this one does not.
        let mut task = JoinSet::new();
        let (shared, called_with) = (Arc::clone(shared), webhook.clone());
        let work = async move {
            let _held = held;
            let verdict = match timeout(limit, handled).await {
                Ok(verdict) => verdict,
                Err(_elapsed) => {
                    tracing::error!(
                        tenant = called_with.tenant(),
                        webhook_id = called_with.id_for_log(),
                        event = called_with.event_for_log(),
                        run = number,
                        ?limit,
                        "the handler has not ended within its limit, and is cut off"
                    );
                    Verdict::failed()
                }
            };
            verdict.followed_by_callback(&shared, &called_with)
        };
        task.spawn(work.in_current_span());
        Self {
            task,
            webhook: webhook.clone(),
        }
    }

    /// Waits for its end. May be dropped and called again.
    pub(super) async fn end(&mut self) -> Verdict {
        match self.task.join_next().await {
            Some(Ok(verdict)) => verdict,
            Some(Err(error)) => {
                // What it panicked with, the panic hook has told.
                tracing::error!(
                    webhook_id = self.webhook.id_for_log(),
                    event = self.webhook.event_for_log(),
                    panicked = error.is_panic(),
                    "the handler broke off"
                );
                Verdict::failed()
            }
            None => Verdict::failed(),
        }
    }
}

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

/// Asks the ledger, which has to answer soon: the time that a lease has left is
/// counted from the answer, with that much to spare.
pub(super) async fn ask<T>(
    shared: &Shared,
    step: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    let limit = LEDGER_ANSWER.min(shared.policy.lease / 9);
    let asked = Instant::now();
    match timeout(limit, step).await {
        // One that was there in time, but found nobody awake, is as old.
        Ok(reply) if asked.elapsed() <= limit => reply,
        Ok(_) | Err(_) => Err(LedgerError::new(format!("no answer within {limit:?}"))),
    }
}

/// Takes a step in the ledger, again and again until it is known what became of
/// it; `None` if the receiver stops first. The lease may run out meanwhile: it
/// counts until another takes over.
pub(super) async fn persist<'a, T>(
    shared: &'a Shared,
    mut step: impl FnMut() -> BoxFuture<'a, Result<T, LedgerError>>,
) -> Option<T> {
    let mut stopped = pin!(shared.reached(Phase::Stopped));
    loop {
        match ask(shared, step()).await {
            Ok(reply) => return Some(reply),
            Err(error) => tracing::warn!(%error, "the ledger is out of reach, to be tried again"),
        }
        tokio::select! {
            () = sleep(LEDGER_PAUSE) => {}
            () = &mut stopped => return None,
        }
    }
}

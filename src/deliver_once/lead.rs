//! The work on a delivery, from its claim to its answer. It is detached from all
//! connections; the callers watch its stage.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::time::{Instant, timeout_at};

use super::ask::{LEDGER_PAUSE, persist};
use super::claim::claim;
use super::handler::Handler;
use super::in_progress::{Ending, Seat};
use super::lease::{release, under_lease};
use super::promise::{Promise, keep_latest};
use super::promised::{Accepted, PromisedDelivery, Step};
use super::run::{Alive, Run};
use super::shared::{Place, Shared};
use super::verdict::Verdict;
use crate::ledger::{Finished, Lease};
use crate::verify::Webhook;

/// The request to handle and the service that handles it.
pub(super) struct Job<H> {
    pub(super) request: Request<Full<Bytes>>,
    pub(super) service: H,
    /// When the request arrived.
    pub(super) arrived: Instant,
}

/// Works on the delivery until it is answered or given up.
pub(super) async fn lead<H: Handler>(
    shared: Arc<Shared>,
    seat: Seat,
    webhook: Webhook,
    job: Job<H>,
) {
    let (lease, place) = match claim(&shared, &seat, job.arrived).await {
        Ok(claimed) => claimed,
        Err(ending) => {
            if matches!(ending, Ending::Promised) {
                keep_latest(&shared, seat.key(), &webhook, job.request.uri()).await;
            }
            return seat.end(ending);
        }
    };
    // Kept for later runs, if the delivery may be promised.
    let again = shared.may_promise(&webhook);
    let again = again.then(|| (job.request.clone(), job.service.clone()));
    let mut promise = Promise::NotMade;
    let first = FirstRun {
        shared: &shared,
        seat: &seat,
        webhook: &webhook,
        may_promise: again.is_some(),
        lease,
    };
    let run = async |alive| first.run(job, (alive, place), &mut promise).await;
    let verdict = under_lease(&shared, lease, run).await.flatten();
    let (accepted, (request, service)) = match (promise, again) {
        (Promise::Made(written), Some(again)) => (Accepted::Here(written), again),
        (Promise::Asked, Some(again)) => (Accepted::Unheard, again),
        _ => {
            // If the run was cut off, dropping the seat tells the callers to retry.
            if let Some(verdict) = verdict {
                record(&shared, &seat, lease, verdict).await;
            }
            return;
        }
    };
    let step = match verdict {
        Some(verdict) => Step::Settle(lease, verdict),
        // Cut off, for example by a ledger outage: the document is still owed.
        None => Step::Wait(LEDGER_PAUSE),
    };
    let promised = PromisedDelivery {
        shared,
        webhook,
        request,
        service,
        accepted,
        answer: None,
        promised_in: lease.run(),
        run: lease.run(),
        place: None,
        seat: Some(seat),
    };
    // Boxed: few deliveries get here, and the future is large.
    Box::pin(promised.pursue(lease.key(), step)).await;
}

/// The first run of a delivery, during which it may be promised.
struct FirstRun<'a> {
    shared: &'a Arc<Shared>,
    seat: &'a Seat,
    webhook: &'a Webhook,
    may_promise: bool,
    lease: Lease,
}

impl FirstRun<'_> {
    /// Runs the handler. Promises the delivery if the handler is slow, or at once under
    /// `by_callback`. `None` if the promise failed before a result.
    async fn run<H: Handler>(
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
        } = *self;
        let uri = job.request.uri().clone();
        let start = || {
            let number = lease.run();
            Run::start(shared, job.service, job.request, webhook, number, held)
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

/// Records the answer, then tells the callers.
async fn record(shared: &Shared, seat: &Seat, lease: Lease, verdict: Verdict) {
    match &verdict {
        Verdict::Answered(answer) => {
            let finish = || shared.ledger.finish(lease, answer.clone());
            match persist(shared, finish).await {
                Some(Finished::Answered) => {}
                // Another process has taken over, and its answer counts.
                Some(Finished::Lost | Finished::Stored(_)) | None => return,
            }
        }
        Verdict::Failed(_) => release(shared, lease, Duration::ZERO).await,
    }
    seat.end(Ending::Ran(verdict));
}

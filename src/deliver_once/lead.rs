//! The work on a delivery, from its claim to its answer. It is detached from all
//! connections; the callers watch its stage.

use std::sync::Arc;
use std::time::Duration;

use super::ask::{LEDGER_PAUSE, persist};
use super::claim::claim;
use super::handler::{Handler, Job};
use super::in_progress::{Ending, Seat};
use super::lease::{release, under_lease};
use super::promise::{FirstRun, Promise, keep_latest};
use super::promised::{Accepted, PromisedDelivery, Step};
use super::shared::Shared;
use super::verdict::Verdict;
use crate::ledger::{Finished, Lease};
use crate::observe::run_span;
use crate::verify::Webhook;

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
    let (subject, of_request) = (webhook.subject(), &job.span);
    let span = || run_span(subject, lease.key(), lease.run(), of_request.clone());
    let span = shared.span(job.request.extensions(), span);
    let first = FirstRun {
        shared: &shared,
        seat: &seat,
        webhook: &webhook,
        may_promise: again.is_some(),
        lease,
        span: &span,
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
        ran: Some(span),
        seat: Some(seat),
    };
    // Boxed: few deliveries get here, and the future is large.
    Box::pin(promised.pursue(lease.key(), step)).await;
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
        Verdict::Recorded(_, Finished::Answered) => {}
        // It was not promised here.
        Verdict::Recorded(_, Finished::Stored(_) | Finished::Lost) => return,
        Verdict::Failed(_) => release(shared, lease, Duration::ZERO).await,
    }
    seat.end(Ending::Ran(verdict, lease.run()));
}

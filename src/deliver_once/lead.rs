//! The one who works on a delivery: claims it, runs the handler, records the
//! answer. Detached from every connection; those who asked watch its progress.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Uri;
use http_body_util::Full;
use tokio::sync::watch;
use tokio::time::timeout_at;
use tokio::time::{Instant, sleep};

use super::guard::Verdict;
use super::handler::Handler;
use super::promised::{Accepted, Step, Work};
use super::run::{LEDGER_PAUSE, Place, Run, ask, persist, release, under_lease};
use super::runs::{Ending, Progress, Seat};
use super::shared::{Phase, Shared};
use crate::ledger::{Claimed, Finished, Lease, LedgerError, Owner, Standing};
use crate::ledger::{DeliveryKey, Hold};
use crate::rejection::{Rejection, RejectionKind};
use crate::verify::Webhook;

/// How long to wait before looking again at another replica's work.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// For how long a ledger that is out of reach is asked again before the caller
/// is told so. 50 attempts with the shortest pauses of 3 s then outlast an outage
/// of 18 minutes.
const LEDGER_PATIENCE: Duration = Duration::from_secs(20);

/// What there is to do.
pub(super) struct Job<H> {
    pub(super) request: Request<Full<Bytes>>,
    pub(super) service: H,
    /// When the request came.
    pub(super) arrived: Instant,
}

/// Works on the delivery until it is over.
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
            return seat.tell(Progress::Over(ending));
        }
    };
    if shared.may_promise(&webhook) {
        return Box::pin(lead_to_promise(shared, seat, webhook, lease, place, job)).await;
    }
    let work = async |alive| {
        let (number, held) = (lease.run(), (alive, place));
        let (handler, request) = (job.service, job.request);
        let mut run = Run::start(&shared, handler, request, &webhook, number, held);
        run.end().await
    };
    // If it is cut off, the seat is given up, and those who wait are told to ask
    // again.
    if let Some(verdict) = under_lease(&shared, lease, work).await {
        record(&shared, &seat, lease, verdict).await;
    }
}

/// The same for a delivery that can be answered later.
async fn lead_to_promise<H: Handler>(
    shared: Arc<Shared>,
    seat: Seat,
    webhook: Webhook,
    lease: Lease,
    place: Place,
    job: Job<H>,
) {
    let (request, service) = (job.request.clone(), job.service.clone());
    let (mut promising, mut written) = (false, None);
    let work = async |alive| {
        let number = lease.run();
        let (handler, held) = (job.service, (alive, place));
        let start = || Run::start(&shared, handler, job.request, &webhook, number, held);
        if shared.policy.by_callback {
            promising = true;
            written = Some(promise(&shared, &seat, lease, &webhook, request.uri()).await?);
            return Some(start().end().await);
        }
        let mut run = start();
        match timeout_at(job.arrived + shared.policy.deadline, run.end()).await {
            Ok(verdict) => Some(verdict),
            Err(_elapsed) => {
                promising = true;
                tokio::select! {
                    biased;
                    // What is done need not be promised any more, nor be lost if
                    // it cannot be.
                    verdict = run.end() => return Some(verdict),
                    promised = promise(&shared, &seat, lease, &webhook, request.uri()) => {
                        written = Some(promised?);
                    }
                }
                Some(run.end().await)
            }
        }
    };
    let verdict = under_lease(&shared, lease, work).await.flatten();
    let accepted = match written {
        Some(written) => Accepted::Here(written),
        None if promising => Accepted::Unheard,
        None => {
            if let Some(verdict) = verdict {
                record(&shared, &seat, lease, verdict).await;
            }
            return;
        }
    };
    let step = match verdict {
        Some(verdict) => Step::Settle(lease, verdict),
        // Cut off, as by an outage of the ledger: it is still owed.
        None => Step::Wait(LEDGER_PAUSE),
    };
    let work = Work {
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
    // Apart: few deliveries come to that, and it is large.
    Box::pin(work.pursue(lease.key(), step)).await;
}

/// Claims the delivery, as long as those who ask can wait: while another
/// replica works on it, and while the ledger is out of reach. (To answer sooner
/// would use ConductorOne's attempts up sooner than the ledger may need.)
///
/// Without a place it only looks: what is answered, or at work elsewhere, needs none.
async fn claim(shared: &Shared, seat: &Seat, arrived: Instant) -> Result<(Lease, Place), Ending> {
    let (key, owner, asked) = (seat.key(), Owner::random(), Instant::now());
    let latest = arrived + shared.policy.latest_answer;
    let mut free = None;
    loop {
        free = free.or_else(|| shared.try_place());
        let stands = match free.take() {
            Some(place) => {
                let claimed = shared.ledger.claim(key, owner, shared.policy.lease);
                match ask(shared, claimed).await {
                    Ok(Claimed::Started(lease)) => return Ok((lease, place)),
                    Ok(Claimed::Standing(standing)) => Ok(standing),
                    Err(error) => {
                        free = Some(place);
                        Err(error)
                    }
                }
            }
            None => match ask(shared, shared.ledger.find(key)).await {
                Ok(Some(standing)) if standing != Standing::Released => Ok(standing),
                Ok(_) | Err(_) => return Err(too_many_running(shared)),
            },
        };
        let (pause, limit, rejection) = match stands {
            Ok(standing) => match standing {
                Standing::Answered(answer) => return Err(Ending::Recorded(answer)),
                Standing::Promised | Standing::CalledBack => return Err(Ending::Promised),
                Standing::Dead(reason) => {
                    tracing::error!(%reason, "a delivery that was given up came again");
                    return Err(Ending::Ran(Verdict::failed()));
                }
                Standing::Running | Standing::Released => {
                    let running = Rejection::new(RejectionKind::DeliveryRunning);
                    (LOOK_AGAIN, shared.policy.join, running)
                }
            },
            // It has answered: to ask again within seconds is of no use.
            Err(error) if error.is_full() => return Err(Ending::Refused(unavailable(error))),
            Err(error) => (LEDGER_PAUSE, LEDGER_PATIENCE, unavailable(error)),
        };
        if Instant::now() + pause >= latest.min(asked + limit) {
            return Err(Ending::Refused(rejection));
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = shared.reached(Phase::Draining) => {
                return Err(Ending::Refused(Rejection::new(RejectionKind::Stopping)));
            }
        }
    }
}

fn too_many_running(shared: &Shared) -> Ending {
    tracing::warn!(
        max_running = shared.policy.max_running,
        "as many handlers are at work as may be: a delivery is not begun"
    );
    Ending::Refused(Rejection::new(RejectionKind::TooManyRunning))
}

fn unavailable(error: LedgerError) -> Rejection {
    tracing::warn!(%error, "the ledger is out of reach");
    Rejection::because(RejectionKind::LedgerUnavailable, error)
}

/// Has the ledger keep the callback URL that a duplicate of a promised delivery has
/// brought, for the process that will post the answer. If that fails, an older one
/// has to do.
pub(super) async fn keep_latest(shared: &Shared, key: DeliveryKey, webhook: &Webhook, uri: &Uri) {
    if !shared.may_promise(webhook) {
        return;
    }
    // In which run it was promised is not known here: at the earliest in the first.
    let delivery = webhook.to_stored(uri, 1);
    if let Err(error) = ask(shared, shared.ledger.refresh(key, delivery)).await {
        tracing::warn!(%error, "the latest callback URL of a delivery could not be kept");
    }
}

/// Promises to do the work, as soon as the ledger can be reached, and lets those
/// who asked be told 202. What comes back tells when that was written.
async fn promise(
    shared: &Shared,
    seat: &Seat,
    lease: Lease,
    webhook: &Webhook,
    uri: &Uri,
) -> Option<watch::Receiver<Option<Instant>>> {
    // A duplicate may have brought another callback URL since.
    let latest = seat.webhook();
    let latest = latest.as_ref().unwrap_or(webhook);
    let delivery = latest.to_stored(uri, lease.run());
    let promised = persist(shared, || shared.ledger.promise(lease, delivery.clone()));
    match promised.await? {
        Hold::Held => {}
        Hold::Lost => return None,
    }
    Some(seat.tell_promised())
}

/// Records the answer, before anybody is told it.
async fn record(shared: &Shared, seat: &Seat, lease: Lease, verdict: Verdict) {
    match &verdict {
        Verdict::Answered(answer) => {
            let finish = || shared.ledger.finish(lease, answer.clone());
            match persist(shared, finish).await {
                Some(Finished::Answered) => {}
                // Another has taken over: its answer is the one.
                Some(Finished::Lost | Finished::Stored(_)) | None => return,
            }
        }
        Verdict::Failed(_) => release(shared, lease, Duration::ZERO).await,
    }
    seat.tell(Progress::Over(Ending::Ran(verdict)));
}

//! Resumes promised deliveries of crashed replicas.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::ask::{LEDGER_PAUSE, ask};
use super::backoff;
use super::handler::Handler;
use super::in_progress::Busy;
use super::lease::{leave, release};
use super::promised::{Accepted, PromisedDelivery, Step, first_run};
use super::shared::{Phase, Place, Shared};
use crate::ledger::{Owner, Taken, Work};
use crate::observe::LayerBacklog;
use crate::verify::{Remembered, Webhook};

/// How many documents are posted at once. Each attempt ends within the client's time
/// limit. (`max_running` limits the handlers.)
const MAX_POSTS: usize = 64;

/// How often the ledger is asked what it has to do.
const MEASURE_EVERY: Duration = Duration::from_secs(15);

/// The pause before a delivery that cannot be decoded is tried again.
const UNREAD: Duration = Duration::from_secs(5 * 60);

pub(super) async fn recover<H: Handler>(shared: Arc<Shared>, service: H) {
    if shared.callbacks.is_none() {
        tracing::error!("recover does nothing without a callback client: set one with callbacks");
        return shared.reached(Phase::Draining).await;
    }
    shared.is_recovering();
    let (mut runs, mut posts) = (JoinSet::new(), JoinSet::new());
    // In a task of its own, which ends with this function: what is below may be busy.
    let mut measuring = JoinSet::new();
    if shared.hooks.observers.are_there() {
        measuring.spawn(measure(Arc::clone(&shared)));
    }
    let look_every = shared.policy.lease / 9;
    // Replicas that start together look at different times.
    let mut pause = look_every.mul_f64(fastrand::f64());
    // And go on at changing intervals, so that none is always the first to look.
    let jittered = || look_every.mul_f64(1.0 - fastrand::f64() / 2.0);
    loop {
        let next = async {
            sleep(pause).await;
            if posts.len() >= MAX_POSTS {
                posts.join_next().await;
            }
        };
        tokio::select! {
            () = shared.reached(Phase::Draining) => break,
            () = next => {}
        }
        // Counted before the check below, so that `drain` waits for it.
        let busy = shared.in_progress.busy();
        if shared.phase() != Phase::Serving {
            break;
        }
        let take = shared
            .ledger
            .take(shared.layer, Owner::random(), shared.policy.lease);
        pause = match ask(&shared, take).await {
            Ok(Some(taken)) if shared.phase() != Phase::Serving => {
                release(&shared, taken.lease, Duration::ZERO).await;
                break;
            }
            Ok(Some(taken)) => {
                let (service, shared) = (service.clone(), Arc::clone(&shared));
                match (&taken.work, shared.try_place()) {
                    (Work::Send { .. }, _) => {
                        posts.spawn(take_up(shared, busy, None, service, taken));
                        Duration::ZERO
                    }
                    (Work::Run, Some(place)) => {
                        runs.spawn(take_up(shared, busy, Some(place), service, taken));
                        Duration::ZERO
                    }
                    (Work::Run, None) => {
                        leave(&shared, taken.lease, backoff::other_replica()).await;
                        backoff::NO_PLACE
                    }
                }
            }
            Ok(None) => jittered(),
            Err(error) => {
                tracing::warn!(%error, "the ledger cannot be reached, retrying");
                look_every.max(LEDGER_PAUSE)
            }
        };
        while runs.try_join_next().is_some() || posts.try_join_next().is_some() {}
    }
    while runs.join_next().await.is_some() || posts.join_next().await.is_some() {}
}

/// Tells observers what the ledger has to do.
async fn measure(shared: Arc<Shared>) {
    loop {
        // The log tells of a ledger that cannot be reached already.
        if let Ok(backlog) = ask(&shared, shared.ledger.backlog(shared.layer)).await {
            let layer = shared.name();
            (shared.hooks.observers).backlog(&LayerBacklog { layer, backlog });
        }
        sleep(MEASURE_EVERY).await;
    }
}

async fn take_up<H: Handler>(
    shared: Arc<Shared>,
    _busy: Busy,
    place: Option<Place>,
    service: H,
    taken: Taken,
) {
    let Remembered { webhook, uri, run } = match Webhook::from_stored(&taken.delivery) {
        Ok(stored) => stored,
        Err(error) => {
            tracing::error!(%error, lease = ?taken.lease, "a promised delivery cannot be decoded");
            // A newer version of this crate may decode it before its callback's deadline.
            return leave(&shared, taken.lease, UNREAD).await;
        }
    };
    if let Err(rejection) = shared.check_callback(&webhook) {
        tracing::warn!(
            c1.tenant = webhook.tenant(),
            c1.webhook.id = &*webhook.id_for_log(),
            c1.event = &*webhook.event_for_log(),
            cause = rejection.cause(),
            "this replica cannot answer a promised delivery and leaves it to others"
        );
        return leave(&shared, taken.lease, backoff::other_replica()).await;
    }
    tracing::info!(
        c1.tenant = webhook.tenant(),
        c1.webhook.id = &*webhook.id_for_log(),
        c1.event = &*webhook.event_for_log(),
        c1.run = taken.lease.run(),
        "a promised delivery is resumed"
    );
    let promised = PromisedDelivery {
        request: request(&webhook, uri),
        webhook,
        service,
        seat: None,
        // The latest possible time: the actual one is unknown.
        accepted: Accepted::At(Instant::now()),
        answer: None,
        promised_in: run.max(first_run(&taken)),
        run: taken.lease.run(),
        place,
        ran: None,
        shared,
    };
    promised.pursue(taken.lease.key(), Step::of(taken)).await;
}

/// Rebuilds the request: method, URI, content type, body and [`Webhook`].
fn request(webhook: &Webhook, uri: Uri) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(webhook.body().clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    request.extensions_mut().insert(webhook.clone());
    request
}

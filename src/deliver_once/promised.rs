//! A delivery after its 202: its work is done and its answer posted here, since
//! ConductorOne does not ask again.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::ask::{LEDGER_PAUSE, persist};
use super::handler::Handler;
use super::in_progress::{Ending, Seat};
use super::lease::{leave, release, under_lease, unfit};
use super::run::Run;
use super::shared::{Phase, Place, Shared};
use super::verdict::Verdict;
use crate::callback::{AttemptOutcome, Callback, CallbackClient, Progress};
use crate::event::Reply;
use crate::excerpt::one_line;
use crate::ledger::{
    Claimed, DeliveryKey, Finished, Hold, Lease, Owner, Posted, RecordedAnswer, Standing, Taken,
    Work,
};
use crate::rejection::RejectionKind;
use crate::verify::{Remembered, Webhook};

/// How often a handler may be called for a promised delivery before its work is
/// given up, whether it failed or was cut off: as often as ConductorOne itself would
/// try. Only runs that have begun count.
const MAX_RUNS: u32 = 50;

/// How long the 202 may take to be written. If whoever asked has hung up, his
/// next attempt gets it, seconds later.
const WRITTEN: Duration = Duration::from_secs(60);

/// A longer pause than this is not waited for by who took a delivery over.
const SHORT_PAUSE: Duration = Duration::from_secs(5);

/// The work on a delivery that was promised.
pub(super) struct PromisedDelivery<H> {
    pub(super) shared: Arc<Shared>,
    pub(super) webhook: Webhook,
    pub(super) request: Request<Full<Bytes>>,
    pub(super) service: H,
    /// While those who ask are here, too.
    pub(super) seat: Option<Seat>,
    /// Whether, and when, ConductorOne was told 202.
    pub(super) accepted: Accepted,
    /// What the work has come to: the ledger may forget.
    pub(super) answer: Option<RecordedAnswer>,
    /// In which run it was promised.
    pub(super) promised_in: u32,
    /// The latest run that has begun: the ledger may forget.
    pub(super) run: u32,
    /// For its next run, if it has one already.
    pub(super) place: Option<Place>,
}

pub(super) enum Accepted {
    /// Not yet: whether the ledger knows of the promise is still to be seen.
    Unheard,
    /// By this process: this tells when it was written.
    Here(watch::Receiver<Option<Instant>>),
    /// At that time, or before.
    At(Instant),
}

/// How long a 202 that was written may be on its way.
const TRAVEL: Duration = Duration::from_millis(500);

/// What is to be done next.
pub(super) enum Step {
    /// Begin another run of what was taken over.
    Begin(Lease),
    /// Call the handler, again.
    Run(Lease),
    /// Record how a run ended.
    Settle(Lease, Verdict),
    /// Send the answer.
    Send(Lease, RecordedAnswer, Posted),
    /// Look again, later.
    Wait(Duration),
}

/// Another step, or the end.
type Next = ControlFlow<(), Step>;

/// Cut off, by the loss of the lease: then another process has it, or after an
/// outage of the ledger nobody. Or the receiver stops, as is then seen.
const LATER: Next = ControlFlow::Continue(Step::Wait(LEDGER_PAUSE));

impl<H: Handler> PromisedDelivery<H> {
    /// Goes on until ConductorOne has its answer, or can no longer get one, or
    /// another process has taken over.
    // None of these takes `&self`: a service need not be `Sync`.
    pub(super) async fn pursue(mut self, key: DeliveryKey, mut step: Step) {
        loop {
            if let (Accepted::Unheard, Step::Begin(_) | Step::Send(..)) = (&self.accepted, &step) {
                self.accepted = match &self.seat {
                    Some(seat) => Accepted::Here(seat.tell_promised()),
                    None => Accepted::At(Instant::now()),
                };
            }
            let next = match step {
                // Who took it over is free for another: the ledger hands it out
                // again when it is due.
                Step::Wait(pause) if self.seat.is_none() && pause > SHORT_PAUSE => return,
                Step::Begin(lease) => self.begin(lease).await,
                Step::Run(lease) => self.run(lease).await,
                Step::Settle(lease, verdict) => self.settle(lease, verdict).await,
                Step::Send(lease, answer, posted) => self.send(lease, answer, posted).await,
                Step::Wait(pause) => self.wait(key, pause).await,
            };
            match next {
                ControlFlow::Continue(next) => step = next,
                ControlFlow::Break(()) => return,
            }
        }
    }

    async fn begin(&mut self, lease: Lease) -> Next {
        let begin = || self.shared.ledger.begin(lease, self.shared.policy.lease);
        if let Some(run) = persist(&self.shared, begin).await.flatten() {
            ControlFlow::Continue(Step::Run(run))
        } else {
            release(&self.shared, lease, Duration::ZERO).await;
            LATER
        }
    }

    async fn run(&mut self, lease: Lease) -> Next {
        self.run = lease.run().max(self.run.saturating_add(1));
        if self.runs() > MAX_RUNS {
            return self.bury(lease, "the handler was cut off too often").await;
        }
        if self.is_too_late() {
            return self.bury(lease, "the callback's deadline has passed").await;
        }
        let service = self.service.clone();
        let request = self.request.clone();
        let place = self.place.take();
        let work = async |alive| {
            let place = match place {
                Some(place) => Some(place),
                None => self.shared.place().await,
            };
            let Some(place) = place else {
                return Verdict::rejected(RejectionKind::HandlerFailed);
            };
            let (shared, webhook, held) = (&self.shared, &self.webhook, (alive, place));
            let mut run = Run::start(shared, service, request, webhook, self.run, held);
            run.end().await
        };
        match under_lease(&self.shared, lease, work).await {
            Some(verdict) => ControlFlow::Continue(Step::Settle(lease, verdict)),
            None => LATER,
        }
    }

    async fn settle(&mut self, lease: Lease, verdict: Verdict) -> Next {
        let answer = match verdict {
            Verdict::Answered(answer) => answer,
            Verdict::Failed(failure) if self.seat.is_none() && failure.never_handled() => {
                return self.leave_unhandled(lease, failure.status()).await;
            }
            Verdict::Failed(_) if self.runs() >= MAX_RUNS => {
                return self.bury(lease, "the handler has failed too often").await;
            }
            Verdict::Failed(failure) => {
                // As ConductorOne would try again.
                let pause = Duration::from_millis(fastrand::u64(3_000..15_000));
                tracing::warn!(
                    tenant = self.webhook.tenant(),
                    webhook_id = self.webhook.id_for_log(),
                    event = self.webhook.event_for_log(),
                    run = lease.run(),
                    status = failure.status().as_u16(),
                    ?pause,
                    "a promised run has failed, and is repeated"
                );
                release(&self.shared, lease, pause).await;
                return ControlFlow::Continue(Step::Wait(pause));
            }
        };
        let finish = || self.shared.ledger.finish(lease, answer.clone());
        match persist(&self.shared, finish).await {
            Some(Finished::Stored(lease)) => {
                // How much of the run's lease is left is not known.
                let renew = || self.shared.ledger.renew(lease, self.shared.policy.lease);
                match persist(&self.shared, renew).await {
                    Some(Hold::Held) => {
                        ControlFlow::Continue(Step::Send(lease, answer, Posted::No))
                    }
                    Some(Hold::Lost) | None => LATER,
                }
            }
            Some(Finished::Answered) if self.is_owed() => self.send_once(answer).await,
            // It never was promised.
            Some(Finished::Answered) => {
                if let Some(seat) = &self.seat {
                    seat.end(Ending::Ran(Verdict::Answered(answer)));
                }
                ControlFlow::Break(())
            }
            // Another has taken over, or the ledger has forgotten it.
            Some(Finished::Lost) => {
                self.answer = Some(answer);
                LATER
            }
            None => ControlFlow::Break(()),
        }
    }

    /// The service that was given to `recover` is not what this layer goes around:
    /// another replica may have the right one, so this counts as no run.
    async fn leave_unhandled(&mut self, lease: Lease, status: StatusCode) -> Next {
        tracing::error!(
            tenant = self.webhook.tenant(),
            webhook_id = self.webhook.id_for_log(),
            event = self.webhook.event_for_log(),
            uri = one_line(&self.request.uri().to_string()),
            status = status.as_u16(),
            "a promised delivery did not reach its handler: recover must be given the service \
             that DeliverOnceLayer goes around, with its routes, and without this layer or \
             VerifyWebhookLayer"
        );
        let promised_in = self.promised_in.saturating_add(1);
        let delivery = self.webhook.to_stored(self.request.uri(), promised_in);
        let refresh = || self.shared.ledger.refresh(lease.key(), delivery.clone());
        let _ = persist(&self.shared, refresh).await;
        leave(&self.shared, lease, unfit()).await;
        ControlFlow::Break(())
    }

    async fn send(&mut self, lease: Lease, answer: RecordedAnswer, posted: Posted) -> Next {
        self.answer = Some(answer.clone());
        match answer.status() {
            // The handler has said 202 itself: it will answer by itself.
            202 => return self.over(lease).await,
            410 => return self.bury(lease, "the handler is gone for good").await,
            _ => {}
        }
        // Never before the 202 was written.
        let told = under_lease(&self.shared, lease, |_| self.accepted.told());
        if told.await.is_none() {
            return LATER;
        }
        let (callbacks, callback, reply) = match self.post(&answer) {
            Ok(post) => post,
            Err(reason) => {
                self.log_left(reason);
                leave(&self.shared, lease, unfit()).await;
                return ControlFlow::Break(());
            }
        };
        let mut progress = Progress {
            attempts: lease.attempt().saturating_sub(1),
            uncertain: posted == Posted::Perhaps,
        };
        let attempt = callbacks.attempt(&callback, &reply, &mut progress);
        let Some(outcome) = under_lease(&self.shared, lease, |_| attempt).await else {
            return LATER;
        };
        let (pause, posted) = match outcome {
            Ok(AttemptOutcome::Delivered(_)) => return self.over(lease).await,
            Ok(AttemptOutcome::Retry { after }) if progress.uncertain => (after, Posted::Perhaps),
            Ok(AttemptOutcome::Retry { after }) => (after, Posted::No),
            Err(error) => return self.bury(lease, &error.to_string()).await,
        };
        let postpone = || self.shared.ledger.postpone(lease, pause, posted);
        match persist(&self.shared, postpone).await {
            Some(Hold::Held) => ControlFlow::Continue(Step::Wait(pause)),
            Some(Hold::Lost) => LATER,
            None => ControlFlow::Break(()),
        }
    }

    /// Takes the delivery up again after a pause, unless another process has it.
    async fn wait(&mut self, key: DeliveryKey, pause: Duration) -> Next {
        tokio::select! {
            () = sleep(pause) => {}
            () = self.shared.reached(Phase::Stopped) => return ControlFlow::Break(()),
        }
        let owner = Owner::random();
        let shared = &*self.shared;
        let resume = || shared.ledger.resume(key, owner, shared.policy.lease);
        if let Some(taken) = persist(shared, resume).await.flatten() {
            // Another replica may have got another callback URL since.
            if let Ok(Remembered { webhook, .. }) = Webhook::from_stored(&taken.delivery)
                && shared.supersedes(&webhook, &self.webhook)
            {
                self.webhook = webhook;
            }
            return ControlFlow::Continue(Step::of(taken));
        }
        match persist(shared, || shared.ledger.find(key)).await {
            // Not quite due; or another process has it, which may crash.
            Some(Some(Standing::Promised)) => {
                let pause = shared.policy.lease / 3;
                if let (Accepted::Unheard, Some(seat)) = (&self.accepted, &self.seat) {
                    self.accepted = Accepted::Here(seat.tell_promised());
                }
                ControlFlow::Continue(Step::Wait(pause))
            }
            Some(standing) if self.is_owed() => match standing {
                None | Some(Standing::Released) => self.promise_again(key).await,
                // Without the promise: under a lease from before it was made, or
                // since ConductorOne has asked another process.
                Some(Standing::Running) => ControlFlow::Continue(Step::Wait(SHORT_PAUSE)),
                Some(Standing::Answered(answer)) => self.send_once(answer).await,
                _ => ControlFlow::Break(()),
            },
            _ => ControlFlow::Break(()),
        }
    }

    /// The ledger has forgotten the promise, on which ConductorOne counts.
    async fn promise_again(&mut self, key: DeliveryKey) -> Next {
        self.log_forgotten();
        let (shared, owner) = (&*self.shared, Owner::random());
        let claim = || shared.ledger.claim(key, owner, shared.policy.lease);
        let lease = match persist(shared, claim).await {
            Some(Claimed::Started(lease)) => lease,
            Some(Claimed::Standing(_)) => return LATER,
            None => return ControlFlow::Break(()),
        };
        let delivery = self.webhook.to_stored(self.request.uri(), lease.run());
        let promise = || shared.ledger.promise(lease, delivery.clone());
        match persist(shared, promise).await {
            Some(Hold::Held) => ControlFlow::Continue(match self.answer.clone() {
                Some(answer) => Step::Settle(lease, Verdict::Answered(answer)),
                None => Step::Run(lease),
            }),
            Some(Hold::Lost) => LATER,
            None => ControlFlow::Break(()),
        }
    }

    /// The same, but the answer is there, and the ledger has it for an answer that
    /// was given: it takes no more steps.
    async fn send_once(&mut self, answer: RecordedAnswer) -> Next {
        self.log_forgotten();
        self.accepted.told().await;
        let Ok((callbacks, callback, reply)) = self.post(&answer) else {
            return ControlFlow::Break(());
        };
        tokio::select! {
            // It logs what becomes of it.
            _ = callbacks.send(&callback, &reply) => {}
            () = self.shared.reached(Phase::Stopped) => {}
        }
        ControlFlow::Break(())
    }

    /// What is to be posted, where, and by whom.
    fn post(
        &self,
        answer: &RecordedAnswer,
    ) -> Result<(CallbackClient, Callback, Reply), &'static str> {
        let latest = self.seat.as_ref().and_then(Seat::webhook);
        let webhook = latest
            .as_ref()
            .filter(|latest| self.shared.supersedes(latest, &self.webhook))
            .unwrap_or(&self.webhook);
        let callbacks = self.shared.callbacks.clone();
        let callback = callbacks.zip(webhook.callback());
        let (callbacks, callback) = callback.ok_or("there is no callback")?;
        let reply = Reply::from_json(webhook.event(), answer.document().clone());
        let reply = reply.map_err(|_| "the stored document is none for this event")?;
        Ok((callbacks, callback, reply))
    }

    /// Whether ConductorOne was told 202.
    fn is_owed(&self) -> bool {
        !matches!(self.accepted, Accepted::Unheard)
    }

    /// How many runs have begun since the promise, with the one that it was made in.
    /// Those before do not count: ConductorOne itself limits them.
    fn runs(&self) -> u32 {
        self.run.saturating_sub(self.promised_in).saturating_add(1)
    }

    fn is_too_late(&self) -> bool {
        let callbacks = self.shared.callbacks.as_ref();
        let callback = callbacks.zip(self.webhook.callback());
        callback.is_some_and(|(callbacks, callback)| callbacks.is_over(&callback))
    }

    fn log_forgotten(&self) {
        tracing::error!(
            tenant = self.webhook.tenant(),
            webhook_id = self.webhook.id_for_log(),
            event = self.webhook.event_for_log(),
            "the ledger has forgotten a promised delivery, which goes on all the same"
        );
    }

    fn log_left(&self, reason: &str) {
        tracing::warn!(
            tenant = self.webhook.tenant(),
            webhook_id = self.webhook.id_for_log(),
            event = self.webhook.event_for_log(),
            reason,
            "this replica cannot post a stored answer, and leaves it to others"
        );
    }

    async fn over(&mut self, lease: Lease) -> Next {
        let called_back = || self.shared.ledger.called_back(lease);
        let _ = persist(&self.shared, called_back).await;
        ControlFlow::Break(())
    }

    async fn bury(&mut self, lease: Lease, reason: &str) -> Next {
        tracing::error!(
            tenant = self.webhook.tenant(),
            webhook_id = self.webhook.id_for_log(),
            event = self.webhook.event_for_log(),
            run = lease.run(),
            reason,
            "a promised delivery is given up"
        );
        let bury = || self.shared.ledger.bury(lease, reason);
        let _ = persist(&self.shared, bury).await;
        ControlFlow::Break(())
    }
}

impl Accepted {
    /// Waits until the 202 has arrived, if it has not been lost.
    async fn told(&mut self) {
        let at = match self {
            Self::Unheard => Instant::now(),
            Self::At(at) => *at,
            Self::Here(written) => {
                match timeout(WRITTEN, written.wait_for(Option::is_some)).await {
                    Ok(Ok(at)) => at.unwrap_or_else(Instant::now),
                    Ok(Err(_)) | Err(_) => Instant::now(),
                }
            }
        };
        *self = Self::At(at);
        sleep_until(at + TRAVEL).await;
    }
}

impl Step {
    /// What a delivery that was taken over needs.
    pub(super) fn of(taken: Taken) -> Self {
        match taken.work {
            Work::Run => Self::Begin(taken.lease),
            Work::Send { answer, posted } => Self::Send(taken.lease, answer, posted),
        }
    }
}

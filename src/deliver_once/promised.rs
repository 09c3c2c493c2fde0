//! Finishes a delivery after its 202: does the work and posts the answer, since
//! ConductorOne does not retry.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{Instrument, Span};

use super::ask::{LEDGER_PAUSE, ask, persist};
use super::backoff;
use super::cause::Cause;
use super::death::death;
use super::handler::Handler;
use super::in_progress::{Ending, Seat};
use super::lease::{leave, release, renew, under_lease};
use super::run::Run;
use super::shared::{Phase, Place, Shared};
use super::verdict::Verdict;
use crate::callback::{AttemptOutcome, Callback, CallbackClient, Progress, attempt_span};
use crate::event::Reply;
use crate::excerpt::one_line;
use crate::ledger::{
    Claimed, DeliveryKey, Finished, Hold, Lease, Owner, Posted, RecordedAnswer, Standing, Taken,
    Work,
};
use crate::observe::{CallbackAttempt, CallbackResult, run_span};
use crate::readable::Readable;
use crate::verify::{Remembered, Webhook};

/// How many runs a promised delivery may have, failed or cut off, before it is given up:
/// as many as ConductorOne's attempts. Only runs that have begun count.
const MAX_RUNS: u32 = 50;

/// The longest wait for the 202 to be written. If the caller has disconnected, its next
/// attempt gets the 202 seconds later.
const WRITTEN: Duration = Duration::from_secs(60);

/// The longest pause for which this process keeps a delivery that it resumed.
const SHORT_PAUSE: Duration = Duration::from_secs(5);

/// The work on a promised delivery.
pub(super) struct PromisedDelivery<H> {
    pub(super) shared: Arc<Shared>,
    pub(super) webhook: Webhook,
    pub(super) request: Request<Full<Bytes>>,
    pub(super) service: H,
    /// `Some` if the delivery's callers are in this process.
    pub(super) seat: Option<Seat>,
    /// Whether, and when, ConductorOne got the 202.
    pub(super) accepted: Accepted,
    /// The answer, in case the ledger loses it.
    pub(super) answer: Option<RecordedAnswer>,
    /// The run in which it was promised, or the first one after it was revived.
    pub(super) promised_in: u32,
    /// The latest run that has begun, in case the ledger loses it.
    pub(super) run: u32,
    /// The place for the next run, if already taken.
    pub(super) place: Option<Place>,
    /// The span of the run that has just ended, from which the callback's follows.
    pub(super) ran: Option<Span>,
}

pub(super) enum Accepted {
    /// No 202 yet: it is unknown whether the ledger recorded the promise.
    Unheard,
    /// This process answers 202; the channel tells when it was written.
    Here(watch::Receiver<Option<Instant>>),
    /// The 202 was written at that time or before.
    At(Instant),
}

/// How long a written 202 may take to arrive.
const TRAVEL: Duration = Duration::from_millis(500);

/// The next step.
pub(super) enum Step {
    /// Begin a run of a resumed delivery.
    Begin(Lease),
    /// Call the handler again.
    Run(Lease),
    /// Record the result of a run.
    Settle(Lease, Verdict),
    /// Post the answer.
    Send(Lease, RecordedAnswer, Posted),
    /// Resume after a pause.
    Wait(Duration),
}

/// Another step, or the end.
type Next = ControlFlow<(), Step>;

/// The step after work was cut off: the lease was lost (another process has it, or after
/// a ledger outage none), or the receiver stops, which `wait` notices.
const LATER: Next = ControlFlow::Continue(Step::Wait(LEDGER_PAUSE));

impl<H: Handler> PromisedDelivery<H> {
    /// Works until ConductorOne has its answer, can no longer get one, or another process
    /// has taken over.
    // No async method takes `&self`: a service need not be `Sync`.
    pub(super) async fn pursue(mut self, key: DeliveryKey, mut step: Step) {
        loop {
            if let (Accepted::Unheard, Step::Begin(_) | Step::Send(..)) = (&self.accepted, &step) {
                self.accepted = match &self.seat {
                    Some(seat) => Accepted::Here(seat.tell_promised(self.run)),
                    None => Accepted::At(Instant::now()),
                };
            }
            let next = match step {
                // Without callers here, leave it: the ledger hands it out again when due.
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
        let step = || self.shared.ledger.begin(lease, self.shared.policy.lease);
        let begun = if let Ok(begun) = ask(&self.shared, step()).await {
            begun
        } else {
            // Others can use the place meanwhile.
            self.place = None;
            persist(&self.shared, step).await.flatten()
        };
        if let Some(run) = begun {
            ControlFlow::Continue(Step::Run(run))
        } else {
            self.place = None;
            release(&self.shared, lease, Duration::ZERO).await;
            LATER
        }
    }

    async fn run(&mut self, lease: Lease) -> Next {
        self.run = lease.run().max(self.run.saturating_add(1));
        if self.runs() > MAX_RUNS {
            return self
                .bury(lease, "the handler was cut off too many times")
                .await;
        }
        if self.is_too_late() {
            return self.bury(lease, "the callback's deadline has passed").await;
        }
        let service = self.service.clone();
        let request = self.request.clone();
        let place = self.place.take();
        let (key, subject, run) = (lease.key(), self.webhook.subject(), self.run);
        let span = || run_span(subject, key, run, None);
        let span = self.shared.span(self.request.extensions(), span);
        let work = async |alive| {
            let place = match place {
                Some(place) => Some(place),
                None => self.shared.place().await,
            };
            let Some(place) = place else {
                return Verdict::failed(Cause::NotBegun);
            };
            let (shared, webhook, held) = (&self.shared, &self.webhook, (alive, place));
            let numbered = (self.run, lease);
            let mut run = Run::start(shared, service, request, webhook, numbered, held, &span);
            run.end().await
        };
        match under_lease(&self.shared, lease, work).await {
            Some(verdict) => {
                self.ran = Some(span);
                ControlFlow::Continue(Step::Settle(lease, verdict))
            }
            None => LATER,
        }
    }

    async fn settle(&mut self, lease: Lease, verdict: Verdict) -> Next {
        let (answer, finished) = match verdict {
            Verdict::Recorded(answer, finished) => (answer, Some(finished)),
            Verdict::Answered(answer) => {
                let finish = || self.shared.ledger.finish(lease, answer.clone());
                let finished = persist(&self.shared, finish).await;
                (answer, finished)
            }
            Verdict::Failed(failure) if self.seat.is_none() && failure.never_handled() => {
                return self.leave_unhandled(lease, failure.status()).await;
            }
            Verdict::Failed(_) if self.runs() >= MAX_RUNS => {
                return self.bury(lease, "the handler failed too many times").await;
            }
            Verdict::Failed(failure) => {
                let pause = backoff::failed_run();
                tracing::warn!(
                    c1.tenant = self.webhook.tenant(),
                    c1.webhook.id = &*self.webhook.id_for_log(),
                    c1.event = &*self.webhook.event_for_log(),
                    c1.run = lease.run(),
                    status = failure.status().as_u16(),
                    pause = %Readable(pause),
                    "a promised delivery's run failed and will be repeated"
                );
                release(&self.shared, lease, pause).await;
                return ControlFlow::Continue(Step::Wait(pause));
            }
        };
        match finished {
            Some(Finished::Stored(lease)) => {
                // The time left on the run's lease is unknown.
                if renew(&self.shared, lease).await {
                    ControlFlow::Continue(Step::Send(lease, answer, Posted::No))
                } else {
                    LATER
                }
            }
            Some(Finished::Answered) if self.is_owed() => self.send_once(answer).await,
            // It was never promised.
            Some(Finished::Answered) => {
                if let Some(seat) = &self.seat {
                    seat.end(Ending::Ran(Verdict::Answered(answer), lease.run()));
                }
                ControlFlow::Break(())
            }
            // Another process has taken over, or the ledger has lost it.
            Some(Finished::Lost) => {
                self.answer = Some(answer);
                LATER
            }
            None => ControlFlow::Break(()),
        }
    }

    /// Leaves the delivery to other replicas: the service passed to `recover` does not
    /// route it to a handler, but another replica's may. This does not count as a run.
    async fn leave_unhandled(&mut self, lease: Lease, status: StatusCode) -> Next {
        tracing::error!(
            c1.tenant = self.webhook.tenant(),
            c1.webhook.id = &*self.webhook.id_for_log(),
            c1.event = &*self.webhook.event_for_log(),
            uri = &*one_line(&self.request.uri().to_string()),
            status = status.as_u16(),
            "a promised delivery did not reach its handler: pass recover the service inside \
             DeliverOnceLayer, with its routes, without this layer and VerifyWebhookLayer"
        );
        let promised_in = self.promised_in.saturating_add(1);
        let delivery = self.webhook.to_stored(self.request.uri(), promised_in);
        let refresh = || self.shared.ledger.refresh(lease.key(), delivery.clone());
        let _ = persist(&self.shared, refresh).await;
        leave(&self.shared, lease, backoff::other_replica()).await;
        ControlFlow::Break(())
    }

    async fn send(&mut self, lease: Lease, answer: RecordedAnswer, posted: Posted) -> Next {
        self.answer = Some(answer.clone());
        match answer.status() {
            // The handler answered 202 itself, and posts the document itself.
            202 => return self.over(lease).await,
            410 => return self.bury(lease, "the handler answered 410").await,
            _ => {}
        }
        // Never post before the 202 was written.
        let told = under_lease(&self.shared, lease, |_| self.accepted.told());
        if told.await.is_none() {
            return LATER;
        }
        let (callbacks, callback, reply) = match self.post(&answer) {
            Ok(post) => post,
            Err(reason) => {
                self.log_left(reason);
                leave(&self.shared, lease, backoff::other_replica()).await;
                return ControlFlow::Break(());
            }
        };
        let mut progress = Progress {
            attempts: lease.attempt().saturating_sub(1),
            uncertain: posted == Posted::Perhaps,
        };
        let span = || attempt_span(&callback, progress);
        let span = self.shared.span(self.request.extensions(), span);
        if let Some(ran) = self.ran.take() {
            span.follows_from(&ran);
        }
        let attempt = callbacks.attempt_in(&span, &callback, &reply, &mut progress);
        let attempt = attempt.instrument(span.clone());
        let began = Instant::now();
        let Some(outcome) = under_lease(&self.shared, lease, |_| attempt).await else {
            return LATER;
        };
        self.shared.hooks.observers.callback(&CallbackAttempt {
            callback: &callback,
            number: progress.attempts,
            result: match outcome {
                Ok(AttemptOutcome::Delivered(_)) => CallbackResult::Delivered,
                Ok(AttemptOutcome::Retry { .. }) => CallbackResult::Retried,
                Err(_) => CallbackResult::Failed,
            },
            duration: began.elapsed(),
        });
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

    /// Resumes the delivery after a pause, unless another process has it.
    async fn wait(&mut self, key: DeliveryKey, pause: Duration) -> Next {
        self.ran = None;
        tokio::select! {
            () = sleep(pause) => {}
            () = self.shared.reached(Phase::Stopped) => return ControlFlow::Break(()),
        }
        let owner = Owner::random();
        let shared = &*self.shared;
        let resume = || shared.ledger.resume(key, owner, shared.policy.lease);
        if let Some(taken) = persist(shared, resume).await.flatten() {
            self.promised_in = self.promised_in.max(first_run(&taken));
            // Another replica may have received a newer callback URL.
            if let Ok(Remembered { webhook, .. }) = Webhook::from_stored(&taken.delivery)
                && shared.supersedes(&webhook, &self.webhook)
            {
                self.webhook = webhook;
            }
            return ControlFlow::Continue(Step::of(taken));
        }
        match persist(shared, || shared.ledger.find(key)).await {
            // Not due yet, or held by another process, which may crash.
            Some(Some(Standing::Promised)) => {
                let pause = shared.policy.lease / 3;
                if let (Accepted::Unheard, Some(seat)) = (&self.accepted, &self.seat) {
                    self.accepted = Accepted::Here(seat.tell_promised(self.run));
                }
                ControlFlow::Continue(Step::Wait(pause))
            }
            Some(standing) if self.is_owed() => match standing {
                None | Some(Standing::Released) => self.promise_again(key).await,
                // Running without the promise: under a lease from before it was made, or
                // because ConductorOne asked another process.
                Some(Standing::Running) => ControlFlow::Continue(Step::Wait(SHORT_PAUSE)),
                Some(Standing::Answered(answer)) => self.send_once(answer).await,
                _ => ControlFlow::Break(()),
            },
            // Before it was promised: by the handler itself, or by another process.
            Some(Some(Standing::Answered(answer))) => {
                if let Some(seat) = &self.seat {
                    seat.end(Ending::Recorded(answer));
                }
                ControlFlow::Break(())
            }
            _ => ControlFlow::Break(()),
        }
    }

    /// Records the promise again after the ledger lost it: ConductorOne relies on it.
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
            Some(Hold::Held) => match self.answer.clone() {
                Some(answer) => {
                    ControlFlow::Continue(Step::Settle(lease, Verdict::Answered(answer)))
                }
                // Recording the promise may have taken most of the lease's time.
                None if renew(shared, lease).await => ControlFlow::Continue(Step::Run(lease)),
                None => LATER,
            },
            Some(Hold::Lost) => LATER,
            None => ControlFlow::Break(()),
        }
    }

    /// Posts an answer after the ledger lost the promise: the ledger records the delivery
    /// as answered and takes no more steps.
    async fn send_once(&mut self, answer: RecordedAnswer) -> Next {
        self.log_forgotten();
        self.accepted.told().await;
        let Ok((callbacks, callback, reply)) = self.post(&answer) else {
            return ControlFlow::Break(());
        };
        tokio::select! {
            // `send` logs the result.
            _ = callbacks.send(&callback, &reply) => {}
            () = self.shared.reached(Phase::Stopped) => {}
        }
        ControlFlow::Break(())
    }

    /// The reply to post, its callback, and the client that posts it.
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
        let (callbacks, callback) = callback.ok_or("there is no callback client or URL")?;
        let reply = Reply::from_json(webhook.event(), answer.document().clone());
        let reply = reply.map_err(|_| "the stored document does not match the event")?;
        Ok((callbacks, callback, reply))
    }

    /// Whether ConductorOne got a 202.
    fn is_owed(&self) -> bool {
        !matches!(self.accepted, Accepted::Unheard)
    }

    /// The number of runs since the promise, including the one in which it was made, or
    /// since the delivery was revived.
    /// ConductorOne itself limits the earlier ones.
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
            c1.tenant = self.webhook.tenant(),
            c1.webhook.id = &*self.webhook.id_for_log(),
            c1.event = &*self.webhook.event_for_log(),
            "the ledger has lost a promised delivery, which continues here"
        );
    }

    fn log_left(&self, reason: &str) {
        tracing::warn!(
            c1.tenant = self.webhook.tenant(),
            c1.webhook.id = &*self.webhook.id_for_log(),
            c1.event = &*self.webhook.event_for_log(),
            reason,
            "this replica cannot post a stored answer and leaves it to others"
        );
    }

    async fn over(&mut self, lease: Lease) -> Next {
        let called_back = || self.shared.ledger.called_back(lease);
        let _ = persist(&self.shared, called_back).await;
        ControlFlow::Break(())
    }

    async fn bury(&mut self, lease: Lease, reason: &str) -> Next {
        tracing::error!(
            c1.tenant = self.webhook.tenant(),
            c1.webhook.id = &*self.webhook.id_for_log(),
            c1.event = &*self.webhook.event_for_log(),
            c1.run = lease.run(),
            reason,
            "a promised delivery is given up"
        );
        let death = death(&self.webhook, reason);
        let bury = || self.shared.ledger.bury(lease, death.clone());
        let _ = persist(&self.shared, bury).await;
        ControlFlow::Break(())
    }
}

impl Accepted {
    /// Waits until the 202 should have arrived.
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

/// The first run after the delivery was revived; the first of all if it never was.
pub(super) const fn first_run(taken: &Taken) -> u32 {
    taken.revived_after.saturating_add(1)
}

impl Step {
    /// The first step for a delivery that the ledger handed out.
    pub(super) fn of(taken: Taken) -> Self {
        match taken.work {
            Work::Run => Self::Begin(taken.lease),
            Work::Send { answer, posted } => Self::Send(taken.lease, answer, posted),
        }
    }
}

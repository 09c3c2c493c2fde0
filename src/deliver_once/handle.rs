use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use super::cause::Cause;
use super::run::DeliveryRun;
use super::shared::Shared;
use super::verdict::{Failure, Verdict};
use crate::event::Outcome;
use crate::ledger::{Finished, Lease, RecordedAnswer};
use crate::rejection::Rejection;
use crate::verify::Webhook;

/// A handler's hold on the delivery that it works on, for a ledger that records the
/// answer in the transaction of the handler's own work.
///
/// [`DeliverOnce`](crate::DeliverOnce) puts it into the request's extensions. A handler
/// of an [`EventRouter`](crate::EventRouter) may take it as an argument; with the feature
/// `axum` it is also an extractor. The companion `tower-conductorone-sqlx` takes it to
/// commit.
///
/// In a ledger of your own, [check](Self::check) the outcome, take the step
/// [`finish`](crate::ledger::record::Step) under the [lease](Self::lease) in the
/// transaction, commit unless the lease is lost, and tell the layer that the answer is
/// [recorded](Self::recorded). Then return the same outcome from the handler. Call
/// [`commits`](Self::commits) before you commit, and commit no work
/// [twice](Self::may_be_committed).
#[derive(Clone)]
pub struct DeliveryHandle(Arc<Inner>);

struct Inner {
    run: DeliveryRun,
    lease: Lease,
    webhook: Webhook,
    shared: Arc<Shared>,
    may_be_committed: AtomicBool,
    recorded: OnceLock<(RecordedAnswer, Finished)>,
    told: Notify,
}

impl DeliveryHandle {
    pub(super) fn new(
        run: DeliveryRun,
        lease: Lease,
        webhook: &Webhook,
        shared: &Arc<Shared>,
    ) -> Self {
        Self(Arc::new(Inner {
            run,
            lease,
            webhook: webhook.clone(),
            shared: Arc::clone(shared),
            may_be_committed: AtomicBool::new(false),
            recorded: OnceLock::new(),
            told: Notify::new(),
        }))
    }

    /// The handler's run.
    #[must_use]
    pub fn run(&self) -> DeliveryRun {
        self.0.run
    }

    /// The lease under which the handler runs.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.0.lease
    }

    /// The answer that the layer records if the handler returns this outcome.
    ///
    /// # Errors
    /// [`Rejection`] if ConductorOne cannot use the outcome as an answer
    /// ([`UnusableResponse`](crate::RejectionKind::UnusableResponse)), or if it is none but asks
    /// for another run ([`HandlerFailed`](crate::RejectionKind::HandlerFailed)).
    pub async fn check(&self, outcome: &Outcome) -> Result<RecordedAnswer, Rejection> {
        let Inner {
            webhook, shared, ..
        } = &*self.0;
        let verdict = Verdict::judge(webhook, outcome.response()).await;
        match verdict.with_callback(webhook, || shared.may_be_called_back(webhook)) {
            Verdict::Answered(answer) | Verdict::Recorded(answer, _) => Ok(answer),
            Verdict::Failed(Failure::Rejected(rejection)) => Err(rejection),
            Verdict::Failed(Failure::Response(_)) => Err(Cause::NoAnswer.rejection()),
        }
    }

    /// Notes that a transaction is about to be committed. Call it right before `COMMIT`.
    pub fn commits(&self) {
        self.0.may_be_committed.store(true, Ordering::Relaxed);
    }

    /// Whether an earlier transaction of this run may have been committed, because
    /// [`commits`](Self::commits) was called.
    ///
    /// A handler repeats its transaction if the reply to `COMMIT` was lost. If `finish` then
    /// writes nothing, and its reply is not [`Finished::Lost`], the earlier transaction is
    /// committed: roll this one back, and tell the layer that the answer is
    /// [recorded](Self::recorded).
    #[must_use]
    pub fn may_be_committed(&self) -> bool {
        self.0.may_be_committed.load(Ordering::Relaxed)
    }

    /// Tells the layer that the ledger has recorded this answer under the
    /// [lease](Self::lease), with this reply to `finish`: the transaction is committed.
    ///
    /// The layer then takes no step of its own: it tells the answer to all who wait, or
    /// to the callback URL, whatever the handler returns. The rest of the handler's run
    /// goes on beside, within the [run limit](crate::deliver_once::DeliverOnceBuilder::run_limit),
    /// and [`drain`](crate::DeliverOnceLayer::drain) waits for it.
    ///
    /// Do not call it while it is unknown whether the transaction is committed, for
    /// example if the connection broke during `COMMIT`: ConductorOne would be told what
    /// is not done. Return an error instead, and the next attempt asks the ledger.
    ///
    /// [`Finished::Lost`] tells nothing. The first call counts.
    pub fn recorded(&self, answer: RecordedAnswer, finished: Finished) {
        if finished != Finished::Lost && self.0.recorded.set((answer, finished)).is_ok() {
            self.0.told.notify_one();
        }
    }

    pub(super) fn webhook(&self) -> &Webhook {
        &self.0.webhook
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Completes once the answer is recorded. For one task.
    pub(super) async fn told(&self) {
        self.0.told.notified().await;
    }

    /// The answer that the handler has recorded.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let recorded = self.0.recorded.get();
        recorded.map(|(answer, finished)| Verdict::Recorded(answer.clone(), *finished))
    }
}

impl fmt::Debug for DeliveryHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryHandle")
            .field("run", &self.0.run)
            .field("lease", &self.0.lease)
            .finish_non_exhaustive()
    }
}

use tokio::time::Instant;

use super::handle::DeliveryHandle;
use super::verdict::Verdict;
use crate::observe::{RunEnd, RunOutcome, RunStart};

/// A run as observers see it, until it is dropped.
pub(super) struct ObservedRun {
    handle: DeliveryHandle,
    began: Instant,
    outcome: RunOutcome,
}

impl ObservedRun {
    pub(super) fn start(handle: &DeliveryHandle) -> Self {
        let run = Self {
            handle: handle.clone(),
            began: Instant::now(),
            // Unless it gets to its end.
            outcome: RunOutcome::CutOff,
        };
        let observers = &handle.shared().hooks.observers;
        observers.run_started(&run.facts());
        run
    }

    /// The handler has returned, or was cut off at its limit.
    pub(super) fn ends_with(&mut self, verdict: &Verdict) {
        self.outcome = match verdict {
            Verdict::Answered(_) | Verdict::Recorded(..) => RunOutcome::Answered,
            Verdict::Failed(_) => RunOutcome::Failed,
        };
    }

    fn facts(&self) -> RunStart<'_> {
        let webhook = self.handle.webhook();
        RunStart {
            tenant: webhook.shared_tenant(),
            event: webhook.event(),
            delivery: self.handle.lease().key(),
            number: self.handle.run().number(),
        }
    }
}

impl Drop for ObservedRun {
    fn drop(&mut self) {
        let outcome = if self.handle.verdict().is_some() {
            // Whatever the handler did after it had recorded its answer.
            RunOutcome::Answered
        } else if std::thread::panicking() {
            RunOutcome::Failed
        } else {
            self.outcome
        };
        let observers = &self.handle.shared().hooks.observers;
        observers.run_ended(&RunEnd {
            run: self.facts(),
            outcome,
            duration: self.began.elapsed(),
        });
    }
}

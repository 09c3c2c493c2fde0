use std::sync::Arc;

use tokio::time::Instant;

use super::shared::Shared;
use crate::ledger::{DeliveryKey, Lease};
use crate::observe::{RunEnd, RunOutcome, RunStart};
use crate::verify::Webhook;

/// A run as observers see it, until it is dropped.
pub(super) struct ObservedRun {
    shared: Arc<Shared>,
    webhook: Webhook,
    number: u32,
    delivery: DeliveryKey,
    began: Instant,
    pub(super) outcome: RunOutcome,
}

impl ObservedRun {
    pub(super) fn start(
        shared: &Arc<Shared>,
        webhook: &Webhook,
        number: u32,
        lease: Lease,
    ) -> Self {
        let run = Self {
            shared: Arc::clone(shared),
            webhook: webhook.clone(),
            number,
            delivery: lease.key(),
            began: Instant::now(),
            // Unless it gets to its end.
            outcome: RunOutcome::CutOff,
        };
        shared.hooks.observers.run_started(&run.facts());
        run
    }

    fn facts(&self) -> RunStart<'_> {
        RunStart {
            tenant: self.webhook.shared_tenant(),
            event: self.webhook.event(),
            delivery: self.delivery,
            number: self.number,
        }
    }
}

impl Drop for ObservedRun {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.outcome = RunOutcome::Failed;
        }
        self.shared.hooks.observers.run_ended(&RunEnd {
            run: self.facts(),
            outcome: self.outcome,
            duration: self.began.elapsed(),
        });
    }
}

use std::fmt;
use std::sync::Arc;

use super::shared::Shared;
use super::verdict::{Failure, Verdict};
use crate::event::Outcome;
use crate::ledger::{Lease, RecordedAnswer};
use crate::rejection::{Rejection, RejectionKind};
use crate::verify::Webhook;

/// A handler's hold on the delivery that it works on, for a ledger that records the
/// answer in the transaction of the handler's own work.
///
/// [`DeliverOnce`](crate::DeliverOnce) puts it into the request's extensions; with the
/// feature `axum` it is also an extractor. The companion `tower-conductorone-sqlx` takes
/// it to commit. In a ledger of your own, [check](Self::check) the outcome, take the step
/// [`finish`](crate::ledger::record::Step) under the [lease](Self::lease) in the
/// transaction, and commit unless the lease is lost. Then return the same outcome from
/// the handler: the layer repeats the step, and finds the answer recorded.
#[derive(Clone)]
pub struct DeliveryHandle {
    lease: Lease,
    webhook: Webhook,
    shared: Arc<Shared>,
}

impl DeliveryHandle {
    pub(super) fn new(lease: Lease, webhook: &Webhook, shared: &Arc<Shared>) -> Self {
        Self {
            lease,
            webhook: webhook.clone(),
            shared: Arc::clone(shared),
        }
    }

    /// The lease under which the handler runs.
    #[must_use]
    pub const fn lease(&self) -> Lease {
        self.lease
    }

    /// The answer that the layer records if the handler returns this outcome.
    ///
    /// # Errors
    /// [`Rejection`] if ConductorOne cannot use the outcome as an answer
    /// ([`UnusableResponse`](RejectionKind::UnusableResponse)), or if it is none but asks
    /// for another run ([`HandlerFailed`](RejectionKind::HandlerFailed)).
    pub async fn check(&self, outcome: &Outcome) -> Result<RecordedAnswer, Rejection> {
        let verdict = Verdict::judge(&self.webhook, outcome.response()).await;
        let may_be_called_back = || self.shared.may_be_called_back(&self.webhook);
        match verdict.with_callback(&self.webhook, may_be_called_back) {
            Verdict::Answered(answer) => Ok(answer),
            Verdict::Failed(Failure::Rejected(rejection)) => Err(rejection),
            Verdict::Failed(Failure::Response(_)) => {
                Err(Rejection::new(RejectionKind::HandlerFailed))
            }
        }
    }
}

impl fmt::Debug for DeliveryHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryHandle")
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

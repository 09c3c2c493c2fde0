//! One run of the handler, in its own task.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::handle::DeliveryHandle;
use super::handler::Handler;
use super::shared::{Place, Shared};
use super::verdict::Verdict;
use crate::future::within;
use crate::ledger::Lease;
use crate::rejection::RejectionKind;
use crate::verify::Webhook;

/// The number of the handler's run for its delivery.
/// [`DeliverOnce`](crate::DeliverOnce) puts it into the request's extensions; with the
/// feature `axum` it is also an extractor.
///
/// If it is greater than 1, an earlier run failed or never ended: it may have done part
/// or all of the work.
///
/// ```
/// use tower_conductorone::DeliveryRun;
///
/// fn has_to_look_first(request: &http::Request<()>) -> bool {
///     request.extensions().get::<DeliveryRun>().is_some_and(|run| run.number() > 1)
/// }
/// # let _ = has_to_look_first;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryRun(u32);

impl DeliveryRun {
    pub(crate) const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The run's number, counted from 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// A running handler. Dropping it cuts the handler off at its next `await`.
pub(super) struct Run {
    task: JoinSet<Verdict>,
    webhook: Webhook,
}

/// A guard that the handler's task holds until it has ended.
pub(super) type Alive = oneshot::Sender<()>;

impl Run {
    /// Calls the handler once it is ready.
    pub(super) fn start(
        shared: &Arc<Shared>,
        service: impl Handler,
        mut request: Request<Full<Bytes>>,
        webhook: &Webhook,
        (number, lease): (u32, Lease),
        held: (Alive, Place),
    ) -> Self {
        let handle = DeliveryHandle::new(lease, webhook, shared);
        request.extensions_mut().insert(DeliveryRun::new(number));
        request.extensions_mut().insert(handle);
        let handled = service.handle(request, webhook.clone());
        let limit = shared.run_limit(webhook);
        // In its own task, so that a panic of the handler stays there.
        let mut task = JoinSet::new();
        let (shared, called_with) = (Arc::clone(shared), webhook.clone());
        let work = async move {
            let _held = held;
            let Some(verdict) = within(limit, handled).await else {
                tracing::error!(
                    tenant = called_with.tenant(),
                    webhook_id = called_with.id_for_log(),
                    event = called_with.event_for_log(),
                    run = number,
                    ?limit,
                    "the handler exceeded the run limit and is cut off"
                );
                return Verdict::rejected(RejectionKind::HandlerFailed);
            };
            verdict.with_callback(&called_with, || shared.may_be_called_back(&called_with))
        };
        task.spawn(Box::pin(work).in_current_span());
        Self {
            task,
            webhook: webhook.clone(),
        }
    }

    /// Waits for the end of the run. Cancel safe.
    pub(super) async fn end(&mut self) -> Verdict {
        match self.task.join_next().await {
            Some(Ok(verdict)) => verdict,
            Some(Err(error)) => {
                // The panic hook has printed the message.
                tracing::error!(
                    tenant = self.webhook.tenant(),
                    webhook_id = self.webhook.id_for_log(),
                    event = self.webhook.event_for_log(),
                    panicked = error.is_panic(),
                    "the handler panicked or was cancelled"
                );
                Verdict::rejected(RejectionKind::HandlerFailed)
            }
            None => Verdict::rejected(RejectionKind::HandlerFailed),
        }
    }
}

//! One run of the handler, in its own task.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::{Instrument, Span};

use super::cause::Cause;
use super::handle::DeliveryHandle;
use super::handler::Handler;
use super::observed_run::ObservedRun;
use super::shared::{Phase, Place, Shared};
use super::verdict::Verdict;
use crate::future::within;
use crate::ledger::Lease;
use crate::readable::Readable;
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
    handle: DeliveryHandle,
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
        span: &Span,
    ) -> Self {
        let run = DeliveryRun::new(number);
        let handle = DeliveryHandle::new(run, lease, webhook, shared);
        request.extensions_mut().insert(run);
        request.extensions_mut().insert(handle.clone());
        // Boxed: what awaits it would have room for it twice, and spawning would move it.
        let handled = Box::pin(service.handle(request, webhook.clone()));
        let limit = shared.run_limit(webhook);
        // In its own task, so that a panic of the handler stays there.
        let mut task = JoinSet::new();
        let (shared, called_with) = (Arc::clone(shared), webhook.clone());
        let observed = ObservedRun::start(&handle);
        let work = async move {
            let _held = held;
            let mut observed = observed;
            let verdict = if let Some(verdict) = within(limit, handled).await {
                verdict.with_callback(&called_with, || shared.may_be_called_back(&called_with))
            } else {
                tracing::error!(
                    c1.tenant = called_with.tenant(),
                    c1.webhook.id = &*called_with.id_for_log(),
                    c1.event = &*called_with.event_for_log(),
                    c1.run = number,
                    limit = %Readable(limit),
                    "the handler exceeded the run limit and is cut off"
                );
                Verdict::failed(Cause::RunLimit)
            };
            observed.ends_with(&verdict);
            verdict
        };
        task.spawn(work.instrument(span.clone()));
        Self { task, handle }
    }

    /// Waits for the end of the run, or until the handler has recorded its answer. Cancel
    /// safe.
    pub(super) async fn end(&mut self) -> Verdict {
        let handle = self.handle.clone();
        tokio::select! {
            biased;
            verdict = self.returned() => handle.verdict().unwrap_or(verdict),
            () = handle.told() => {
                self.go_on();
                // It is set before it is told.
                let lost = || Verdict::failed(Cause::Panicked);
                handle.verdict().unwrap_or_else(lost)
            }
        }
    }

    /// Leaves the rest of the run, after its answer, to a task of its own.
    fn go_on(&mut self) {
        let mut rest = Self {
            task: std::mem::take(&mut self.task),
            handle: self.handle.clone(),
        };
        let shared = Arc::clone(self.handle.shared());
        let busy = shared.in_progress.busy();
        let rest = async move {
            let _busy = busy;
            tokio::select! {
                _ = rest.returned() => {}
                () = shared.reached(Phase::Stopped) => {}
            }
        };
        tokio::spawn(rest);
    }

    async fn returned(&mut self) -> Verdict {
        match self.task.join_next().await {
            Some(Ok(verdict)) => verdict,
            Some(Err(error)) => {
                let webhook = self.handle.webhook();
                // The panic hook has printed the message.
                tracing::error!(
                    c1.tenant = webhook.tenant(),
                    c1.webhook.id = &*webhook.id_for_log(),
                    c1.event = &*webhook.event_for_log(),
                    panicked = error.is_panic(),
                    "the handler panicked or was cancelled"
                );
                Verdict::failed(Cause::Panicked)
            }
            None => Verdict::failed(Cause::Panicked),
        }
    }
}

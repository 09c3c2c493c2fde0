use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::time::timeout;
use tower_layer::Layer;
use tower_service::Service;

#[cfg(feature = "testing")]
use super::handle::DeliveryHandle;
#[cfg(feature = "testing")]
use super::run::DeliveryRun;
use super::service::DeliverOnce;
use super::shared::{Phase, Shared};
use crate::ledger::DeliveryKey;
#[cfg(feature = "testing")]
use crate::ledger::Lease;
use crate::verify::Webhook;

/// The longest wait for the last leases to be released.
const RELEASE: Duration = Duration::from_secs(2);

/// Wraps services in [`DeliverOnce`].
///
/// Clones share the ledger and the work in progress. `Debug` shows the effective
/// policy.
#[derive(Clone)]
pub struct DeliverOnceLayer {
    shared: Arc<Shared>,
}

impl DeliverOnceLayer {
    pub(super) fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Resumes promised deliveries, which a crashed replica answered 202 but did not
    /// finish: runs the handler again, with a [`DeliveryRun`](super::DeliveryRun) greater
    /// than 1, and posts the answers that wait in the ledger. Spawn it once per replica;
    /// it ends on [`drain`](Self::drain).
    ///
    /// `service` is the service inside this layer (not the wrapped one). It gets requests
    /// with the path and query that they had there, the body, and the
    /// [`Webhook`](crate::Webhook) in their extensions, but without anything that outer
    /// layers added. If such a request does not reach the handler, this logs an error and
    /// leaves the delivery to other replicas: a 404 or 405, or a rejection by this layer
    /// or `VerifyWebhookLayer`, does not count as a run. Nor does a 404 or 405 by the
    /// handler itself: the run is repeated until the callback's deadline.
    ///
    /// With nested routers, pass the whole router without the layers, since the URI is
    /// the full one:
    ///
    /// ```
    /// # use axum::{Router, routing::post};
    /// # use tower_conductorone::{DeliverOnceLayer, VerifyWebhookLayer};
    /// # fn serve(provision: Router, once: DeliverOnceLayer, verify: VerifyWebhookLayer) -> Router {
    /// let handlers = Router::new().nest("/c1", provision); // its routes are below /c1
    /// tokio::spawn(once.recover(handlers.clone()));
    /// handlers.layer(once).layer(verify)
    /// # }
    /// # let _ = serve;
    /// ```
    ///
    /// Deliveries whose callback URL this layer's callback client must not post to are
    /// left to other replicas. Without a client, `recover` logs an error and does nothing.
    ///
    /// Unless `recover` runs, a delivery that was answered 202 is lost if its replica
    /// crashes before it posts the answer. With an in-memory ledger, it is lost anyway.
    pub fn recover<S, B>(&self, service: S) -> impl Future<Output = ()> + Send + use<S, B>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        super::recover::recover(Arc::clone(&self.shared), service)
    }

    /// The handle of a delivery that this layer does not work on.
    #[cfg(feature = "testing")]
    pub(crate) fn handle(&self, webhook: &Webhook, lease: Lease) -> DeliveryHandle {
        let run = DeliveryRun::new(lease.run());
        DeliveryHandle::new(run, lease, webhook, &self.shared)
    }

    /// The key of a webhook's delivery in this layer's ledger: derived from the layer's
    /// [name](super::DeliverOnceBuilder::ledger), the tenant, the event, and the
    /// [key](super::DeliverOnceBuilder::key).
    #[must_use]
    pub fn key_of(&self, webhook: &Webhook) -> DeliveryKey {
        self.shared.key_of(webhook)
    }

    /// Stops the layer: answers new deliveries 503 and waits for the work in progress,
    /// callbacks included, up to the
    /// [drain timeout](super::DeliverOnceBuilder::drain_timeout). Work that is not done by
    /// then is cut off and left to other replicas or to ConductorOne's next attempt.
    ///
    /// Await it after the server stops accepting connections and before the runtime
    /// shuts down.
    ///
    /// ```
    /// # use tower_conductorone::DeliverOnceLayer;
    /// # async fn stop(once: DeliverOnceLayer) {
    /// let drained = once.drain().await;
    /// if !drained.is_complete() {
    ///     eprintln!("{} deliveries were cut off", drained.cut_off());
    /// }
    /// # }
    /// # let _ = stop;
    /// ```
    pub async fn drain(&self) -> Drained {
        self.shared.enter(Phase::Draining);
        let idle = self.shared.in_progress.idle();
        let _ = timeout(self.shared.policy.drain, idle).await;
        // Counted before anything is cut off: what is cut off leaves at once.
        let cut_off = self.shared.in_progress.count();
        self.shared.enter(Phase::Stopped);
        if cut_off > 0 {
            tracing::warn!(
                cut_off,
                "stopping: unfinished work is cut off and left to others"
            );
            let _ = timeout(RELEASE, self.shared.in_progress.idle()).await;
        }
        Drained { cut_off }
    }
}

/// The result of [`DeliverOnceLayer::drain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "work may have been cut off"]
pub struct Drained {
    cut_off: usize,
}

impl Drained {
    /// Whether all work was done in time.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.cut_off == 0
    }

    /// The number of deliveries that were cut off and left to others.
    #[must_use]
    pub fn cut_off(&self) -> usize {
        self.cut_off
    }
}

impl<S> Layer<S> for DeliverOnceLayer {
    type Service = DeliverOnce<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeliverOnce::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for DeliverOnceLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeliverOnceLayer")
            .field(&self.shared)
            .finish()
    }
}

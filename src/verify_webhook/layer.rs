use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::Body;
use http_body_util::Full;
use tokio::time::timeout;
use tower_layer::Layer;
use tracing::Span;

use super::service::VerifyWebhook;
use super::shared::Shared;
use super::tenant_keys_error::TenantKeysError;
use crate::future::BoxFuture;
use crate::keys::{KeyHealth, KeysUnavailable};
use crate::rejection::{Rejection, RejectionHooks};
use crate::verify::{Verifier, let_through};

/// Wraps services in [`VerifyWebhook`].
///
/// The service is always ready. When a request has passed, the service waits until a
/// clone of the inner service is ready for it. So a limit inside this layer
/// (`ConcurrencyLimit`, `RateLimit`, `LoadShed`) counts verified webhooks alone. A limit
/// outside counts every request, while its body arrives, keys are fetched and the
/// replay store answers. Put the limit that protects the handler inside, and the one
/// that protects the server's memory and connections outside. ConductorOne hangs up
/// after 30 s: put a `LoadShed` or a time-out around a limit that may make it wait
/// longer.
///
/// Clones share their keys and the replay store. `Debug` prints the policy in force,
/// without secrets.
#[derive(Clone)]
pub struct VerifyWebhookLayer {
    shared: Arc<Shared>,
}

impl VerifyWebhookLayer {
    pub(super) fn new(verifier: Verifier, hooks: RejectionHooks) -> Self {
        Self {
            shared: Arc::new(Shared::new(verifier, hooks)),
        }
    }

    /// Verifies one request, for what is no Tower service: an actix handler, a queue,
    /// a function of your own. It gives the request back with its body's bytes, and
    /// with the [`Webhook`](crate::Webhook) in its extensions.
    ///
    /// The request's URI must have the path that ConductorOne called, below the
    /// [public URL](crate::VerifyWebhookBuilder::public_url), and its headers must be complete.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use tower_conductorone::{VerifyWebhookLayer, Webhook};
    ///
    /// async fn receive(
    ///     layer: &VerifyWebhookLayer,
    ///     request: Request<Full<Bytes>>,
    /// ) -> Response<Full<Bytes>> {
    ///     let request = match layer.verify(request).await {
    ///         Ok(request) => request,
    ///         Err(rejection) => return rejection.response(),
    ///     };
    ///     match request.extensions().get::<Webhook>() {
    ///         Some(webhook) if webhook.event().ends_with("PayloadTest") => {
    ///             Response::new(Full::from(r#"{"version":"v1"}"#))
    ///         }
    ///         _ => todo!("answer the other events"),
    ///     }
    /// }
    /// # let _ = receive;
    /// ```
    ///
    /// # Errors
    /// [`Rejection`] says why the request was refused, and makes its
    /// [answer](Rejection::response). The builder's
    /// [`on_rejection`](crate::VerifyWebhookBuilder::on_rejection) has seen it; its
    /// [`rejection_response`](crate::VerifyWebhookBuilder::rejection_response) does not apply.
    pub async fn verify<B>(&self, request: Request<B>) -> Result<Request<Full<Bytes>>, Rejection>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let _in_flight = self.shared.verifier.observers.in_flight();
        let (head, body) = request.into_parts();
        let webhook = self.shared.verify(&head, body, &Span::none()).await?;
        Ok(let_through(head, webhook))
    }

    /// Completes once the keys of every tenant are loaded. Await it at start,
    /// or spawn it, so that the first webhook does not wait for the keys.
    ///
    /// It tries for as long as it takes; see [`ready_within`](Self::ready_within)
    /// for a service that should not start without keys.
    pub async fn ready(&self) {
        let sources = self.shared.verifier.tenants.values();
        together(sources.map(|source| source.ready()).collect()).await;
    }

    /// Like [`ready`](Self::ready), for at most `limit`.
    ///
    /// ```no_run
    /// # use tower_conductorone::VerifyWebhookLayer;
    /// # async fn start(layer: VerifyWebhookLayer) -> Result<(), Box<dyn std::error::Error>> {
    /// layer.ready_within(std::time::Duration::from_secs(20)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TenantKeysError`] names each tenant whose keys are still missing, with
    /// the cause of the last failure. A [`JwksCache`](crate::keys::JwksCache) goes
    /// on trying.
    pub async fn ready_within(&self, limit: Duration) -> Result<(), TenantKeysError> {
        if timeout(limit, self.ready()).await.is_ok() {
            return Ok(());
        }
        let tenants = self.health().tenants.into_iter();
        TenantKeysError::check(tenants.filter(|tenant| !tenant.keys.usable).map(|tenant| {
            let cause = tenant.keys.last_error;
            let cause = cause.unwrap_or_else(|| format!("no keys within {limit:?}").into());
            (tenant.domain, KeysUnavailable::new(cause, Duration::ZERO))
        }))
    }

    /// The state of every tenant's keys, for a readiness probe.
    #[must_use]
    pub fn health(&self) -> Health {
        let mut tenants: Vec<_> = self
            .shared
            .verifier
            .tenants
            .iter()
            .map(|(domain, source)| TenantHealth {
                domain: domain.to_string(),
                keys: source.health(),
            })
            .collect();
        tenants.sort_by(|one, other| one.domain.cmp(&other.domain));
        Health { tenants }
    }

    /// Loads the keys of every tenant now, regardless of the limits on fetching:
    /// for an operator who knows that a key must go.
    ///
    /// # Errors
    /// [`TenantKeysError`] names each tenant whose keys could not be loaded, and
    /// why. The keys that it had stay in force; the other tenants have new ones.
    pub async fn refresh_now(&self) -> Result<(), TenantKeysError> {
        let tenants = self.shared.verifier.tenants.iter();
        let refresh = tenants.map(|(domain, source)| -> BoxFuture<'_, _> {
            Box::pin(async move { (domain.to_string(), source.refresh().await) })
        });
        let outcomes = together(refresh.collect()).await.into_iter();
        TenantKeysError::check(
            outcomes.filter_map(|(domain, outcome)| Some((domain, outcome.err()?))),
        )
    }
}

/// Waits for all of them at once: one tenant's trouble does not hold up another.
async fn together<T>(mut running: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut done = Vec::new();
    poll_fn(|cx| {
        running.retain_mut(|future| match future.as_mut().poll(cx) {
            Poll::Ready(outcome) => {
                done.push(outcome);
                false
            }
            Poll::Pending => true,
        });
        if running.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    done
}

impl<S> Layer<S> for VerifyWebhookLayer {
    type Service = VerifyWebhook<S>;

    fn layer(&self, inner: S) -> Self::Service {
        VerifyWebhook::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for VerifyWebhookLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VerifyWebhookLayer")
            .field(&self.shared.verifier)
            .finish()
    }
}

/// The state of the tenants' keys.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// Each tenant, in the order of their domains.
    pub tenants: Vec<TenantHealth>,
}

/// The state of one tenant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TenantHealth {
    /// The tenant's domain, such as `example.conductor.one`.
    pub domain: String,
    /// The state of its keys.
    pub keys: KeyHealth,
}

impl Health {
    /// Whether every tenant's keys are loaded and in force.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.tenants.iter().all(|tenant| tenant.keys.usable)
    }
}

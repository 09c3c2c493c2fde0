//! The inner service, as the work calls it.

use std::error::Error;
use std::future::{Future, poll_fn};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;
use tower_service::Service;
use tracing::span::Id;

use super::cause::Cause;
use super::verdict::Verdict;
use crate::error_chain::error_chain;
use crate::excerpt::one_line;
use crate::verify::Webhook;

/// The request to handle and the service that handles it.
pub(super) struct Job<H> {
    pub(super) request: Request<Full<Bytes>>,
    pub(super) service: H,
    /// When the request arrived.
    pub(super) arrived: Instant,
    /// The request's span.
    pub(super) span: Option<Id>,
}

/// A service that a separate task can call, repeatedly.
pub(super) trait Handler: Clone + Send + 'static {
    /// Calls the service once it is ready, and judges its response.
    fn handle(
        self,
        request: Request<Full<Bytes>>,
        webhook: Webhook,
    ) -> impl Future<Output = Verdict> + Send + 'static;
}

impl<S, B> Handler for S
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    async fn handle(mut self, request: Request<Full<Bytes>>, webhook: Webhook) -> Verdict {
        let called = async {
            poll_fn(|cx| self.poll_ready(cx)).await?;
            self.call(request).await
        };
        match called.await.map_err(Into::into) {
            Ok(response) => Verdict::judge(&webhook, response).await,
            Err(error) => {
                tracing::error!(
                    c1.tenant = webhook.tenant(),
                    c1.webhook.id = &*webhook.id_for_log(),
                    // It may quote the payload.
                    error = &*one_line(&error_chain(&*error)),
                    "the inner service failed"
                );
                Verdict::failed(Cause::ServiceFailed)
            }
        }
    }
}

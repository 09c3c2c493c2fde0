use std::error::Error;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;
use tracing::Instrument;

use super::answer;
use super::body::DocumentBody;
use super::future::ResponseFuture;
#[cfg(feature = "callback")]
use super::lead::keep_latest;
use super::lead::{Job, lead};
use super::run::DeliveryRun;
use super::runs::Joined;
#[cfg(feature = "callback")]
use super::runs::Progress;
use super::shared::{Phase, Shared};
use crate::rejection::{Rejection, RejectionKind};
use crate::verify::Webhook;

/// Middleware that has each delivery's work done once: made by
/// [`DeliverOnceLayer`](super::DeliverOnceLayer).
#[derive(Clone, Debug)]
pub struct DeliverOnce<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> DeliverOnce<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change it.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// Whatever became of the request's body on the way, the inner service gets the
/// one that was verified.
impl<S, B, ReqBody> Service<Request<ReqBody>> for DeliverOnce<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<DocumentBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // The instance that was polled ready is the one to be called.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);

        if request.extensions().get::<DeliveryRun>().is_some() {
            let rejection = Rejection::installed_twice("DeliverOnceLayer");
            return ResponseFuture::ready(answer::refused(rejection));
        }
        let Some(webhook) = request.extensions().get::<Webhook>().cloned() else {
            return ResponseFuture::ready(answer::not_verified());
        };
        #[cfg(feature = "callback")]
        if self.shared.policy.by_callback
            && let Err(rejection) = self.shared.check_callback(&webhook)
        {
            log_refused(&webhook, &rejection);
            return ResponseFuture::ready(answer::refused(rejection));
        }
        let key = self.shared.key_of(&webhook);
        let supersedes = |later: &_, known: &_| self.shared.supersedes(later, known);
        let joined = self.shared.runs.join(key, webhook.clone(), supersedes);
        let (progress, is_first) = match joined {
            Joined::Live(progress) => {
                #[cfg(feature = "callback")]
                if matches!(*progress.borrow(), Progress::Promised(_)) {
                    let (shared, webhook) = (Arc::clone(&self.shared), webhook.clone());
                    let uri = request.uri().clone();
                    tokio::spawn(async move { keep_latest(&shared, key, &webhook, &uri).await });
                }
                (progress, false)
            }
            Joined::New(..) if self.shared.phase() != Phase::Serving => {
                let stopping = Rejection::new(RejectionKind::Stopping);
                return ResponseFuture::ready(answer::refused(stopping));
            }
            Joined::New(seat, progress) => {
                let request = request.map(|_| Full::new(webhook.body().clone()));
                let job = Job { request, ready };
                let work = lead(Arc::clone(&self.shared), seat, webhook.clone(), job);
                // Whoever asks may hang up: the work goes on.
                tokio::spawn(work.in_current_span());
                (progress, true)
            }
        };
        let policy = &self.shared.policy;
        let limit = if is_first {
            policy.latest_answer
        } else {
            policy.join
        };
        let shared = Arc::clone(&self.shared);
        let overdue = move || {
            if is_first {
                shared.log_overdue(&webhook);
            }
        };
        ResponseFuture::new(answer::wait(progress, is_first, limit, overdue))
    }
}

#[cfg(feature = "callback")]
fn log_refused(webhook: &Webhook, rejection: &Rejection) {
    tracing::warn!(
        webhook_id = webhook.id_for_log(),
        code = rejection.code(),
        cause = rejection.source().map(tracing::field::display),
        "webhook refused: it can only be answered through a callback"
    );
}

use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;
use tower_service::Service;
use tracing::{Instrument, Span};

use super::answer;
use super::body::DocumentBody;
use super::future::ResponseFuture;
use super::lead::keep_latest;
use super::lead::{Job, lead};
use super::run::DeliveryRun;
use super::runs::Joined;
use super::runs::Progress;
use super::shared::{Phase, Shared};
use crate::rejection::{Rejection, RejectionKind};
use crate::verify::{Arrived, Webhook};

/// What asks for another form of the answer, for whoever asks alone: the handler's
/// answer is kept, and goes to all who ask.
const OF_ONE_ANSWER: [HeaderName; 7] = [
    header::ACCEPT_ENCODING,
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

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

    /// Always ready: a duplicate needs nothing of the inner service. Its readiness is
    /// awaited in the run.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let called = Instant::now();
        if request.extensions().get::<DeliveryRun>().is_some() {
            let rejection = Rejection::installed_twice("DeliverOnceLayer");
            return ResponseFuture::ready(answer::refused(rejection));
        }
        let Some(webhook) = request.extensions().get::<Webhook>().cloned() else {
            return ResponseFuture::ready(answer::not_verified());
        };
        if self.shared.policy.by_callback
            && let Err(rejection) = self.shared.check_callback(&webhook)
        {
            log_refused(&webhook, &rejection);
            return ResponseFuture::ready(answer::refused(rejection));
        }
        let arrived = request.extensions().get::<Arrived>();
        let arrived = arrived.map_or(called, |arrived| arrived.0);
        let key = self.shared.key_of(&webhook);
        let supersedes = |later: &_, known: &_| self.shared.supersedes(later, known);
        let joined = self.shared.runs.join(key, webhook.clone(), supersedes);
        let (progress, is_first) = match joined {
            Joined::Live(progress) => {
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
                for name in OF_ONE_ANSWER {
                    request.headers_mut().remove(name);
                }
                let job = Job {
                    request: request.map(|_| Full::new(webhook.body().clone())),
                    service: self.inner.clone(),
                    arrived,
                };
                let work = lead(Arc::clone(&self.shared), seat, webhook.clone(), job);
                // Whoever asks may hang up: the work goes on.
                tokio::spawn(work.instrument(span(&webhook)));
                (progress, true)
            }
        };
        let policy = &self.shared.policy;
        let mut latest = arrived + policy.latest_answer;
        if !is_first {
            latest = latest.min(called + policy.join);
        }
        let shared = Arc::clone(&self.shared);
        let overdue = move || {
            if is_first {
                shared.log_overdue(&webhook);
            }
        };
        ResponseFuture::new(answer::wait(progress, is_first, latest, overdue))
    }
}

/// The span of a delivery's work. It follows from the request's, and is no part of
/// it, since it may last for days longer.
pub(super) fn span(webhook: &Webhook) -> Span {
    let span = tracing::info_span!(
        parent: None,
        "delivery",
        tenant = webhook.tenant(),
        webhook_id = webhook.id_for_log(),
        event = webhook.event_for_log(),
    );
    span.follows_from(Span::current());
    span
}

fn log_refused(webhook: &Webhook, rejection: &Rejection) {
    tracing::warn!(
        webhook_id = webhook.id_for_log(),
        code = rejection.code(),
        cause = rejection.cause(),
        "webhook refused: it can only be answered through a callback"
    );
}

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
use tracing::Span;

use super::body::DocumentBody;
use super::cause::Cause;
use super::future::ResponseFuture;
use super::handler::{Handler, Job};
use super::in_progress::{Answer, Joined, Stage, Waiting};
use super::lead::lead;
use super::promise::keep_latest;
use super::run::DeliveryRun;
use super::shared::{Phase, Shared};
use crate::rejection::Rejection;
use crate::verify::{Answering, Webhook};

/// Headers that ask for another representation of the answer. The handler does not see
/// them, since its answer is kept and returned to every request.
const OF_ONE_ANSWER: [HeaderName; 7] = [
    header::ACCEPT_ENCODING,
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// Middleware that does each delivery's work once. Created by
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

    /// Returns a reference to the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Consumes the middleware and returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// The inner service gets the verified body, even if a layer in between has replaced the
/// request's body. For one that takes another body than `Full<Bytes>`, see
/// [a service with another body](crate::verify_webhook#a-service-with-another-body).
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

    /// Always ready: a duplicate does not need the inner service. The run awaits the inner
    /// service's readiness.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let called = Instant::now();
        let webhook = request.extensions().get::<Webhook>().cloned();
        // In case no layer outside tells how the request is answered.
        let mut answering =
            Answering::begin(webhook.as_ref(), Span::none(), &self.shared.hooks.observers);
        let in_flight = (answering.is_open()).then(|| self.shared.hooks.observers.in_flight());
        let shared = Arc::clone(&self.shared);
        let begun = begin(&shared, &self.inner, request, webhook.as_ref(), called);
        ResponseFuture::new(async move {
            let _in_flight = in_flight;
            let answer = match (begun, &webhook) {
                (Ok(waiting), Some(webhook)) => waiting.answer(&shared, webhook).await,
                (Ok(_), None) => Answer::refused(Rejection::missing_webhook()),
                (Err(rejection), _) => Answer::refused(rejection),
            };
            let Answer { how, run, response } = answer;
            let response =
                response.unwrap_or_else(|rejection| shared.refuse(webhook.as_ref(), rejection));
            if let Some(webhook) = &webhook {
                webhook.handling().answered(how, run);
            }
            answering.answered(&response);
            response
        })
    }
}

/// Joins the delivery's work, or begins it.
fn begin<H: Handler, B>(
    shared: &Arc<Shared>,
    service: &H,
    mut request: Request<B>,
    webhook: Option<&Webhook>,
    called: Instant,
) -> Result<Waiting, Rejection> {
    if request.extensions().get::<DeliveryRun>().is_some() {
        return Err(Rejection::installed_twice("DeliverOnceLayer"));
    }
    let webhook = webhook.ok_or_else(Rejection::missing_webhook)?;
    if shared.policy.by_callback {
        shared.check_callback(webhook)?;
    }
    let arrived = webhook.arrived().unwrap_or(called);
    let latest = arrived + shared.policy.latest_answer;
    let key = shared.key_of(webhook);
    webhook.handling().belongs_to(key);
    let supersedes = |later: &_, known: &_| shared.supersedes(later, known);
    match shared.in_progress.join(key, webhook.clone(), supersedes) {
        Joined::Live { stage, is_latest } => {
            if is_latest && matches!(*stage.borrow(), Stage::Promised(..)) {
                let (shared, webhook) = (Arc::clone(shared), webhook.clone());
                let uri = request.uri().clone();
                tokio::spawn(async move { keep_latest(&shared, key, &webhook, &uri).await });
            }
            Ok(Waiting {
                key,
                stage,
                is_first: false,
                latest: latest.min(called + shared.policy.join),
            })
        }
        Joined::New(..) if shared.phase() != Phase::Serving => Err(Cause::Stopping.rejection()),
        Joined::New(seat, stage) => {
            for name in OF_ONE_ANSWER {
                request.headers_mut().remove(name);
            }
            let job = Job {
                request: request.map(|_| Full::new(webhook.body().clone())),
                service: service.clone(),
                arrived,
                span: Span::current().id(),
            };
            let work = lead(Arc::clone(shared), seat, webhook.clone(), job);
            // The work continues if the caller disconnects.
            // Boxed: spawning moves a future several times, and this one is large.
            tokio::spawn(Box::pin(work));
            Ok(Waiting {
                key,
                stage,
                is_first: true,
                latest,
            })
        }
    }
}

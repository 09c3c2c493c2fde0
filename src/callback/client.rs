//! The client that posts documents to callback URLs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, Uri};
use tokio::time::{sleep, timeout};
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

use super::attempt::{AttemptOutcome, Delivered, Progress, Verdict};
use super::backoff::{early_pause, pause};
use super::builder::{CallbackClientBuilder, Settings};
use super::post::PostError;
use super::{Callback, CallbackError, TypedCallback};
use crate::event::{Event, Reply};
use crate::excerpt::one_line;
use crate::header::read_retry_after;
use crate::readable::Readable;

/// How long after the firing ConductorOne may still be delivering the webhook, and
/// refuse the document with 400 because it has not received the 202: 50 attempts of
/// 30 s, each with a pause of 15 s, end after 38 min.
const EARLY: Duration = Duration::from_secs(45 * 60);

/// Posts documents to callback URLs. Cheap to clone.
///
/// See the [module](super) for how it reads answers.
#[derive(Clone, Debug)]
pub struct CallbackClient(Arc<Settings>);

impl CallbackClient {
    /// Starts to build a client. By default it posts to the tenant's own domain, for
    /// up to 8 days.
    pub fn builder() -> CallbackClientBuilder {
        CallbackClientBuilder::new()
    }

    pub(super) fn new(settings: Settings) -> Self {
        Self(Arc::new(settings))
    }

    /// Checks whether documents may be posted to this callback's URL. Opens no
    /// connection.
    ///
    /// # Errors
    /// [`CallbackError::Unusable`] if the URL does not lead to the tenant.
    pub fn check(&self, callback: &Callback) -> Result<(), CallbackError> {
        self.0.origins.check(callback).map(drop)
    }

    /// Whether the deadline has passed.
    pub(crate) fn is_over(&self, callback: &Callback) -> bool {
        self.time_left(callback).is_zero()
    }

    /// Sends the reply to an event of a known type, as [`send`](Self::send) does.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn answer<E: Event>(
        &self,
        callback: &TypedCallback<E>,
        reply: E::Reply,
    ) -> Result<Delivered, CallbackError> {
        self.send(callback.untyped(), &reply.into()).await
    }

    /// Posts a document, and retries until the deadline. That can take days: give it
    /// a task of its own. Dropping the future stops the attempts.
    ///
    /// Call this after the webhook was answered 202. If ConductorOne did not receive
    /// the 202, it refuses the document until its next attempt is answered 202: so a
    /// 400 is not final until 45 minutes after the webhook was
    /// [fired](Callback::fired_at).
    ///
    /// # Errors
    /// [`CallbackError`] if the document cannot be delivered.
    pub async fn send(
        &self,
        callback: &Callback,
        reply: &Reply,
    ) -> Result<Delivered, CallbackError> {
        let mut progress = Progress::default();
        loop {
            match self.attempt(callback, reply, &mut progress).await? {
                AttemptOutcome::Delivered(delivered) => return Ok(delivered),
                AttemptOutcome::Retry { after } => sleep(after).await,
            }
        }
    }

    /// Posts a document once. Store `progress` between attempts to continue after a
    /// restart.
    ///
    /// If this future is dropped before it completes, `progress` says that the
    /// outcome is unknown.
    ///
    /// # Errors
    /// [`CallbackError`] if the document cannot be delivered.
    pub async fn attempt(
        &self,
        callback: &Callback,
        reply: &Reply,
        progress: &mut Progress,
    ) -> Result<AttemptOutcome, CallbackError> {
        let span = attempt_span(callback, *progress);
        let attempt = self.attempt_in(&span, callback, reply, progress);
        attempt.instrument(span.clone()).await
    }

    /// An attempt that records its result in this span.
    pub(crate) async fn attempt_in(
        &self,
        span: &Span,
        callback: &Callback,
        reply: &Reply,
        progress: &mut Progress,
    ) -> Result<AttemptOutcome, CallbackError> {
        let uri = self
            .ready(callback, reply, *progress)
            .inspect_err(|error| {
                log(
                    callback,
                    *progress,
                    &"nothing was sent",
                    &Err(error.clone()),
                );
            })?;
        let earlier = *progress;
        // This holds if the future is dropped here.
        *progress = Progress {
            attempts: earlier.attempts.saturating_add(1),
            uncertain: true,
        };
        let answer = self.post(uri, reply).await;
        progress.uncertain = earlier.uncertain;
        let outcome = self.judge(callback, &answer, progress);
        match &answer {
            Ok(answer) => {
                let status = answer.status();
                span.record("http.response.status_code", status.as_u16());
                log(callback, *progress, &status, &outcome);
            }
            Err(error) => log(callback, *progress, error, &outcome),
        }
        outcome
    }

    /// The URL to post to, if the document may be posted.
    fn ready(
        &self,
        callback: &Callback,
        reply: &Reply,
        progress: Progress,
    ) -> Result<Uri, CallbackError> {
        let uri = self.0.origins.check(callback)?;
        // The reply may be one to another event.
        Reply::from_json(callback.event(), reply.as_bytes().clone())
            .map_err(CallbackError::Document)?;
        if self.time_left(callback).is_zero() {
            let uncertain = progress.uncertain;
            return Err(CallbackError::DeadlinePassed { uncertain });
        }
        Ok(uri)
    }

    async fn post(&self, uri: Uri, reply: &Reply) -> Result<Response<()>, PostError> {
        let mut request = Request::new(reply.as_bytes().clone());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        let limit = self.0.attempt_timeout;
        timeout(limit, self.0.post.post(request))
            .await
            .unwrap_or_else(|_| {
                Err(PostError::unknown(format_args!(
                    "no answer within {limit:?}"
                )))
            })
    }

    fn judge(
        &self,
        callback: &Callback,
        answer: &Result<Response<()>, PostError>,
        progress: &mut Progress,
    ) -> Result<AttemptOutcome, CallbackError> {
        let (uncertain, asked) = match answer {
            Ok(answer) => match Verdict::of(answer.status()) {
                Verdict::Accepted => return Ok(AttemptOutcome::Delivered(Delivered::Accepted)),
                Verdict::UsedOrExpired if self.age(callback) < EARLY => {
                    let after = early_pause(self.age(callback), fastrand::f64());
                    return Ok(AttemptOutcome::Retry { after });
                }
                Verdict::UsedOrExpired if progress.uncertain => {
                    return Ok(AttemptOutcome::Delivered(Delivered::ProbablyAccepted));
                }
                Verdict::UsedOrExpired => return Err(CallbackError::UsedOrExpired),
                Verdict::Refused => {
                    let status = answer.status();
                    return Err(CallbackError::Refused { status });
                }
                Verdict::Blocked => (false, read_retry_after(answer.headers())),
                Verdict::Retry { uncertain } => (uncertain, read_retry_after(answer.headers())),
            },
            Err(error) => (!error.is_unsent(), None),
        };
        progress.uncertain |= uncertain;
        // The last attempt is made early enough to end before the deadline.
        let left = self.time_left(callback);
        let left = left.saturating_sub(self.0.attempt_timeout);
        if left.is_zero() {
            let uncertain = progress.uncertain;
            return Err(CallbackError::DeadlinePassed { uncertain });
        }
        let after = pause(progress.attempts, asked, fastrand::f64()).min(left);
        Ok(AttemptOutcome::Retry { after })
    }

    pub(crate) fn time_left(&self, callback: &Callback) -> Duration {
        self.0.deadline.saturating_sub(self.age(callback))
    }

    fn age(&self, callback: &Callback) -> Duration {
        let age = self.0.clock.now().duration_since(callback.fired_at());
        age.unwrap_or_default()
    }
}

/// The span of the next attempt.
pub(crate) fn attempt_span(callback: &Callback, progress: Progress) -> Span {
    info_span!(
        target: "tower_conductorone",
        "webhook.callback",
        c1.tenant = callback.tenant(),
        c1.webhook.id = &*one_line(callback.webhook_id()),
        c1.event = &*one_line(callback.event()),
        c1.callback.attempt = progress.attempts.saturating_add(1),
        http.response.status_code = Empty,
    )
}

/// Logs the outcome of an attempt, without the URL and the document.
fn log(
    callback: &Callback,
    progress: Progress,
    answer: &dyn fmt::Display,
    outcome: &Result<AttemptOutcome, CallbackError>,
) {
    macro_rules! line {
        ($level:ident, $($field:tt)+) => {
            tracing::$level!(
                c1.tenant = callback.tenant(),
                c1.webhook.id = &*one_line(callback.webhook_id()),
                c1.event = &*one_line(callback.event()),
                c1.callback.attempt = progress.attempts,
                %answer,
                $($field)+
            )
        };
    }
    match outcome {
        Ok(AttemptOutcome::Delivered(delivered)) => {
            line!(info, ?delivered, "callback delivered");
        }
        Ok(AttemptOutcome::Retry { after }) => {
            line!(warn, after = %Readable(*after), "callback is retried");
        }
        Err(error) => line!(warn, %error, "callback failed permanently"),
    }
}

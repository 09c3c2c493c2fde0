//! Posts documents to callback URLs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, Uri};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::attempt::{AttemptOutcome, Delivered, Progress, Verdict};
use super::backoff::{early_pause, pause};
use super::builder::{CallbackClientBuilder, Settings};
use super::post::PostError;
use super::{Callback, CallbackError, TypedCallback};
use crate::event::{Event, Reply};
use crate::excerpt::one_line;
use crate::header::read_retry_after;

/// For how long after a webhook was fired ConductorOne may still be trying to
/// deliver it, and refuse the document with 400 since it has not heard the 202: 50
/// attempts of 30 s, each with a pause of 15 s, are over after 38 min.
const EARLY: Duration = Duration::from_secs(45 * 60);

/// Posts documents to callback URLs. Cheap to clone.
///
/// See the [module](super) for what it makes of answers.
#[derive(Clone, Debug)]
pub struct CallbackClient(Arc<Settings>);

impl CallbackClient {
    /// A client with the defaults: callbacks go to their tenant's own domain,
    /// for up to 8 days.
    pub fn builder() -> CallbackClientBuilder {
        CallbackClientBuilder::new()
    }

    pub(super) fn new(settings: Settings) -> Self {
        Self(Arc::new(settings))
    }

    /// Whether documents may be posted to this callback's URL at all. Connects
    /// to nothing.
    ///
    /// # Errors
    /// [`CallbackError::Unusable`] if the URL leads elsewhere than to the
    /// tenant.
    pub fn check(&self, callback: &Callback) -> Result<(), CallbackError> {
        self.0.origins.check(callback).map(drop)
    }

    /// Whether it is too late for any document.
    pub(crate) fn is_over(&self, callback: &Callback) -> bool {
        self.time_left(callback).is_zero()
    }

    /// Answers an event of a known type, as [`send`](Self::send) does.
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

    /// Sends a document, with as many attempts as it takes, until the deadline.
    /// That can be days: give it a task of its own. Dropping it stops the
    /// attempts.
    ///
    /// ConductorOne does not expect the document before it was answered 202: call
    /// this after that. If it did not hear the 202, it refuses the document until
    /// its next attempt has brought it one: so a 400 is not final before 45 minutes
    /// after the webhook was [fired](Callback::fired_at).
    ///
    /// # Errors
    /// [`CallbackError`] if the document is not, and will not be, delivered.
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

    /// Sends a document, once: for a receiver that stores `progress` between
    /// attempts, so that they go on after a restart.
    ///
    /// If this future is dropped before its end, `progress` says that the
    /// outcome is not known.
    ///
    /// # Errors
    /// [`CallbackError`] if the document is not, and will not be, delivered.
    pub async fn attempt(
        &self,
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
        // In case that this future is dropped.
        *progress = Progress {
            attempts: earlier.attempts.saturating_add(1),
            uncertain: true,
        };
        let answer = self.post(uri, reply).await;
        progress.uncertain = earlier.uncertain;
        let outcome = self.judge(callback, &answer, progress);
        match &answer {
            Ok(answer) => log(callback, *progress, &answer.status(), &outcome),
            Err(error) => log(callback, *progress, error, &outcome),
        }
        outcome
    }

    /// Where to post, if that is to be done at all.
    fn ready(
        &self,
        callback: &Callback,
        reply: &Reply,
        progress: Progress,
    ) -> Result<Uri, CallbackError> {
        let uri = self.0.origins.check(callback)?;
        // The reply may be one to another event, and too late is too late.
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
        // The last attempt is moved forward so that it ends before the deadline.
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

/// Says what became of an attempt, and nothing of the URL and the document.
fn log(
    callback: &Callback,
    progress: Progress,
    answer: &dyn fmt::Display,
    outcome: &Result<AttemptOutcome, CallbackError>,
) {
    let (tenant, event) = (callback.tenant(), one_line(callback.event()));
    let (webhook_id, attempt) = (one_line(callback.webhook_id()), progress.attempts);
    match outcome {
        Ok(AttemptOutcome::Delivered(delivered)) => {
            info!(tenant, webhook_id, event, attempt, %answer, ?delivered, "callback delivered");
        }
        Ok(AttemptOutcome::Retry { after }) => {
            warn!(tenant, webhook_id, event, attempt, %answer, ?after, "callback is tried again");
        }
        Err(error) => {
            warn!(tenant, webhook_id, event, attempt, %answer, %error, "callback failed for good");
        }
    }
}
